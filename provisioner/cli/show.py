"""``provision show``: a merged profile and where each value was written."""

import click

from provisioner.cli.named_files import check_output, write_output
from provisioner.cli.options import argument, flag, settings_flags, verb
from provisioner.ground.names import PLATFORMS
from provisioner.pipeline.evidence import find_proofs
from provisioner.pipeline.graph import read_graph
from provisioner.pipeline.settings import Settings, builtin_folder
from provisioner.render.columns import hang
from provisioner.render.graph_html import write_graph
from provisioner.render.profile import as_dict, describe_rows, show_rows
from provisioner.render.result import Result


@verb("show")
@argument("profile_name", metavar="[PROFILE]", required=False)
@flag(
    "--html",
    metavar="FILE",
    help="Also write the locked packages, who needs whom, as one self-contained page.",
)
@flag(
    "--platform",
    type=click.Choice(PLATFORMS),
    help="The page's platform. Default: this machine's where the lock has it.",
)
@settings_flags
def command(
    *, settings: Settings, profile_name: str | None, html: str | None, platform: str | None
) -> Result:
    """Show PROFILE as its stacks and sections make it, where each value was written, and its reports.

    Without a name the folder's profile is meant.
    """
    profile = settings.load_profile(settings.choose_name(profile_name))
    if html:
        check_output(html, "--html")
        write_output(html, write_graph(profile, *read_graph(settings, profile, platform)), "--html")
    rows = show_rows(profile)
    lines = list(describe_rows(rows, builtin_folder("envs")))
    (proof,) = find_proofs(settings, [profile])
    lines.append(hang("reports: ", proof.describe()))
    if html:
        lines.append(f"packages written to {html}")
    return Result(data=as_dict(profile) | {"proof": proof.describe()}, text="\n".join(lines))
