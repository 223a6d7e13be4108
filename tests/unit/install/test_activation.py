"""Activation changes what it says and nothing else, and no value is ever evaluated."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path, PureWindowsPath

import pytest

from provisioner.errors import UsageError
from provisioner.install.activation import (
    SHELLS,
    Activation,
    apply_activation,
    format_activation,
    plan_activation,
)
from provisioner.install.receipt import Receipt

RECEIPT = Receipt(
    environment="demo",
    profile="demo",
    fingerprint="f",
    platform="linux-64",
    base="venv",
    python="3.11.7",
    prefix="/data/it's here/1-f",
    created_at="",
    env={"INSIDE": "{prefix}/lib"},
)
HOSTILE = {
    "DOLLAR": "$(touch CANARY) ${HOME} $HOME",
    "BACKTICK": "`touch CANARY`",
    "QUOTES": "\"; touch CANARY; ' '\" \\' \\",
    "PERCENT": "%PATH% ^& | < > !x!",
    "TYPOGRAPHIC": "\u2018; touch CANARY #\u2019",
    "LINES": "one\ntouch CANARY\r\ntwo",
    "UNICODE": "dépôt 漢 \U0001f40d",
    "EMPTY": "",
    "SPACES": "  two  ",
    "STAR": "* ~ ? [a]",
}
POSIX = [shell for shell in ("bash", "zsh", "fish") if shutil.which(shell)]


def activation(**env: str) -> Activation:
    return plan_activation(replace(RECEIPT, env=env), path=[Path("/data/it's here/1-f/bin")])


def test_the_prefix_is_put_in() -> None:
    """`{prefix}` stands for the folder; the environment's name and kind are told."""
    plan = plan_activation(RECEIPT, path=[Path("/p/bin")])
    assert plan.variables["INSIDE"] == "/data/it's here/1-f/lib"
    assert plan.variables["VIRTUAL_ENV"] == RECEIPT.prefix
    assert plan.variables["PROVISION_ENVIRONMENT"] == "demo"
    conda = plan_activation(replace(RECEIPT, base="conda"), path=[Path("/p/bin")])
    assert conda.variables["CONDA_PREFIX"] == RECEIPT.prefix
    assert "VIRTUAL_ENV" not in conda.variables


@pytest.mark.parametrize(
    "name", ["A-B", "1A", "", "A B", "X;Y", "PATH", "Path", "é", "_PROVISION_SAVED_X", "A\n"]
)
def test_names_that_are_no_variables_are_refused(name: str) -> None:
    """A name goes into scripts as it is, so it has to be one."""
    with pytest.raises(UsageError):
        plan_activation(replace(RECEIPT, env={name: "1"}), path=[])


def test_a_program_gets_the_variables_and_keeps_its_own() -> None:
    """`PATH` is extended, `PYTHONHOME` goes, the rest stays."""
    environ = {"PATH": "/usr/bin", "PYTHONHOME": "/x", "KEEP": "1"}
    got = apply_activation(activation(A="1"), environ, windows=False)
    assert got["PATH"] == "/data/it's here/1-f/bin:/usr/bin"
    assert got["KEEP"] == got["A"] == "1"
    assert "PYTHONHOME" not in got
    assert environ["PYTHONHOME"] == "/x"
    assert apply_activation(activation(), {}, windows=False)["PATH"] == "/data/it's here/1-f/bin"


def test_windows_spells_its_path_as_it_likes() -> None:
    """The variable keeps its spelling there, and folders are separated by semicolons."""
    plan = plan_activation(RECEIPT, path=[PureWindowsPath(r"C:\e"), PureWindowsPath(r"C:\e\Scripts")])
    got = apply_activation(plan, {"Path": r"C:\Windows"}, windows=True)
    assert got["Path"] == r"C:\e;C:\e\Scripts;C:\Windows"
    assert "PATH" not in got


