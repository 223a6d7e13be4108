"""``provision activate``: print the commands that activate an environment in a shell."""

from collections.abc import Mapping
from pathlib import PurePath

import click

from provisioner.cli.options import flag, settings_flags
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings
from provisioner.cli.validate import find_built
from provisioner.install.activation import SHELLS, Activation, format_activation, plan_activation
from provisioner.install.home import EnvironmentHome, Generation
from provisioner.install.layout import find_path_entries


@click.command("activate")
@click.argument("environment", metavar="ENVIRONMENT")
@flag(
    "--shell",
    type=click.Choice(sorted(SHELLS)),
    help="The shell that will read the commands; by default the one that SHELL names.",
)
@settings_flags
def command(*, settings: Settings, environment: str, shell: str | None) -> Result:
    """Print the commands that activate ENVIRONMENT: eval "$(provision activate NAME)"."""
    generation = find_built(EnvironmentHome(data=settings.data), environment)
    chosen = shell or guess_shell(settings.environ)
    script = format_activation(find_activation(generation), shell=chosen)
    return Result(data={"environment": environment, "shell": chosen, "script": script}, text=script)


def find_activation(generation: Generation) -> Activation:
    """Return what activating a built environment changes."""
    receipt = generation.receipt
    path = find_path_entries(generation.prefix, base=receipt.base, platform=receipt.platform)
    return plan_activation(receipt, path=path)


def guess_shell(environ: Mapping[str, str]) -> str:
    """Return the name of the user's shell; what is not known reads bash's language."""
    if "SHELL" in environ:
        name = PurePath(environ["SHELL"]).name
        return name if name in SHELLS else "bash"
    return "powershell" if "PSMODULEPATH" in {key.upper() for key in environ} else "cmd"
