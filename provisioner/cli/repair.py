"""``provision repair``: build an environment again from its lock."""

import click

from provisioner.cli.create import build_and_validate
from provisioner.cli.options import flag, settings_flags
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings
from provisioner.cli.validate import find_built
from provisioner.install.home import EnvironmentHome
from provisioner.profile.load import load_profile


@click.command("repair")
@click.argument("environment", metavar="ENVIRONMENT")
@flag("--no-gate", is_flag=True, help="Build an XPU profile although no supported GPU is seen.")
@settings_flags
def command(*, settings: Settings, environment: str, no_gate: bool, as_json: bool) -> Result:
    """Build a damaged ENVIRONMENT again from its lock, beside the damaged one, and validate it."""
    del as_json
    receipt = find_built(EnvironmentHome(data=settings.data), environment).receipt
    profile = load_profile(receipt.profile, folders=settings.profile_folders)
    return build_and_validate(settings, profile, name=environment, no_gate=no_gate, rebuild=True)
