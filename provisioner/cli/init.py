"""``provision init``: begin a folder with a profile for this machine."""

from pathlib import Path

import click

from provisioner.cli.options import flag, settings_flags, verb
from provisioner.pipeline.init import begin_folder
from provisioner.pipeline.settings import Settings
from provisioner.render.init import render_begun
from provisioner.render.result import Result


@verb("init")
@click.argument("name", metavar="[NAME]", required=False)
@flag("--from", "source", metavar="FILE", help="Import what another tool's file asks for.")
@flag(
    "--extends", metavar="PROFILE", help="Build on this profile; by default on what this machine's card runs."
)
@flag("--facts", metavar="FILE", help="Facts that `doctor --save` wrote, in place of this machine's.")
@settings_flags
def command(
    *, settings: Settings, name: str | None, source: str | None, extends: str | None, facts: str | None
) -> Result:
    """Begin this folder with a profile for what `doctor` finds on this machine, or put another into it.

    FILE may be an environment.yml, requirements.txt, pyproject.toml, pixi.toml or conda-lock.yml. What a
    profile cannot say of it is listed line by line, with the reason.
    """
    begun = begin_folder(
        settings,
        Path(),
        name=name,
        extends=extends,
        source=Path(source) if source else None,
        facts_file=Path(facts) if facts else None,
    )
    return render_begun(
        begun.name,
        extends=begun.extends,
        reasons=begun.reasons,
        files=begun.files,
        source=begun.source,
        lines=begun.lines,
        notes=begun.notes,
        is_folders=begun.is_folders,
        device=begun.device,
    )
