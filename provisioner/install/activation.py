"""Turn an environment into variables, and variables into a shell's text. Values are data, never evaluated.

Engines' activation scripts expand ``$(…)`` inside values; here every value is quoted for its shell.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from provisioner.errors import UsageError
from provisioner.install.generations import Generation
from provisioner.install.layout import WINDOWS, find_path_entries
from provisioner.install.plan import CONDA
from provisioner.install.receipt import Receipt
from provisioner.install.stable import find_stable
from provisioner.profile.rules import VARIABLE_NAME, check_variable

_SAVED = "_PROVISION_SAVED_"


@dataclass(frozen=True, kw_only=True, slots=True)
class Activation:
    """What an active environment changes.

    Attributes:
        name: The environment's name.
        path: Folders that go before ``PATH``.
        variables: Set while it is active.
        unset: Removed while it is active.
    """

    name: str
    path: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ("PYTHONHOME",)


def plan_activation(receipt: Receipt, *, path: Sequence[PurePath], prefix: str | None = None) -> Activation:
    """Return what activating an environment changes.

    Args:
        receipt: The environment's.
        path: Its folders of programs.
        prefix: What its folder is called, where that is not the folder it was built in.

    Raises:
        UsageError: ``usage.variable``: a name or value that no environment can hold.
    """
    prefix = prefix or receipt.prefix
    own = (
        {"CONDA_PREFIX": prefix, "PYTHONNOUSERSITE": "1"}
        if receipt.base == CONDA
        else {"VIRTUAL_ENV": prefix}
    )
    variables = {name: value.replace("{prefix}", prefix) for name, value in receipt.env.items()}
    for name, value in variables.items():
        # names go into scripts as they are, and a receipt may be older than today's rules
        if re.fullmatch(VARIABLE_NAME, name) is None:
            raise _refused(name, "is not capitals, digits and underscores")
        if reason := check_variable(name):
            raise _refused(name, f"cannot be set: {reason}")
        if "\0" in value:
            raise _refused(name, "has a value with a null character")
    return Activation(
        name=receipt.environment,
        path=tuple(str(folder) for folder in path),
        variables=variables | own | {"PROVISION_ENVIRONMENT": receipt.environment},
    )


def find_activation(generation: Generation, *, following: bool = False) -> Activation:
    """Return what activating a built environment changes.

    Args:
        generation: What is activated.
        following: Whether what is started later is of the generation that is current then: for a shell that
            lives long. Windows has no program for that, so there it is always this generation.
    """
    receipt = generation.receipt
    stable = find_stable(generation)
    follows = following and receipt.platform != WINDOWS
    prefix = stable.link if follows else generation.prefix
    path = find_path_entries(prefix, base=receipt.base, platform=receipt.platform)
    first = (stable.launchers, *path) if follows else (*path, stable.launchers)
    return plan_activation(receipt, path=first, prefix=str(prefix))


def guess_shell(environ: Mapping[str, str]) -> str:
    """Return the name of the user's shell; one that is not known reads bash's language."""
    if "SHELL" in environ:
        name = PurePath(environ["SHELL"]).name
        return name if name in SHELLS else "bash"
    return "powershell" if "PSMODULEPATH" in {key.upper() for key in environ} else "cmd"


def apply_activation(activation: Activation, environ: Mapping[str, str], *, windows: bool) -> dict[str, str]:
    """Return the environment of a program that runs inside."""
    separator = ";" if windows else ":"
    # names keep their case on Windows and are looked up without it
    path_name = next((name for name in environ if windows and name.upper() == "PATH"), "PATH")
    inherited = [environ[path_name]] if environ.get(path_name) else []
    kept = {name: value for name, value in environ.items() if name not in activation.unset}
    return kept | dict(activation.variables) | {path_name: separator.join([*activation.path, *inherited])}


def format_activation(activation: Activation, shell: str) -> str:
    """Return the text that activates an environment in one of `SHELLS`.

    But for ``cmd`` it defines ``provision_deactivate``, which restores what was there before.

    Raises:
        UsageError: An unknown shell, or a value that the shell cannot hold.
    """
    try:
        lines = _SHELLS[shell](activation)
    except KeyError as error:
        raise UsageError(
            "usage.shell",
            f"there is no activation for the shell `{shell}`",
            hints=[f"choose one of {', '.join(f'`{name}`' for name in _SHELLS)}"],
        ) from error
    return "\n".join(lines) + "\n"


def _posix(activation: Activation) -> list[str]:
    """Return bash's and zsh's text: a function that a subshell tries before this shell runs it.

    At a variable that the user made read-only, zsh stops reading and bash goes on without it. The subshell
    finds that out while this shell is as it was.
    """
    changed = _changed(activation)
    lines = ["_provision_activate() {"]
    lines.append(
        "  if command -v provision_deactivate >/dev/null 2>&1; then provision_deactivate || return 1; fi"
    )
    lines += [f'  if [ -n "${{{name}+set}}" ]; then {_SAVED}{name}="${name}"; fi' for name in changed]
    lines += [
        f"  export {name}={quote_posix(value)} || return 1" for name, value in activation.variables.items()
    ]
    lines += [f"  unset {name} || return 1" for name in activation.unset]
    folders = quote_posix(":".join(activation.path))
    lines.append(f'  export PATH={folders}"${{PATH:+:$PATH}}" || return 1')
    lines.append("  provision_deactivate() {")
    for name in changed:
        lines.append(
            f'    if [ -n "${{{_SAVED}{name}+set}}" ]; then export {name}="${_SAVED}{name}"; '
            f"unset {_SAVED}{name}; else unset {name}; fi"
        )
    return [
        *lines,
        "    hash -r 2>/dev/null || true",
        "    unset -f provision_deactivate",
        "  }",
        "  hash -r 2>/dev/null || true",
        "}",
        "if (_provision_activate); then",
        "  _provision_activate",
        "  unset -f _provision_activate",
        "else",
        "  unset -f _provision_activate",
        f"  echo {quote_posix(_failure(activation))} >&2",
        "  false",
        "fi",
    ]


def _fish(activation: Activation) -> list[str]:
    """Return fish's text; what it refuses to set is taken back, for fish has no subshell to try it in."""
    changed = _changed(activation)
    lines = ["if functions -q provision_deactivate; provision_deactivate; end"]
    lines += [f"if set -q {name}; set -g {_SAVED}{name} ${name}; end" for name in changed]
    lines.append("function provision_deactivate")
    for name in changed:
        lines.append(
            f"  if set -q {_SAVED}{name}; set -gx {name} ${_SAVED}{name}; set -e {_SAVED}{name}; "
            f"else; set -e {name}; end"
        )
    lines += ["  functions -e provision_deactivate", "end"]
    lines += [f"set -e {name}" for name in activation.unset]
    lines += [
        "begin",
        "  true",
    ]  # `set` keeps the status of the command before it, so that one has to be known
    lines += [f"  and set -gx {name} {quote_fish(value)}" for name, value in activation.variables.items()]
    lines.append(f"  and set -gx PATH {' '.join(quote_fish(folder) for folder in activation.path)} $PATH")
    return [
        *lines,
        "end",
        "or begin",
        "  provision_deactivate",
        f"  echo {quote_fish(_failure(activation))} >&2",
        "  false",
        "end",
    ]


