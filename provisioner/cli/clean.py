"""``provision clean``: remove what no environment needs."""

import click

from provisioner.cli.options import flag, lock_timeout_flag, settings_flags
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings
from provisioner.install.home import (
    EnvironmentHome,
    list_environments,
    list_unbuilt,
    remove_environment,
    remove_leftovers,
    remove_old_generations,
)


@click.command("clean")
@flag(
    "--all",
    "everything",
    is_flag=True,
    help="Also all downloads and caches; the next build fetches them again.",
)
@lock_timeout_flag
@settings_flags
def command(*, settings: Settings, everything: bool, lock_timeout: float) -> Result:
    """Remove old generations and what dead builders left; with --all the downloads too."""
    from provisioner.ground.files import remove_tree  # noqa: PLC0415 - the same
    from provisioner.install.environment_lock import hold_environment  # noqa: PLC0415 - `--help` stays fast

    home = EnvironmentHome(data=settings.data)
    removed: list[str] = []
    leftovers = 0
    for name, _ in list_environments(home):
        with hold_environment(home, name, timeout_s=lock_timeout, command="provision clean"):
            leftovers += remove_leftovers(home, name)
            removed += [str(path) for path in remove_old_generations(home, name, keep=0)]
    for name in list_unbuilt(home):
        with hold_environment(home, name, timeout_s=lock_timeout, command="provision clean"):
            # Asked again: a build may have ended while we waited.
            if name in list_unbuilt(home):
                remove_environment(home, name)
                removed.append(str(home.environment(name)))
    if everything:
        for folder in (home.store, home.cache):
            if folder.is_dir():
                remove_tree(folder)
                removed.append(str(folder))
    lines = [f"removed {path}" for path in removed]
    if leftovers:
        lines.append(f"removed {leftovers} incomplete generation{'s' if leftovers > 1 else ''}")
    text = "\n".join(lines or ["nothing to remove"])
    return Result(data={"removed": removed, "incomplete_generations": leftovers}, text=text)
