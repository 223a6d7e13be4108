"""`provision shell` opens the user's own shell inside an environment, wherever the data folder lies."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.lab import COMMAND, REPOSITORY, Lab


@pytest.fixture(scope="module")
def quoted(built: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return a lab with `tiny` built in a folder whose name has a quote, spaces and a dollar sign."""
    root = tmp_path_factory.mktemp("shell") / "it's a $root"
    root.mkdir()
    lab = Lab(root=root, server=built.server)
    lab.copy_tiny(built)
    lab.build_tiny()
    return lab


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_opens_inside_and_leaves_again(shell: str, quoted: Lab) -> None:
    """The user's start-up file runs first, the environment's python is found, and leaving restores `PATH`."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell}")
    start = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}[shell]
    path = quoted.home / start
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("echo started\n", encoding="utf-8")
    shown = quoted.spawn(
        "shell",
        "tiny",
        data=b"command -v python\necho $VIRTUAL_ENV\nprovision_deactivate\n/usr/bin/env\nexit 3\n",
        variables={"SHELL": program, "TERM": "dumb"},
    )
    lines = shown.out.splitlines()
    prefix = str(quoted.data / "environments" / "tiny" / "generations")
    assert shown.code == 3, shown.err
    assert lines.index("started") < next(n for n, line in enumerate(lines) if line.startswith(prefix))
    assert sum(line.startswith(prefix) for line in lines) == 2
    assert f"PATH={quoted.environ['PATH']}" in lines
    assert not [line for line in lines if line.startswith(("VIRTUAL_ENV=", "ZDOTDIR="))]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh")
def test_zsh_reads_its_files_where_the_user_keeps_them(quoted: Lab, tmp_path: Path) -> None:
    """A user's ZDOTDIR counts, and is there again for every zsh that is started inside."""
    (tmp_path / ".zshrc").write_text("echo from the folder\n", encoding="utf-8")
    shown = quoted.spawn(
        "shell",
        "tiny",
        data=b"echo $ZDOTDIR\nexit\n",
        variables={"SHELL": "/bin/zsh", "ZDOTDIR": str(tmp_path), "TERM": "dumb"},
    )
    assert shown.out.splitlines() == ["from the folder", str(tmp_path)]


@pytest.mark.skipif(sys.platform == "win32", reason="runs the programs of POSIX")
@pytest.mark.parametrize(
    ("device", "selector"),
    [
        ("cpu", "*:cpu"),
        ("xpu", "level_zero:gpu"),
        ("xpu:1", "level_zero:1"),
        ("xpu:0,xpu:2", "level_zero:0,2"),
    ],
)
def test_a_program_sees_the_chosen_devices(device: str, selector: str, built: Lab) -> None:
    """`run --device` selects by SYCL's own variable, for one device or several."""
    shown = built.spawn("run", "--device", device, "tiny", "--", "printenv", "ONEAPI_DEVICE_SELECTOR")
    assert (shown.code, shown.out.strip()) == (0, selector)


@pytest.mark.parametrize("device", ["gpu", "xpu:0,cpu", "xpu:x", "", "xpu,xpu:1", "xpu:0;ls"])
def test_a_device_that_is_none_is_refused(device: str, built: Lab) -> None:
    """What names no device ends the command before anything runs."""
    assert built.run("run", "--device", device, "tiny", "--", "true", "--json").code == 2


@pytest.mark.skipif(shutil.which("direnv") is None, reason="there is no direnv")
def test_direnv_activates_a_folder(built: Lab, tmp_path: Path) -> None:
    """The layout that the page shows activates the folder's environment, and leaves with the folder."""
    page = (REPOSITORY / "docs" / "how-to" / "shells.md").read_text(encoding="utf-8")
    layout = page.partition("```bash\nlayout_provision")[2].partition("```")[0]
    home = tmp_path / "home"
    (home / ".config" / "direnv").mkdir(parents=True)
    (home / ".config" / "direnv" / "direnvrc").write_text(f"layout_provision{layout}", encoding="utf-8")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "provision.yaml").write_text("profile: tiny\n", encoding="utf-8")
    (folder / ".envrc").write_text("layout provision\n", encoding="utf-8")
    (tmp_path / "tools").mkdir()
    program = tmp_path / "tools" / "provision"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    environ = built.child_environ | {"HOME": str(home), "PATH": f"{program.parent}:{built.environ['PATH']}"}

    def ask(*words: str) -> str:
        done = subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    ask("direnv", "allow", ".")
    shown = ask("direnv", "exec", ".", "python", "-c", "import sys, tinyapp; print(sys.prefix)")
    assert Path(shown.strip()).is_relative_to(built.data / "environments" / "tiny")
    assert ask("direnv", "exec", ".", "printenv", "PROVISION_ENVIRONMENT") == "tiny\n"
