"""``provision rollback``: make an older generation of an environment the current one."""

import click

from provisioner.cli.options import argument, flag, lock_timeout_flag, settings_flags, verb
from provisioner.pipeline.rollback import rollback
from provisioner.pipeline.settings import Settings
from provisioner.render.generations import render_rollback
from provisioner.render.progress import show_progress
from provisioner.render.result import Result


@verb("rollback")
@argument("environment", metavar="[ENVIRONMENT]", required=False)
@flag("--to", type=click.IntRange(min=1), metavar="NUMBER", help="The number of a generation.")
@lock_timeout_flag
@settings_flags
def command(*, settings: Settings, environment: str | None, to: int | None, lock_timeout: float) -> Result:
    """Make the generation before the current one of ENVIRONMENT current, or another; nothing is built.

    Without a name the folder's environment is meant, else the only one.
    """
    with show_progress(settings.environ) as listener:
        done = rollback(
            settings, environment or settings.profile, to=to, lock_timeout_s=lock_timeout, on_event=listener
        )
    return render_rollback(done.generation, done.report, done.other)
