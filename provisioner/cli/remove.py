"""``provision remove``: remove an environment."""

import click

from provisioner.cli.options import settings_flags
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings
from provisioner.install.home import EnvironmentHome, remove_environment


@click.command("remove")
@click.argument("environment", metavar="ENVIRONMENT")
@settings_flags
def command(*, settings: Settings, environment: str, as_json: bool) -> Result:
    """Remove an ENVIRONMENT with all its generations; downloads stay."""
    from provisioner.install.environment_lock import hold_environment  # noqa: PLC0415 - `--help` stays fast

    del as_json
    home = EnvironmentHome(data=settings.data)
    with hold_environment(home, environment, timeout_s=30.0, command=f"provision remove {environment}"):
        remove_environment(home, environment)
    return Result(data={"removed": environment}, text=f"{environment}: removed")
