"""The programs of an environment's stable path, which stand before the environment's own.

``python`` becomes the current generation's, with the variables that `provision run` sets; ``pip``, ``conda``
and ``uv`` answer instead of installing beside the lock.
"""

import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import UsageError
from provisioner.ground.files import link_folder, make_private_folder, write_atomically
from provisioner.install.activation import find_activation
from provisioner.install.environment_lock import hold_environment
from provisioner.install.generations import EnvironmentHome, Generation, find_environment
from provisioner.install.plan import CONDA
from provisioner.install.prefix_layout import WINDOWS
from provisioner.install.shells import quote_posix
from provisioner.install.stable_path import find_stable, is_stable


@dataclass(frozen=True, kw_only=True, slots=True)
class _Guarded:
    """What of a program is answered, and the flags that name another environment: then it may."""

    changes: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()


_CONDA = _Guarded(
    changes=("install", "update", "upgrade", "remove", "uninstall"),
    elsewhere=("-n", "--name", "-p", "--prefix"),
)
# pip has no changes listed: an environment has no pip, so whatever one is asked, it answers of another
_GUARDED: Mapping[str, _Guarded] = {
    "pip": _Guarded(),
    "pip3": _Guarded(),
    "conda": _CONDA,
    "mamba": _CONDA,
    "micromamba": _CONDA,
    "uv": _Guarded(
        changes=("pip install", "pip sync", "pip uninstall"),
        elsewhere=("-p", "--python", "--prefix", "-t", "--target", "--system"),
    ),
}

_PYTHON = """\
#!/bin/sh
# provision: becomes the python of the current generation, with the profile's variables, and keeps it as long
# as it runs
environment={environment}
IFS= read -r generation < "$environment/current" || exit 127
if [ "${{1-}} ${{2-}}" = '-m pip' ]; then exec "$environment/bin/pip"; fi
use={locks}/{name}.$generation.use
if command -v flock >/dev/null && [ -w {locks} ]; then
  [ -e "$use" ] || (umask 077; : >> "$use")
  if [ -w "$use" ]; then exec 9<>"$use"; flock -sn 9; fi
fi
{activation}exec "$environment/generations/$generation/bin/{program}" "$@"
"""
_ANSWER = """\
#!/bin/sh
{guard}printf '%s\\n' {lines} >&2
exit 2
"""
_GUARD = """\
words=
for word in "$@"; do
  case $word in
    {elsewhere}) words=; break ;;
    -*) ;;
    *) words="$words$word " ;;
  esac
done
case $words in
  {changes}) ;;
  *)
    set -f
    IFS=:
    for folder in $PATH; do
      if [ "$folder" != {launchers} ] && [ -x "$folder/{program}" ]; then exec "$folder/{program}" "$@"; fi
    done
    echo '{program}: not found' >&2
    exit 127
    ;;
esac
"""
_CMD_ANSWER = """\
@echo off
{guard}{lines}
exit /b 2
"""
_CMD_GUARD = """\
setlocal
{changes}
set "next="
for %%i in ({program}.exe {program}.bat) do if not defined next set "next=%%~$PATH:i"
if not defined next (echo {program}: not found>&2 & exit /b 127)
call "%next%" %*
exit /b %errorlevel%
:answer
"""


def write_stable(home: EnvironmentHome, generation: Generation) -> None:
    """Let the stable path lead to a generation; the caller holds the environment's lock.

    The link is last: where it is right, the programs beside it are there.

    Raises:
        OSError: It could not be written, or the file system has no links.
    """
    stable = find_stable(generation)
    make_private_folder(stable.launchers)
    for name, text in format_launchers(home, generation).items():
        write_atomically(stable.launchers / name, text, mode=0o700, sync=False)
    link_folder(stable.link, f"generations/{generation.prefix.name}")


def mend_stable(home: EnvironmentHome, name: str) -> bool:
    """Let an environment's stable path lead to its current generation; False where it cannot be written."""
    current = find_environment(home, name)
    if current is None or is_stable(current):
        return current is not None
    with suppress(OSError), hold_environment(home, name, command=f"provision create {name}"):
        current = find_environment(home, name)  # another process may have switched while we waited
        if current is not None:
            write_stable(home, current)
            return True
    return False


def format_launchers(home: EnvironmentHome, generation: Generation) -> dict[str, str]:
    """Return the programs of the stable path: file name to text, for the receipt's platform."""
    receipt = generation.receipt
    if receipt.platform == WINDOWS:
        return {
            f"{program}.cmd": _format_cmd(program, guarded, _describe(program, receipt.profile))
            for program, guarded in _GUARDED.items()
        }
    stable = find_stable(generation)
    version = ".".join(receipt.python.split(".")[:2])
    activation = _format_activation(generation)
    pythons = {
        program: _PYTHON.format(
            environment=shlex.quote(str(stable.launchers.parent)),
            locks=shlex.quote(str(home.locks)),
            activation=activation,
            name=receipt.environment,
            program=program,
        )
        for program in ("python", "python3", f"python{version}")
    }
    return pythons | {
        program: _format_sh(program, guarded, _describe(program, receipt.profile), stable.launchers)
        for program, guarded in _GUARDED.items()
    }


def _format_activation(generation: Generation) -> str:
    """Return the lines that set what `run` sets; in an active environment the user may have changed that."""
    try:
        activation = find_activation(generation, following=True)
    except UsageError:  # a receipt that is older than a rule about variables; `run` and `activate` tell it
        return ""
    mark = "CONDA_PREFIX" if generation.receipt.base == CONDA else "VIRTUAL_ENV"
    folders = quote_posix(":".join(activation.path))
    return "".join(
        (
            f'case "${{{mark}-}}" in\n  "$environment"/*) ;;\n  *)\n',
            *(f"    export {name}={quote_posix(value)}\n" for name, value in activation.variables.items()),
            *(f"    unset {name}\n" for name in activation.unset),
            f'    export PATH={folders}"${{PATH:+:$PATH}}"\n    ;;\nesac\n',
        )
    )


def _describe(program: str, profile: str) -> tuple[str, str]:
    flag = " --conda" if program.endswith(("conda", "mamba")) else ""
    return (
        f"error: `{program}` would install beside the lock of this environment, where nothing proves it",
        f"  hint: run `provision add {profile}{flag} PACKAGE`, which locks it, builds and validates",
    )


def _format_sh(program: str, guarded: _Guarded, lines: tuple[str, ...], launchers: Path) -> str:
    guard = _GUARD.format(
        program=program,
        launchers=shlex.quote(str(launchers)),
        elsewhere="|".join(pattern for flag in guarded.elsewhere for pattern in _spellings(flag)),
        changes="|".join(f"'{words} '*" for words in guarded.changes),
    )
    return _ANSWER.format(guard=guard if guarded.changes else "", lines=" ".join(map(shlex.quote, lines)))


def _spellings(flag: str) -> tuple[str, ...]:
    return (flag, f"{flag}=*") if flag.startswith("--") else (flag,)


def _format_cmd(program: str, guarded: _Guarded, lines: tuple[str, ...]) -> str:
    """Return the batch file; words are compared in its first places only."""
    guard = _CMD_GUARD.format(
        program=program,
        changes="\n".join(
            f'if /i "%~1 %~2"=="{words}" goto answer'
            if " " in words
            else f'if /i "%~1"=="{words}" goto answer'
            for words in guarded.changes
        ),
    )
    told = "\n".join(f"echo {line}>&2" for line in lines)
    return _CMD_ANSWER.format(guard=guard if guarded.changes else "", lines=told).replace("\n", "\r\n")
