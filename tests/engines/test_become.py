"""A program gets exactly the arguments that were typed, and comes from nowhere but `PATH`."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.engines.process.become import find_program, quote_windows, translate_exit_code


def split_as_microsoft(line: str) -> list[str]:
    r"""Return the arguments that a program reads from its command line.

    The rules of Microsoft's C library since 2008, without those for the program's own name: 2n backslashes
    before a quote are n, and the quote counts; 2n+1 are n and a quote; two quotes inside quotes are one.
    """
    found: list[str] = []
    place = 0
    while place < len(line):
        if line[place] in " \t":
            place += 1
            continue
        word, inside = "", False
        while place < len(line) and (inside or line[place] not in " \t"):
            slashes = 0
            while place < len(line) and line[place] == "\\":
                slashes, place = slashes + 1, place + 1
            if place < len(line) and line[place] == '"':
                word += "\\" * (slashes // 2)
                if slashes % 2:
                    word += '"'
                elif inside and line[place + 1 : place + 2] == '"':
                    word, place = word + '"', place + 1
                else:
                    inside = not inside
                place += 1
            else:
                word += "\\" * slashes
                if place < len(line) and (inside or line[place] not in " \t"):
                    word, place = word + line[place], place + 1
        found.append(word)
    return found


@pytest.mark.parametrize(
    ("argument", "quoted"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("import sys; print(1)", '"import sys; print(1)"'),
        ('say "hi"', r'"say \"hi\""'),
        ("C:\\some folder\\", '"C:\\some folder\\\\"'),
        ("C:\\folder\\", "C:\\folder\\"),
        ('\\"', r"\\\""),
        ("a\tb", '"a\tb"'),
        ("^&|<>%PATH%", "^&|<>%PATH%"),
        ("ÄÖ 日本", '"ÄÖ 日本"'),
    ],
)
def test_windows_rules_of_quoting(argument: str, quoted: str) -> None:
    """The table of Microsoft's rules; the program reads the same argument back."""
    assert quote_windows("python.exe", ["python", argument]) == f"python {quoted}"
    assert split_as_microsoft(quoted) == [argument]


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5))
def test_every_argument_comes_back(arguments: list[str]) -> None:
    """Whatever is typed, the program reads it as it was."""
    line = quote_windows("python.exe", ["python", *arguments])
    assert split_as_microsoft(line) == ["python", *arguments]


def test_a_batch_file_is_run_by_cmd() -> None:
    """Its arguments are quoted for cmd; what cmd would read as something else is refused."""
    line = quote_windows(r"C:\my env\tool.cmd", ["tool", "a & b", "c\\"], cmd=r"C:\W\cmd.exe")
    assert line == r'"C:\W\cmd.exe" /d /v:off /s /c ""C:\my env\tool.cmd" "a & b" "c\\""'
    for argument in ('a"&calc"', "%PATH%", "a\nb"):
        with pytest.raises(ValueError, match="batch file"):
            quote_windows("tool.bat", ["tool", argument])


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Variables with two folders in ``PATH``, and a current folder that holds a trap."""
    for name in ("here/git.exe", "one/tool.CMD", "two/git.exe", "two/tool.exe", "two/python3.11.exe"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o755)
    monkeypatch.chdir(tmp_path / "here")
    return {"PATH": f"{tmp_path / 'one'};;{tmp_path / 'two'}", "PATHEXT": ".COM;.EXE;.CMD"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("git", "two/git.exe"),
        ("git.exe", "two/git.exe"),
        ("python3.11", "two/python3.11.exe"),
        ("tool", "two/tool.exe"),
        ("absent", None),
        ("./git.exe", "here/git.exe"),
        ("./git", "here/git.exe"),
    ],
)
def test_windows_looks_into_path_alone(
    name: str, found: str | None, folders: dict[str, str], tmp_path: Path
) -> None:
    """A program in the current folder is not taken for one of the environment's."""
    place = find_program(name, folders, windows=True)
    assert (None if place is None else Path(place).resolve()) == (None if found is None else tmp_path / found)


def test_exit_codes_of_windows_fit() -> None:
    """An access violation keeps its bits, Ctrl-C is an interrupt as everywhere."""
    assert [translate_exit_code(code) for code in (0, 7, 0xC0000005, 0xC000013A)] == [0, 7, -1073741819, 130]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("name", ["PIPE", "XFSZ"])
def test_the_program_starts_with_default_signals(name: str) -> None:
    """Python ignores two signals; a program in a pipe has to die of them."""
    script = (
        "import os, sys; from provisioner.engines.process.become import become_program;"
        "become_program('/bin/sh', ['sh', '-c', f'kill -{sys.argv[1]} $$'], dict(os.environ))"
    )
    done = subprocess.run([sys.executable, "-c", script, name], check=False)
    assert done.returncode == -getattr(signal, f"SIG{name}")
