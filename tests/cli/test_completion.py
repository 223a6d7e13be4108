"""Completion in the real shells: a key is pressed at a terminal, and the name stands there."""

import os
import select
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.lab import COMMAND, Lab

if sys.platform == "win32":
    pytest.skip("needs a pseudo-terminal", allow_module_level=True)
import pty

START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
PREPARE = {
    "bash": "set +o history; bind 'set enable-bracketed-paste off'; eval \"$(provision completion bash)\"",
    "zsh": 'autoload -U compinit; compinit -u -D; eval "$(provision completion zsh)"',
    "fish": "provision completion fish | source",
}


@contextmanager
def open_terminal(words: list[str], environ: dict[str, str], folder: Path) -> Iterator[int]:
    """Yield a terminal in which a program runs."""
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover - the program
        os.chdir(folder)
        os.execvpe(words[0], words, environ)  # noqa: S606 - the shell is what is tested
    try:
        yield terminal
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)


def wait_for(terminal: int, text: str, *, seconds: float = 30.0) -> str:
    """Return what the terminal shows until a text appears."""
    seen, deadline = b"", time.monotonic() + seconds
    while text.encode() not in seen and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            data = os.read(terminal, 4096)
            seen += data
            if b"\x1b[c" in data or b"\x1b[0c" in data:  # a shell that asks what the terminal is
                os.write(terminal, b"\x1b[?6c")
    assert text.encode() in seen, seen.decode(errors="replace")
    return seen.decode(errors="replace")


@pytest.mark.parametrize("shell", START)
def test_the_tab_key_completes_profiles_and_environments(shell: str, built: Lab, tmp_path: Path) -> None:
    """`show` completes a profile, `remove` an environment, and a verb its options."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    program = tmp_path / "provision"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    environ = built.child_environ | {
        "PATH": f"{tmp_path}:{built.environ['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "xterm",
    }
    with open_terminal(START[shell], environ, built.root) as terminal:
        os.write(terminal, f"{PREPARE[shell]}; echo rea''dy\n".encode())
        wait_for(terminal, "ready")
        for typed, rest in (("show llama3-xpu2", "9"), ("remove ti", "ny"), ("create --no-val", "idate")):
            os.write(terminal, f"provision {typed}\t".encode())
            wait_for(terminal, rest)
            os.write(terminal, b"\x15")  # forget the line


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ("provision show llama3-xpu2", {"llama3-xpu29"}),
        ("provision run ti", {"tiny"}),
        ("provision activate ", {"tiny"}),
        ("provision doctor ti", {"tiny"}),
        ("provision show --envs nowhere ti", set()),
    ],
)
def test_names_are_offered_where_they_are_meant(words: str, answers: set[str], built: Lab) -> None:
    """Profiles and environments are offered by what the verb takes; with broken settings nothing is said."""
    count = len(words.split(" ")) - 1
    ask = {"_PROVISION_COMPLETE": "bash_complete", "COMP_CWORD": str(count), "COMP_WORDS": words}
    shown = built.spawn(variables=ask)
    assert {line.removeprefix("plain,") for line in shown.out.split()} == answers
    assert shown.err == ""


def test_powershell_is_answered_with_a_line_for_each(built: Lab) -> None:
    """What its script asks is answered: kind, name and help, with tabs between."""
    ask = {
        "_PROVISION_COMPLETE": "powershell_complete",
        "COMP_WORDS": "provision show llama3-xpu2",
        "COMP_CWORD": "llama3-xpu2",
    }
    assert built.spawn(variables=ask).out.startswith("plain\tllama3-xpu29\tLlama models")
