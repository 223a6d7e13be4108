"""``provision verify``: compare every file of an environment with what was built."""

import click

from provisioner.cli.options import argument, flag, settings_flags
from provisioner.pipeline.settings import Settings
from provisioner.pipeline.verify import verify
from provisioner.render.progress import show_progress
from provisioner.render.result import Result
from provisioner.render.verify import render_verify


@click.command("verify")
@argument("environment", metavar="[ENVIRONMENT]", required=False)
@flag("--fast", is_flag=True, help="Read only files whose size, times or inode have changed.")
@settings_flags
def command(*, settings: Settings, environment: str | None, fast: bool) -> Result:
    """Name every changed, missing or added file of ENVIRONMENT, or of all, and every damaged stored file."""
    with show_progress(settings.environ) as listener:
        done = verify(settings, environment, fast=fast, on_event=listener)
    return render_verify(
        done.environments,
        done.broken,
        startup=done.startup,
        store=done.store,
        fast=fast,
        seconds=done.seconds,
    )
