"""Find a program in given folders alone, and turn into it; on Windows, which cannot, wait for it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_WINDOWS = sys.platform == "win32"
_EXTENSIONS = ".COM;.EXE;.BAT;.CMD"
_CONTROL_C_EXIT = 0xC000013A
_INTERRUPTED = 130


def find_program(name: str, variables: Mapping[str, str], *, windows: bool = _WINDOWS) -> str | None:
    """Return the path of a program: a name with a folder in it as it is, any other from ``PATH`` alone.

    On Windows not `shutil.which`, which looks into the current folder first, where a download may have left
    a ``python.exe``.
    """
    path = _read_variable(variables, "PATH")
    if not windows:
        return shutil.which(name, path=path)
    extensions = (_read_variable(variables, "PATHEXT") or _EXTENSIONS).lower().split(";")
    has_folder = any(separator in name for separator in "/\\:")
    folders = [""] if has_folder else [folder.strip('"') for folder in path.split(";") if folder]
    names = [name] if name.lower().endswith(tuple(filter(None, extensions))) else []
    names += [name + extension for extension in extensions]
    places = (Path(folder, each) for folder in folders for each in names)
    return next((str(place) for place in places if place.is_file()), None)


def become_program(program: str, argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Turn into a program; on Windows wait for it and return its exit code.

    Args:
        program: Its path, see `find_program`.
        argv: The arguments, its own name first.
        env: Its whole environment.

    Raises:
        OSError: It could not be started.
        ValueError: Windows has no way to hand down one of the arguments.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "win32":
        # Ctrl-C reaches both of us: the program decides what it means, and we tell its exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGBREAK, signal.SIG_IGN)
        cmd = str(Path(_read_variable(env, "SYSTEMROOT") or "C:/Windows", "System32", "cmd.exe"))
        command = quote_windows(program, argv, cmd=cmd)
        executable = cmd if _is_batch(program) else program
        code = subprocess.Popen(command, executable=executable, env=dict(env)).wait()  # noqa: S603 - the user's own command
        return translate_exit_code(code)
    # Python ignores them, and the program would inherit that: `provision run … | head` has to end it.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    return os.execve(program, list(argv), dict(env))  # noqa: S606 - the user's own command


def quote_windows(program: str, argv: Sequence[str], *, cmd: str = "cmd.exe") -> str:
    """Return the command line from which a program on Windows reads exactly ``argv``.

    Programs split their line by the rules of Microsoft's C library. Batch files are read by cmd, which has
    others and no way to quote ``"`` and ``%``.

    Raises:
        ValueError: A batch file would read an argument as something else.
    """
    if not _is_batch(program):
        return subprocess.list2cmdline(argv)
    for argument in (program, *argv[1:]):
        if set(argument) & set('"%\r\n'):
            raise ValueError(
                f"a batch file cannot be given `{argument}`: it holds a quote, a `%` or a line end"
            )
    # A backslash before the closing quote would be taken for its escape by what the batch file starts.
    quoted = " ".join(f'"{word}{chr(92) if word.endswith(chr(92)) else ""}"' for word in (program, *argv[1:]))
    return f'"{cmd}" /d /v:off /s /c "{quoted}"'


def translate_exit_code(code: int) -> int:
    """Return an exit code of Windows (32 bits, no sign) as we can hand it on; Ctrl-C's becomes our own."""
    if code == _CONTROL_C_EXIT:
        return _INTERRUPTED
    return code - (1 << 32) if code >= 1 << 31 else code


def _is_batch(program: str) -> bool:
    return program.lower().endswith((".bat", ".cmd"))


def _read_variable(variables: Mapping[str, str], name: str) -> str:
    """Return a variable of either case, as Windows knows them; empty where there is none."""
    return variables.get(name) or variables.get(name.title()) or ""
