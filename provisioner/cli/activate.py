"""``provision activate``: print the commands that activate an environment in a shell."""

import click

from provisioner.cli.options import argument, flag, settings_flags, verb
from provisioner.install.activation import find_activation
from provisioner.install.generations import EnvironmentHome
from provisioner.install.launchers import mend_stable
from provisioner.install.shells import SHELLS, format_activation, guess_shell
from provisioner.pipeline.settings import Settings
from provisioner.render.result import Result


@verb("activate")
@argument("environment", metavar="[ENVIRONMENT]", required=False)
@flag(
    "--shell",
    type=click.Choice(sorted(SHELLS)),
    help="The shell that will read the commands; by default the one that SHELL names.",
)
@settings_flags
def command(*, settings: Settings, environment: str | None, shell: str | None) -> Result:
    """Print the commands that activate ENVIRONMENT: eval "$(provision activate NAME)"."""
    environment = settings.choose_name(environment)
    generation = settings.load_environment(environment)
    chosen = shell or guess_shell(settings.environ)
    following = mend_stable(EnvironmentHome(data=settings.data), environment)
    script = format_activation(find_activation(generation, following=following), shell=chosen)
    return Result(
        data={"environment": environment, "shell": chosen, "script": script}, text=script, verbatim=True
    )
