"""``provision remove``: remove an environment."""

import click

from provisioner.cli.options import lock_timeout_flag, settings_flags
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings
from provisioner.install.home import EnvironmentHome, remove_environment


@click.command("remove")
@click.argument("environment", metavar="ENVIRONMENT")
@lock_timeout_flag
@settings_flags
def command(*, settings: Settings, environment: str, lock_timeout: float) -> Result:
    """Remove an ENVIRONMENT with all its generations; downloads stay."""
    from provisioner.install.environment_lock import hold_environment  # noqa: PLC0415 - `--help` stays fast

    home = EnvironmentHome(data=settings.data)
    if not home.environment(environment).exists():
        remove_environment(home, environment)  # says that there is none, and makes no folder for a lock
    name = f"provision remove {environment}"
    with hold_environment(home, environment, timeout_s=lock_timeout, command=name):
        remove_environment(home, environment)
    return Result(data={"removed": environment}, text=f"{environment}: removed")
