"""``provision repair``: build an environment again from its lock."""

import click

from provisioner.cli.create import build_and_validate
from provisioner.cli.options import flag, lock_timeout_flag, settings_flags
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings
from provisioner.cli.validate import find_built
from provisioner.errors import InstallError
from provisioner.install.home import EnvironmentHome
from provisioner.profile.load import load_profile


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
    try:
        name = find_built(EnvironmentHome(data=settings.data), environment).receipt.profile
    except InstallError:
        # Its receipt is what is damaged; most environments have their profile's name.
        name = environment
    return build_and_validate(
        settings,
        load_profile(name, folders=settings.profile_folders),
        name=environment,
        no_gate=no_gate,
        validate=not no_validate,
        rebuild=True,
        lock_timeout_s=lock_timeout,
    )
