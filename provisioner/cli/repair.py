"""``provision repair``: build an environment again from its lock."""

import click

from provisioner.cli.options import flag, lock_timeout_flag, settings_flags
from provisioner.pipeline.create import CreateChoices, repair
from provisioner.pipeline.settings import Settings
from provisioner.render.progress import show_progress
from provisioner.render.result import Result
from provisioner.render.verdict import render_environment


@click.command("repair")
@click.argument("environment", metavar="ENVIRONMENT")
@flag("--no-gate", is_flag=True, help="Build an XPU profile although no supported GPU is seen.")
@flag("--no-validate", is_flag=True, help="Build only; the environment stays unvalidated.")
@lock_timeout_flag
@settings_flags
def command(
    *, settings: Settings, environment: str, no_gate: bool, no_validate: bool, lock_timeout: float
) -> Result:
    """Build a damaged ENVIRONMENT again from its lock, beside the damaged one, and validate it."""
    choices = CreateChoices(
        name=environment,
        gate=not no_gate,
        validate=not no_validate,
        rebuild=True,
        lock_timeout_s=lock_timeout,
    )
    with show_progress(settings.environ) as listener:
        repaired = repair(settings, environment, choices, on_event=listener)
    return render_environment(
        repaired.profile, repaired.generation, repaired.report, matches=repaired.matches, up_to_date=False
    )