def _failure(activation: Activation) -> str:
    return (
        f"provision: `{activation.name}` is not active: this shell does not let one of its variables be set"
    )


def _powershell(activation: Activation) -> list[str]:
    """Return PowerShell's text; when a line fails, what was set before it is taken back."""
    changed = _changed(activation)
    lines = ["if (Get-Command provision_deactivate -ErrorAction SilentlyContinue) { provision_deactivate }"]
    lines.append("$global:_PROVISION_SAVED = @{}")
    lines += [
        f"if (Test-Path Env:{name}) {{ $global:_PROVISION_SAVED['{name}'] = $Env:{name} }}"
        for name in changed
    ]
    lines.append("function global:provision_deactivate {")
    for name in changed:
        lines.append(
            f"  if ($global:_PROVISION_SAVED.ContainsKey('{name}')) "
            f"{{ $Env:{name} = $global:_PROVISION_SAVED['{name}'] }} "
            f"else {{ Remove-Item Env:{name} -ErrorAction SilentlyContinue }}"
        )
    lines.append("  Remove-Variable -Name _PROVISION_SAVED -Scope Global")
    lines += ["  Remove-Item Function:provision_deactivate", "}", "try {"]
    lines += [f"  $Env:{name} = {_quote_powershell(value)}" for name, value in activation.variables.items()]
    lines += [f"  Remove-Item Env:{name} -ErrorAction SilentlyContinue" for name in activation.unset]
    for folder in reversed(activation.path):
        lines.append(f"  $Env:PATH = {_quote_powershell(folder)} + [IO.Path]::PathSeparator + $Env:PATH")
    return [*lines, "} catch { provision_deactivate; throw }"]


def _cmd(activation: Activation) -> list[str]:
    """Return the lines of a batch file; ``cmd`` has no functions, so the way out is to close it."""
    lines = ["@echo off"]
    lines += [_set_cmd(name, value) for name, value in activation.variables.items()]
    lines += [f'set "{name}="' for name in activation.unset]
    return [*lines, _set_cmd("PATH", ";".join(activation.path), tail=";%PATH%")]


def _changed(activation: Activation) -> tuple[str, ...]:
    return ("PATH", *activation.variables, *activation.unset)


def quote_posix(value: str) -> str:
    """Quote for bash and zsh: single quotes keep everything but themselves."""
    return "'" + value.replace("'", "'\"'\"'") + "'"


def quote_fish(value: str) -> str:
    """Quote for fish, where a backslash counts inside single quotes too."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quote_powershell(value: str) -> str:
    """Quote for PowerShell, which takes the typographic quotes for single quotes too."""
    return "'" + re.sub(r"(['\u2018-\u201b])", r"\1\1", value) + "'"


def _set_cmd(name: str, value: str, *, tail: str = "") -> str:
    """Return a batch file's line that sets a variable to the value, literally."""
    if "\n" in value or "\r" in value:
        raise _refused(name, "has a value of several lines, which `cmd` cannot hold")
    doubled = value.replace("%", "%%")
    if '"' not in value:
        return f'set "{name}={doubled}{tail}"'
    # a quotation mark inside would end the quoting: every special character gets its caret instead
    escaped = re.sub(r'(["&|<>^()!])', r"^\1", doubled)
    return f"set {name}={escaped}{tail}"


def _refused(name: str, why: str) -> UsageError:
    return UsageError(
        "usage.variable",
        f"the variable `{name}` {why}",
        hints=["correct `env` in the profile, and create the environment again"],
        context={"variable": name},
    )


_SHELLS: Mapping[str, Callable[[Activation], list[str]]] = {
    "bash": _posix,
    "zsh": _posix,
    "fish": _fish,
    "powershell": _powershell,
    "cmd": _cmd,
}
SHELLS = tuple(_SHELLS)
