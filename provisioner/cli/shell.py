"""``provision shell``: open a shell inside an environment."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provisioner.cli.options import argument, settings_flags, verb
from provisioner.cli.run import become
from provisioner.ground.files import make_private_folder, write_atomically
from provisioner.install.activation import find_activation
from provisioner.install.generations import EnvironmentHome
from provisioner.install.in_use import hold_generation
from provisioner.install.shells import format_activation, guess_shell, quote_fish, quote_posix
from provisioner.pipeline.settings import Settings

# The user's own start-up files run first, else they would put their folders before the environment's again.
# zsh has no flag for one more file: it is pointed at a folder with ours, which points it back at the user's.
_ZSHRC = """\
{zdotdir}
if [ -f "${{ZDOTDIR:-$HOME}}/.zshenv" ]; then . "${{ZDOTDIR:-$HOME}}/.zshenv"; fi
if [ -f "${{ZDOTDIR:-$HOME}}/.zshrc" ]; then . "${{ZDOTDIR:-$HOME}}/.zshrc"; fi
"""
_FILES: Mapping[str, tuple[str, str]] = {
    "bash": ("activate.bash", "if [ -f ~/.bashrc ]; then . ~/.bashrc; fi\n"),
    "zsh": (".zshrc", _ZSHRC),
    "fish": ("activate.fish", ""),
    "powershell": ("activate.ps1", ""),
    "cmd": ("activate.bat", ""),
    "nu": ("activate.nu", ""),
}


@verb("shell")
@argument("environment", metavar="[ENVIRONMENT]", required=False)
@settings_flags
def command(*, settings: Settings, environment: str | None) -> Any:
    """Open your shell inside ENVIRONMENT; `exit` leaves it."""
    home = EnvironmentHome(data=settings.data)
    environment = settings.choose_name(environment)
    generation = settings.load_environment(environment)
    shell = guess_shell(settings.environ)
    make_private_folder(home.cache)
    folder = make_private_folder(home.cache / f"shell-{environment}")
    name, before = _FILES[shell]
    variables = dict(settings.environ)
    if shell == "zsh":
        before = before.format(zdotdir=_restore_zdotdir(variables.get("ZDOTDIR")))
        variables["ZDOTDIR"] = str(folder)
    write_atomically(folder / name, before + format_activation(find_activation(generation), shell=shell))
    with hold_generation(home, generation, command=f"provision shell {environment}"):
        return become(_plan_start(shell, folder / name), variables, where="this machine")


def _plan_start(shell: str, file: Path) -> list[str]:
    """Return the command that starts a shell which reads a file before the first prompt."""
    return {
        "bash": ["bash", "--rcfile", str(file), "-i"],
        "zsh": ["zsh", "-i"],
        "fish": ["fish", "--init-command", f"source {quote_fish(str(file))}"],
        "powershell": ["powershell", "-NoExit", "-File", str(file)],
        "cmd": ["cmd", "/K", str(file)],
        "nu": ["nu", "--execute", f"overlay use {json.dumps(str(file))}"],
    }[shell]


def _restore_zdotdir(folder: str | None) -> str:
    return "unset ZDOTDIR" if folder is None else f"export ZDOTDIR={quote_posix(folder)}"
