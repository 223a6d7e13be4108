"""Activation changes what it says and nothing else, and no value is ever evaluated."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path, PureWindowsPath

import pytest

from provisioner.errors import UsageError
from provisioner.install.activation import Activation, apply_activation, plan_activation
from provisioner.install.receipt import Receipt
from provisioner.install.shells import SHELLS, format_activation
from provisioner.profile.rules import VARIABLE_NAME, check_variable
from provisioner.profile.shell_variables import SPECIAL

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
    "NEWLINES": "one\ntouch CANARY\r\ntwo",
    "UNICODE": "dépôt 漢 \U0001f40d",
    "EMPTY": "",
    "SPACES": "  two  ",
    "STAR": "* ~ ? [a]",
}
REAL = [
    pytest.param(
        shell,
        marks=pytest.mark.skipif(
            sys.platform == "win32" or shutil.which(shell) is None, reason=f"there is no {shell}"
        ),
    )
    for shell in ("bash", "zsh", "fish")
]


def activation(**env: str) -> Activation:
    return plan_activation(replace(RECEIPT, env=env), path=[Path("/data/it's here/1-f/bin")])


def run_shell(shell: str, text: str, folder: Path, **environ: str) -> dict[str, str]:
    """Return the exported variables after a shell has read the text, without those that always change."""
    program = shutil.which("env")
    assert program is not None
    result = subprocess.run(
        [shell, "-c", f"{text}; {program} -0"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"} | environ,
        capture_output=True,
        check=True,
    )
    seen = dict(entry.split("=", 1) for entry in result.stdout.decode().split("\0") if "=" in entry)
    return {name: value for name, value in seen.items() if name not in {"_", "SHLVL", "PWD", "OLDPWD"}}


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
    "name", ["A-B", "1A", "", "A B", "X;Y", "PATH", "Path", "é", "_PROVISION_SAVED_X", "A\n", "status", "PS1"]
)
def test_names_that_are_no_variables_are_refused(name: str) -> None:
    """A name goes into scripts as it is, so it has to be one that a profile may set."""
    with pytest.raises(UsageError):
        plan_activation(replace(RECEIPT, env={name: "1"}), path=[])


def test_names_that_a_shell_treats_specially_are_refused() -> None:
    """A receipt that an older version wrote gets no variable past us that a shell evaluates or refuses."""
    for shell, names in SPECIAL.items():
        for name in names:
            with pytest.raises(UsageError) as caught:
                plan_activation(replace(RECEIPT, env={name: "a[$(touch CANARY)]"}), path=[])
            assert caught.value.code == "usage.variable"
            assert "isolation" in caught.value.message or shell in caught.value.message


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


@pytest.mark.parametrize("shell", REAL)
def test_shells_see_every_value_literally(shell: str, tmp_path: Path) -> None:
    """Substitutions, quotes and line breaks come out as they went in, and nothing runs."""
    script = tmp_path / "activate"
    script.write_text(format_activation(activation(**HOSTILE), shell), encoding="utf-8", newline="\n")
    seen = run_shell(shell, ". ./activate", tmp_path)
    assert {name: seen[name] for name in HOSTILE} == HOSTILE
    assert seen["PATH"].startswith("/data/it's here/1-f/bin:")
    assert not (tmp_path / "CANARY").exists()


@pytest.mark.parametrize("shell", REAL)
def test_leaving_restores_what_was_there(shell: str, tmp_path: Path) -> None:
    """After `provision_deactivate` the shell's variables are as before; activating twice leaves once."""
    script = tmp_path / "activate"
    script.write_text(format_activation(activation(A="new", B="new"), shell), encoding="utf-8")
    environ = {"A": "$(old)", "PYTHONHOME": "/old"}
    before = run_shell(shell, "true", tmp_path, **environ)
    assert run_shell(shell, ". ./activate; . ./activate; provision_deactivate", tmp_path, **environ) == before


PROMPTS = {
    "bash": ("PS1='$ '", 'printf "%s\\n" "$PS1"'),
    "zsh": ("PS1='$ '", 'printf "%s\\n" "$PS1"'),
    "fish": ("function fish_prompt; echo '$ '; end", "fish_prompt"),
}


