"""Where words go: data to stdout, the rest to stderr, and no stream can break a run."""

import os
import re
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.cli.lab import COMMAND, Lab

if sys.platform == "win32":
    pytest.skip(
        "Windows has no pseudo terminals of this kind, no /dev/full and no /bin/sh", allow_module_level=True
    )
import fcntl
import pty
import termios

ESCAPE = "\x1b"


def run_on_terminal(
    lab: Lab, *arguments: str, columns: int = 80, variables: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Run with stderr on a terminal; return the exit code, stdout and what the terminal got."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = lab.start(
        *arguments, stderr=slave, variables={"TERM": "xterm-256color"} | dict(variables or {})
    )
    os.close(slave)
    seen = bytearray()

    def read() -> None:
        try:
            while data := os.read(master, 65536):
                seen.extend(data)
        except OSError:  # how Linux says that the other end has closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    out, _ = process.communicate(timeout=60)
    reader.join(timeout=10)
    os.close(master)
    return process.returncode, out.decode(), seen.decode()


def test_stdout_is_data_only(tiny: Lab) -> None:
    """Progress goes to stderr; stdout is the result alone."""
    shown = tiny.spawn("create", "tiny", "--no-validate", "--json")
    assert shown.code == 0
    assert shown.data["environment"] == "tiny"
    assert "install: venv base" in shown.err


def test_plain_lines_without_a_terminal(tiny: Lab) -> None:
    """A log gets lines: no escape sequence, no carriage return."""
    shown = tiny.spawn("create", "tiny", "--no-validate", variables={"FORCE_COLOR": "1"})
    assert shown.code == 0
    assert ESCAPE not in shown.out + shown.err
    assert "\r" not in shown.out + shown.err


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"PYTHONIOENCODING": "ascii"}])
def test_plain_lines_on_a_terminal_that_asks_for_them(variables: dict[str, str], tiny: Lab) -> None:
    """NO_COLOR and a terminal without the bars' characters get no escape sequence either."""
    code, _, seen = run_on_terminal(tiny, "create", "tiny", "--no-validate", variables=variables)
    assert code == 0
    assert ESCAPE not in seen
    assert "install: venv base" in seen


@pytest.mark.parametrize("columns", [80, 1])
def test_a_terminal_gets_bars_and_is_left_clean(columns: int, tiny: Lab) -> None:
    """Bars move on a terminal and are gone at the end, the cursor is back, stdout is untouched."""
    code, out, seen = run_on_terminal(tiny, "create", "tiny", "--no-validate", columns=columns)
    assert code == 0
    assert "\x1b[?25l" in seen
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h")
    assert ESCAPE not in out
    assert out.startswith("tiny: built, not validated\n")
    if columns == 80:
        last = re.split(r"\x1b\[[0-9;?]*[A-Za-z]|\r", seen)[-1]
        assert last.strip() == ""
        assert "✓ install venv base" in seen


@pytest.mark.parametrize("columns", [40, 80])
def test_errors_are_filled_to_the_terminal(columns: int, lab: Lab) -> None:
    """No word is cut at the edge and no command is broken; a pipe gets each sentence as one line."""
    piped = lab.spawn("show", "llama3-openvin").err
    code, out, seen = run_on_terminal(lab, "show", "llama3-openvin", columns=columns)
    assert (code, out) == (2, "")
    lines = seen.replace("\r\n", "\n").splitlines()
    assert all(cell_len(line) <= columns for line in lines)
    assert len(lines) > len(piped.splitlines()) == 2
    assert seen.split() == piped.split()
    assert [line for line in lines if not line.startswith(("error: ", "hint: ", "  "))] == []


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_tables_are_filled_to_the_terminal(columns: int, tiny: Lab) -> None:
    """Words go on under their column, none is cut at the edge; a pipe gets each row as one line."""
    description = "A small environment for tests, with 很多 words that need more than one line of a terminal"
    tiny.write_profile("tiny", changes={"A small environment for tests": description})
    tiny.write_profile("plain")
    for verb in (("list",), ("show", "tiny"), ("doctor", "tiny")):
        piped = tiny.spawn(*verb).out
        shown = stdout_on_terminal(tiny, *verb, columns=columns)
        assert max(len(line) for line in piped.splitlines()) > columns
        long = [line for line in shown.splitlines() if cell_len(line) > columns]
        assert [line for line in long if "`" not in line and " is /" not in line] == []  # commands, paths
        same = [re.sub(r"[\d.]+ GiB free|\s", "", text) for text in (shown, piped)]
        assert same[0] == same[1]


@pytest.mark.parametrize("columns", [50, 70])
def test_answers_are_filled_to_the_terminal(columns: int, tiny: Lab) -> None:
    """No word is cut at the edge; a command or a path that is too long has a line of its own, unbroken."""
    assert tiny.spawn("create", "tiny", "--no-validate").code == 0
    piped = tiny.spawn("create", "tiny", "--no-validate").out
    shown = stdout_on_terminal(tiny, "create", "tiny", "--no-validate", columns=columns)
    long = [line for line in shown.splitlines() if cell_len(line) > columns]
    assert [line for line in long if not re.fullmatch(r" +(provision |/).*", line)] == []
    assert (
        "  use it:\n    provision run tiny -- python -c 'import torch; print(torch.__version__)'\n" in shown
    )
    assert shown.split() == piped.split()
    shown = stdout_on_terminal(tiny, "create", "tiny", "--dry-run", columns=columns)
    assert all(cell_len(line) <= columns for line in shown.splitlines())


