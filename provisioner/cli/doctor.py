"""``provision doctor``: judge this machine layer by layer."""

import json
from pathlib import Path

from provisioner.cli.named_files import check_output, write_output
from provisioner.cli.options import argument, flag, format_flag, settings_flags, verb
from provisioner.pipeline.doctor import describe_facts, diagnose
from provisioner.pipeline.settings import Settings
from provisioner.render.doctor import render_diagnosis, render_layers
from provisioner.render.result import Result
from provisioner.render.sarif import doctor_as_sarif


@verb("doctor")
@argument("target", metavar="[PROFILE | ENVIRONMENT]", required=False)
@flag("--layer", "layers", multiple=True, metavar="LAYER", help="Judge only this layer; repeatable.")
@flag("--list", "list_them", is_flag=True, help="List the layers.")
@flag("--save", metavar="FILE", help="Write the gathered facts, without names and secrets.")
@flag("--from", "read_from", metavar="FILE", help="Judge saved facts in place of this machine.")
@format_flag
@settings_flags
def command(
    *,
    settings: Settings,
    target: str | None,
    layers: tuple[str, ...],
    list_them: bool,
    save: str | None,
    read_from: str | None,
    form: str,
) -> Result:
    """Judge this machine layer by layer, from the GPU on the bus to a kernel that ran.

    Without a name the machine is judged for the folder's profile, else for an XPU profile; without
    a GPU it names the profile for the CPU.
    """
    if list_them:
        return render_layers()
    target = target or settings.profile
    check_output(save, "--save")
    found = diagnose(settings, target, layers=layers, facts_file=Path(read_from) if read_from else None)
    if save:
        write_output(save, json.dumps(describe_facts(settings, found.facts), indent=1) + "\n", "--save")
    result = render_diagnosis(
        found.layers,
        found.known,
        reports=found.reports,
        facts=found.facts,
        subject=found.subject,
        environment=found.environment,
        saved=save,
    )
    return doctor_as_sarif(result) if form == "sarif" else result
