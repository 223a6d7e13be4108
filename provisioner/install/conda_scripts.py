"""What conda and mamba do with a profile's variables when they activate a prefix.

They read ``conda-meta/state`` and put its values between the quotation marks of the shell, unchanged (conda's
`activate.py`, libmamba's `activation.cpp`): what follows a quotation mark in a value is run as a command.
So the file has only values that every shell takes literally; all others are set by scripts that are sourced
(`activate.d`), where every value is quoted for its shell.
"""

import re
from collections.abc import Callable, Mapping

from provisioner.install.shells import quote_fish, quote_posix, quote_powershell, set_cmd

_SAVED = "_PROVISION_CONDA_"
# between single and double quotes of every shell, and in cmd without any
_LITERAL = re.compile(r"[A-Za-z0-9_./:=,+@ -]*")
# paths of Windows; its shells have no use for a backslash between quotes
_LITERAL_WINDOWS = re.compile(r"[A-Za-z0-9_./:=,+@ \\-]*")

_Script = Callable[[str, str], str]


def split_variables(variables: Mapping[str, str], *, windows: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Return the variables for conda's state, and those that only a script can set."""
    literal = _LITERAL_WINDOWS if windows else _LITERAL
    state = {name: value for name, value in variables.items() if literal.fullmatch(value)}
    return state, {name: value for name, value in variables.items() if name not in state}


def format_conda_scripts(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the scripts below ``etc/conda``: path to text; none for no variables.

    Deactivation restores what was there before. A value that a shell cannot hold is left out for it.
    """
    if not variables:
        return {}
    found: dict[str, str] = {}
    for extension, (enter, leave, end) in _SHELLS.items():
        held = {
            name: value
            for name, value in variables.items()
            if extension != "bat" or not set(value) & {"\n", "\r"}
        }
        for folder, write in (("activate.d", enter), ("deactivate.d", leave)):
            text = end.join(write(name, value) for name, value in held.items())
            found[f"{folder}/provision.{extension}"] = text + end
    return found


def _enter_posix(name: str, value: str) -> str:
    saved = f"{_SAVED}{name}"
    return (
        f'if [ -n "${{{name}+set}}" ]; then export {saved}="${name}"; fi\nexport {name}={quote_posix(value)}'
    )


def _leave_posix(name: str, _: str) -> str:
    saved = f"{_SAVED}{name}"
    return (
        f'if [ -n "${{{saved}+set}}" ]; then export {name}="${saved}"; unset {saved}; else unset {name}; fi'
    )


def _enter_fish(name: str, value: str) -> str:
    saved = f"{_SAVED}{name}"
    return f"if set -q {name}; set -gx {saved} ${name}; end\nset -gx {name} {quote_fish(value)}"


def _leave_fish(name: str, _: str) -> str:
    saved = f"{_SAVED}{name}"
    return f"if set -q {saved}; set -gx {name} ${saved}; set -e {saved}; else; set -e {name}; end"


def _enter_powershell(name: str, value: str) -> str:
    saved = f"{_SAVED}{name}"
    return (
        f"if (Test-Path Env:{name}) {{ $Env:{saved} = $Env:{name} }}\n$Env:{name} = {quote_powershell(value)}"
    )


def _leave_powershell(name: str, _: str) -> str:
    saved = f"{_SAVED}{name}"
    return (
        f"if (Test-Path Env:{saved}) {{ $Env:{name} = $Env:{saved}; Remove-Item Env:{saved} }} "
        f"else {{ Remove-Item Env:{name} -ErrorAction SilentlyContinue }}"
    )


def _enter_cmd(name: str, value: str) -> str:
    return f'@if defined {name} set "{_SAVED}{name}=%{name}%"\r\n@{set_cmd(name, value)}'


def _leave_cmd(name: str, _: str) -> str:
    saved = f"{_SAVED}{name}"
    return f'@set "{name}=%{saved}%"\r\n@set "{saved}="'


# what conda and mamba look for, by the shell that they activate in
_SHELLS: Mapping[str, tuple[_Script, _Script, str]] = {
    "sh": (_enter_posix, _leave_posix, "\n"),
    "fish": (_enter_fish, _leave_fish, "\n"),
    "ps1": (_enter_powershell, _leave_powershell, "\n"),
    "bat": (_enter_cmd, _leave_cmd, "\r\n"),
}