@pytest.mark.parametrize(
    "verb", [("schema",), ("activate", "tiny", "--shell", "bash"), ("completion", "zsh")]
)
def test_scripts_and_files_are_not_filled(verb: tuple[str, ...], built: Lab) -> None:
    """What a shell or another program reads is the same on a terminal and in a pipe."""
    assert stdout_on_terminal(built, *verb, columns=20) == built.spawn(*verb).out


def stdout_on_terminal(lab: Lab, *arguments: str, columns: int) -> str:
    """Run with stdout on a terminal of so many columns, and return what it got."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with lab.start(*arguments, stdout=slave):
        os.close(slave)
        seen = bytearray()
        with suppress(OSError):  # how Linux says that the other end has closed
            while data := os.read(master, 65536):
                seen.extend(data)
    os.close(master)
    return seen.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("stdin", ["closed", "null"])
def test_nothing_ever_prompts(stdin: str, tiny: Lab) -> None:
    """Without standard input every verb goes on or fails; none waits for an answer."""
    if stdin == "closed":
        line = " ".join([*COMMAND, "explain"])
        shown = subprocess.run(
            ["/bin/sh", "-c", f"{line} <&-"],
            cwd=tiny.root,
            env=tiny.child_environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert shown.returncode == 2
        assert "reads a log, and nothing was given" in shown.stderr
    else:
        assert tiny.spawn("explain").code == 0
        assert tiny.spawn("remove", "tiny").code == 2


def test_a_reader_that_goes_is_no_error(built: Lab) -> None:
    """`| head -1` gets its line and nothing is said about the rest."""
    line = " ".join([*COMMAND, "schema"])
    for end in ("| head -1", "2>&1 | head -1"):
        shown = subprocess.run(
            ["/bin/bash", "-c", f"{line} {end}; exit ${{PIPESTATUS[0]}}"],
            cwd=built.root,
            env=built.child_environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (shown.returncode, shown.stdout, shown.stderr) == (0, "{\n", "")


def test_a_lost_stderr_does_not_stop_a_build(tiny: Lab) -> None:
    """Whoever reads the progress may go: the build ends and is told on stdout."""
    read, write = os.pipe()
    os.close(read)
    shown = tiny.spawn("create", "tiny", "--no-validate", "--json", stderr=write)
    os.close(write)
    assert shown.code == 0
    assert Path(shown.data["prefix"]).is_dir()


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("--help",), ("schema",)])
def test_a_full_disk_behind_stdout_is_told(arguments: tuple[str, ...], built: Lab) -> None:
    """What could not be written is no success."""
    with Path("/dev/full").open("wb") as full:
        shown = built.spawn(*arguments, stdout=full)
    assert shown.code == 1
    assert "no space left on device" in shown.err
    assert "Traceback" not in shown.err


def test_a_full_disk_behind_stderr_does_not_hide_the_result(tiny: Lab) -> None:
    """Progress that cannot be written does not stop a build."""
    with Path("/dev/full").open("wb") as full:
        assert tiny.spawn("create", "tiny", "--no-validate", stderr=full).code == 0


def test_closed_stdout_is_no_crash(built: Lab) -> None:
    """A shell may close stdout (`>&-`)."""
    line = " ".join([*COMMAND, "list"])
    shown = subprocess.run(
        ["/bin/sh", "-c", f"{line} >&-"],
        cwd=built.root,
        env=built.child_environ,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (shown.returncode, shown.stderr) == (0, b"")


@pytest.mark.parametrize(
    "variables",
    [
        {"LANG": "C", "PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LANG": "xx_BAD"},
        {"PYTHONIOENCODING": "cp1252"},
    ],
)
def test_no_locale_is_an_error(variables: dict[str, str], lab: Lab) -> None:
    """Letters that a console does not have are written out; nothing fails."""
    lab.write_profile("han", changes={"A small environment for tests": "大语言模型 für Ärzte"})
    shown = lab.spawn("list", variables=variables)
    assert shown.code == 0
    assert "han" in shown.out
    assert "UnicodeEncodeError" not in shown.err


def test_no_control_character_reaches_the_terminal(lab: Lab) -> None:
    """What a profile or a log smuggles in is written out, not obeyed."""
    text = (lab.write_profile("evil")).read_text(encoding="utf-8")
    lab.envs.joinpath("evil.yaml").write_text(
        text.replace("A small environment for tests", '"red \\e[31m and a \\a bell"'), encoding="utf-8"
    )
    for arguments in (("list",), ("show", "evil"), ("show", "evil\x1b[2J")):
        shown = lab.run(*arguments)
        assert ESCAPE not in shown.out + shown.err
        assert "\a" not in shown.out + shown.err


def test_the_program_is_a_module_too() -> None:
    """`python -m provisioner` is the same program."""
    shown = subprocess.run(
        [sys.executable, "-m", "provisioner", "--version"], capture_output=True, check=False
    )
    assert (shown.returncode, shown.stderr) == (0, b"")
