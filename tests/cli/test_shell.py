"""`provision shell` opens the user's own shell inside an environment, wherever the data folder lies."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.lab import Lab


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
