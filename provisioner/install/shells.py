"""Turn the variables of an active environment into a shell's text. Values are data, never evaluated.

Engines' activation scripts expand ``$(…)`` inside values; here every value is quoted for its shell.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import PurePath

from provisioner.errors import UsageError
from provisioner.install.activation import Activation, refuse_variable

_SAVED = "_PROVISION_SAVED_"
_NO_PROMPT = "VIRTUAL_ENV_DISABLE_PROMPT"  # what virtual environments of other tools obey


def guess_shell(environ: Mapping[str, str]) -> str:
    """Return the name of the user's shell; one that is not known reads bash's language."""
    if "SHELL" in environ:
        name = PurePath(environ["SHELL"]).name
        return name if name in SHELLS else "bash"
    return "powershell" if "PSMODULEPATH" in {key.upper() for key in environ} else "cmd"


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
    # not exported: a program that is started inside has a prompt of its own
    lines.append(
        f'  if [ -n "${{PS1-}}" ] && [ -z "${{{_NO_PROMPT}-}}" ]; then '
        f'{_SAVED}PS1="$PS1"; PS1="({activation.name}) $PS1"; fi'
    )
    lines.append("  provision_deactivate() {")
    lines.append(f'    if [ -n "${{{_SAVED}PS1+set}}" ]; then PS1="${_SAVED}PS1"; unset {_SAVED}PS1; fi')
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
    lines += [
        "  if functions -q _provision_prompt",
        "    functions -e fish_prompt",
        "    functions -c _provision_prompt fish_prompt",
        "    functions -e _provision_prompt",
        "  end",
        "  functions -e provision_deactivate",
        "end",
        f"if functions -q fish_prompt; and not set -q {_NO_PROMPT}",
        "  functions -c fish_prompt _provision_prompt",
        f"  function fish_prompt; printf '({activation.name}) '; _provision_prompt; end",
        "end",
    ]
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
    lines += [
        "  if (Test-Path Variable:global:_PROVISION_PROMPT) {",
        "    $function:global:prompt = $global:_PROVISION_PROMPT",
        "    Remove-Variable -Name _PROVISION_PROMPT -Scope Global",
        "  }",
    ]
    lines += ["  Remove-Item Function:provision_deactivate", "}", "try {"]
    lines += [f"  $Env:{name} = {quote_powershell(value)}" for name, value in activation.variables.items()]
    lines += [f"  Remove-Item Env:{name} -ErrorAction SilentlyContinue" for name in activation.unset]
    for folder in reversed(activation.path):
        lines.append(f"  $Env:PATH = {quote_powershell(folder)} + [IO.Path]::PathSeparator + $Env:PATH")
    lines += [
        f"  if (-not $Env:{_NO_PROMPT}) {{",
        "    $global:_PROVISION_PROMPT = $function:prompt",
        f"    function global:prompt {{ '({activation.name}) ' + (& $global:_PROVISION_PROMPT) }}",
        "  }",
    ]
    return [*lines, "} catch { provision_deactivate; throw }"]


def _cmd(activation: Activation) -> list[str]:
    """Return the lines of a batch file; ``cmd`` has no functions, so a macro of its prompt is the way out."""
    names = ("PROMPT", *_changed(activation))
    lines = ["@echo off"]
    lines += [f'set "{_SAVED}{name}=%{name}%"' for name in names]
    restored = " $T ".join(
        f'if defined {_SAVED}{name} (set "{name}=%%{_SAVED}{name}%%") else (set "{name}=")' for name in names
    )
    lines.append(f"doskey provision_deactivate={restored}")
    lines.append(f'set "PROMPT=({activation.name}) %PROMPT%"')
    lines += [set_cmd(name, value) for name, value in activation.variables.items()]
    lines += [f'set "{name}="' for name in activation.unset]
    return [*lines, set_cmd("PATH", ";".join(activation.path), tail=";%PATH%")]


def _nu(activation: Activation) -> list[str]:
    """Return a module for nu: `overlay use FILE` activates, and `overlay hide` restores what was there."""
    folders = " ".join(map(_quote_nu, activation.path))
    return [
        "export-env {",
        *(f"  $env.{name} = {_quote_nu(value)}" for name, value in activation.variables.items()),
        *(f"  hide-env -i {name}" for name in activation.unset),
        f"  $env.PATH = ($env.PATH | split row (char esep) | prepend [{folders}])",
        "}",
    ]


def _quote_nu(value: str) -> str:
    """Quote for nu, whose double quotes take JSON's escapes and expand nothing."""
    return json.dumps(value, ensure_ascii=False)


def _changed(activation: Activation) -> tuple[str, ...]:
    return ("PATH", *activation.variables, *activation.unset)


def quote_posix(value: str) -> str:
    """Quote for bash and zsh: single quotes keep everything but themselves."""
    return "'" + value.replace("'", "'\"'\"'") + "'"


def quote_fish(value: str) -> str:
    """Quote for fish, where a backslash counts inside single quotes too."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quote_powershell(value: str) -> str:
    """Quote for PowerShell, which takes the typographic quotes for single quotes too."""
    return "'" + re.sub(r"(['\u2018-\u201b])", r"\1\1", value) + "'"


def set_cmd(name: str, value: str, *, tail: str = "") -> str:
    """Return a batch file's line that sets a variable to the value, literally."""
    if "\n" in value or "\r" in value:
        raise refuse_variable(name, "has a value of several lines, which `cmd` cannot hold")
    doubled = value.replace("%", "%%")
    if '"' not in value:
        return f'set "{name}={doubled}{tail}"'
    # a quotation mark inside would end the quoting: every special character gets its caret instead
    escaped = re.sub(r'(["&|<>^()!])', r"^\1", doubled)
    return f"set {name}={escaped}{tail}"


_SHELLS: Mapping[str, Callable[[Activation], list[str]]] = {
    "bash": _posix,
    "zsh": _posix,
    "fish": _fish,
    "powershell": _powershell,
    "cmd": _cmd,
    "nu": _nu,
}
SHELLS = tuple(_SHELLS)