@pytest.mark.parametrize("shell", REAL)
def test_the_prompt_shows_the_environment_while_it_is_active(shell: str, tmp_path: Path) -> None:
    """Its name stands before the prompt, once also after a second activation, and goes on leaving."""
    (tmp_path / "activate").write_text(format_activation(activation(), shell), encoding="utf-8")
    define, show = PROMPTS[shell]

    def see(first: str) -> list[str]:
        script = f"{first}; . ./activate; . ./activate; {show}; provision_deactivate; {show}"
        done = subprocess.run(
            [shell, "-c", script], cwd=tmp_path, capture_output=True, check=True, text=True, env={"HOME": "/"}
        )
        return [line.strip() for line in done.stdout.splitlines()]

    assert see(define) == ["(demo) $", "$"]
    off = "set -g VIRTUAL_ENV_DISABLE_PROMPT 1" if shell == "fish" else "VIRTUAL_ENV_DISABLE_PROMPT=1"
    assert see(f"{define}; {off}") == ["$", "$"]


def test_nu_reads_a_module() -> None:
    """Nu gets an overlay whose values are strings that expand nothing."""
    lines = format_activation(activation(D='$(x) "\\ \n'), "nu").splitlines()
    assert lines[0] == "export-env {"
    assert '  $env.D = "$(x) \\"\\\\ \\n"' in lines
    assert "  hide-env -i PYTHONHOME" in lines


@pytest.mark.parametrize("way", ["source", "eval"])
@pytest.mark.parametrize("shell", REAL)
def test_a_failed_activation_leaves_nothing_half_set(shell: str, way: str, tmp_path: Path) -> None:
    """Where the shell refuses one variable, none is set, the status says so, and nothing is left to undo."""
    before, refused = make_read_only(shell)
    plan = replace(activation(), variables={"A": "new", refused: "new", "C": "new"})
    (tmp_path / "activate").write_text(format_activation(plan, shell), encoding="utf-8")
    collected = "(cat activate | string collect)" if shell == "fish" else '"$(cat activate)"'
    read = ". ./activate" if way == "source" else f"eval {collected}"
    names = ("provision_deactivate", "_provision_activate")
    left = "; ".join(f"type {name} >/dev/null 2>&1 && export LEFT={name}" for name in names)
    environ = {"A": "old", "PYTHONHOME": "/old"}
    seen = run_shell(shell, f"{before}; {read} || export FAILED=yes; {left}", tmp_path, **environ)
    assert seen == run_shell(shell, before, tmp_path, **environ) | {"FAILED": "yes"}


@pytest.mark.parametrize("shell", REAL)
def test_a_failed_activation_keeps_the_one_before(shell: str, tmp_path: Path) -> None:
    """What was active stays active in a shell that can try first; fish leaves it as a whole."""
    before, refused = make_read_only(shell)
    (tmp_path / "first").write_text(format_activation(activation(A="first"), shell), encoding="utf-8")
    plan = replace(activation(), variables={refused: "new", "A": "second"})
    (tmp_path / "second").write_text(format_activation(plan, shell), encoding="utf-8")
    seen = run_shell(shell, f"{before}; . ./first; . ./second", tmp_path, A="old")
    assert seen["A"] == ("old" if shell == "fish" else "first")


def make_read_only(shell: str) -> tuple[str, str]:
    """Return a shell's text and the variable that it makes read-only; fish has none but its own."""
    return ("true", "FISH_VERSION") if shell == "fish" else ("B=mine; readonly B", "B")


@pytest.mark.parametrize("shell", REAL)
def test_every_variable_of_a_real_shell_is_known(shell: str) -> None:
    """A profile may set none of what a shell itself defines, except the locale."""
    program = shutil.which(shell)
    assert program is not None
    words = {"bash": ["--norc", "-c", "compgen -v"], "zsh": ["-fc", "typeset +"], "fish": ["-Nc", "set -n"]}
    done = subprocess.run(
        [program, *words[shell]], env={"PATH": os.environ["PATH"]}, capture_output=True, check=True, text=True
    )
    names = {line.split(" ")[-1] for line in done.stdout.splitlines()}
    own = {name for name in names if re.fullmatch(VARIABLE_NAME, name)} - {"LANG"}
    assert len(own) > 5
    assert [name for name in sorted(own) if check_variable(name) is None] == []


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="there is no bash")
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
