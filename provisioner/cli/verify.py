"""``provision verify``: compare every file of an environment with what was built."""

from provisioner.cli.options import argument, flag, settings_flags, verb
from provisioner.errors import UsageError
from provisioner.pipeline.settings import Settings
from provisioner.pipeline.verify import verify
from provisioner.render.progress import show_progress
from provisioner.render.result import Result
from provisioner.render.verify import render_verify


@verb("verify")
@argument("environment", metavar="[ENVIRONMENT]", required=False)
@flag("--all", "every", is_flag=True, help="Every environment, also where the folder has its own.")
@flag("--fast", is_flag=True, help="Read only files whose size, times or inode have changed.")
@settings_flags
def command(*, settings: Settings, environment: str | None, every: bool, fast: bool) -> Result:
    """Name every changed, missing or added file of ENVIRONMENT, and every damaged stored file.

    Without a name the folder's environment is meant, else all.
    """
    if every and environment:
        raise UsageError(
            "usage.verify_what", "name an environment, or `--all`, not both", hints=["leave one of them out"]
        )
    environment = None if every else environment or settings.profile
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
