"""``provision list``: environments and profiles."""

from provisioner.cli.options import flag, settings_flags, verb
from provisioner.ground.deletion import measure_tree
from provisioner.install.generations import EnvironmentHome, Generation, list_environments
from provisioner.pipeline.evidence import find_proofs
from provisioner.pipeline.reports import read_report
from provisioner.pipeline.rollback import list_kept
from provisioner.pipeline.settings import Settings
from provisioner.pipeline.space import measure_downloads
from provisioner.profile.load import list_profiles
from provisioner.render.listing import render_list
from provisioner.render.result import Result


@verb("list")
@flag("--stacks", is_flag=True, help="Also the stacks that profiles extend.")
@flag("--generations", is_flag=True, help="Also every generation, with what its lock changed.")
@settings_flags
def command(*, settings: Settings, stacks: bool, generations: bool) -> Result:
    """List the environments with their verdicts, and the profiles with where each is proven."""
    home = EnvironmentHome(data=settings.data)
    listed = list(list_environments(home))
    downloads = measure_downloads(home, [found for _, found in listed if isinstance(found, Generation)])
    environments = [
        (name, found, read_report(found), read_report(found, other=True), measure_tree(found.prefix))
        if isinstance(found, Generation)
        else (name, found, None, None, 0)
        for name, found in listed
    ]
    kept = {
        name: [
            (each.generation, each.report, each.other, each.current, each.changes)
            for each in list_kept(settings, name)
        ]
        for name, *_ in (environments if generations else ())
    }
    entries = list_profiles(settings.profile_folders, stacks=stacks)
    proofs = find_proofs(settings, [entry.profile for entry in entries if entry.profile])
    return render_list(
        entries,
        environments,
        proofs={proof.profile: proof for proof in proofs},
        kept=kept if generations else None,
        downloads=downloads,
    )