@pytest.mark.skipif(not POSIX, reason="there is none of the shells bash, zsh and fish")
@pytest.mark.parametrize("shell", POSIX)
def test_shells_see_every_value_literally(shell: str, tmp_path: Path) -> None:
    """Substitutions, quotes and line breaks come out as they went in, and nothing runs."""
    script = tmp_path / "activate"
    script.write_text(format_activation(activation(**HOSTILE), shell), encoding="utf-8", newline="\n")
    program = shutil.which("env")
    assert program is not None
    result = subprocess.run(
        [shell, "-c", f". ./activate; {program} -0"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=True,
    )
    seen = dict(entry.split("=", 1) for entry in result.stdout.decode().split("\0") if "=" in entry)
    assert {name: seen[name] for name in HOSTILE} == HOSTILE
    assert seen["PATH"].startswith("/data/it's here/1-f/bin:")
    assert not (tmp_path / "CANARY").exists()


@pytest.mark.skipif(not POSIX, reason="there is none of the shells bash, zsh and fish")
@pytest.mark.parametrize("shell", POSIX)
def test_leaving_restores_what_was_there(shell: str, tmp_path: Path) -> None:
    """After `provision_deactivate` the shell's variables are as before; activating twice leaves once."""
    script = tmp_path / "activate"
    script.write_text(format_activation(activation(A="new", B="new"), shell), encoding="utf-8")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "A": "$(old)", "PYTHONHOME": "/old"}
    before, after = (
        subprocess.run(
            [shell, "-c", text], cwd=tmp_path, env=environ, capture_output=True, check=True, text=True
        ).stdout.splitlines()
        for text in ("env", ". ./activate; . ./activate; provision_deactivate; env")
    )
    volatile = ("_=", "SHLVL=", "PWD=", "OLDPWD=")
    assert sorted(line for line in after if not line.startswith(volatile)) == sorted(
        line for line in before if not line.startswith(volatile)
    )


def test_bash_accepts_strict_mode() -> None:
    """The text works under `set -eu`, with and without a `PATH`."""
    text = format_activation(activation(**HOSTILE), "bash")
    script = f"set -eu\n{text}\nprovision_deactivate\n"
    subprocess.run(["/bin/bash", "-c", script], env={}, check=True)


def test_powershell_doubles_every_kind_of_quote() -> None:
    """PowerShell ends a string at typographic quotes too."""
    text = format_activation(activation(T="\u2019'\u201b", D="$(x) `n"), "powershell")
    assert "$Env:T = '\u2019\u2019''\u201b\u201b'" in text
    assert "$Env:D = '$(x) `n'" in text


@pytest.mark.skipif(shutil.which("pwsh") is None, reason="there is no PowerShell")
def test_powershell_sees_every_value_literally(tmp_path: Path) -> None:
    """The same values, through a real PowerShell."""
    text = format_activation(activation(**HOSTILE), "powershell")
    script = tmp_path / "activate.ps1"
    script.write_text(text + "\nGet-ChildItem Env: | ConvertTo-Json\n", encoding="utf-8")
    subprocess.run(["pwsh", "-NoProfile", "-File", str(script)], cwd=tmp_path, check=True)
    assert not (tmp_path / "CANARY").exists()


def test_cmd_doubles_percent_and_escapes_quotes() -> None:
    """`cmd` expands `%…%` everywhere and leaves quoting at every quotation mark."""
    lines = format_activation(activation(P="%PATH% & x", Q='a" & del "'), "cmd").splitlines()
    assert 'set "P=%%PATH%% & x"' in lines
    assert 'set Q=a^" ^& del ^"' in lines
    assert lines[-1] == 'set "PATH=/data/it\'s here/1-f/bin;%PATH%"'
    with pytest.raises(UsageError, match="several lines"):
        format_activation(activation(L="one\ntwo"), "cmd")


def test_an_unknown_shell_is_named_with_the_known_ones() -> None:
    """The hint lists what there is."""
    with pytest.raises(UsageError) as caught:
        format_activation(activation(), "tcsh")
    assert all(shell in caught.value.hints[0] for shell in SHELLS)
