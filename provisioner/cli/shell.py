"""``provision shell``: open a shell inside an environment."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from provisioner.cli.options import settings_flags
from provisioner.cli.run import become
from provisioner.ground.files import make_private_folder, write_atomically
from provisioner.install.activation import apply_activation, find_activation, format_activation, guess_shell
from provisioner.install.home import EnvironmentHome
from provisioner.pipeline.settings import Settings

# The user's own start-up files run first, else they would put their folders before the environment's again.
_START: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "bash": ("activate.bash", "[ -f ~/.bashrc ] && . ~/.bashrc\n", ("bash", "--rcfile", "{file}", "-i")),
    "zsh": (".zshrc", "[ -f ~/.zshrc ] && . ~/.zshrc\n", ("zsh", "-i")),
    "fish": ("activate.fish", "", ("fish", "--init-command", "source '{file}'")),
    "powershell": ("activate.ps1", "", ("powershell", "-NoExit", "-File", "{file}")),
    "cmd": ("activate.bat", "", ("cmd", "/K", "{file}")),
}


@click.command("shell")
@click.argument("environment", metavar="ENVIRONMENT")
@settings_flags
def command(*, settings: Settings, environment: str) -> Any:
    """Open your shell inside ENVIRONMENT; `exit` leaves it."""
    home = EnvironmentHome(data=settings.data)
    generation = settings.load_environment(environment)
    activation = find_activation(generation)
    shell = guess_shell(settings.environ)
    name, before, words = _START[shell]
    make_private_folder(home.cache)
    folder = make_private_folder(home.cache / f"shell-{environment}")
    write_atomically(folder / name, before + format_activation(activation, shell=shell))
    variables = apply_activation(activation, settings.environ, windows=sys.platform == "win32")
    if shell == "zsh":
        variables |= {"ZDOTDIR": str(folder)}
    return become(
        [word.replace("{file}", str(Path(folder, name))) for word in words], variables, where="this machine"
    )
