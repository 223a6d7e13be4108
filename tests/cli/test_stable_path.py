"""An environment's stable path: it leads to the current generation, and other installers write nothing."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from uv import find_uv_bin

from provisioner.install.markers import format_markers, write_markers
from tests.cli.lab import Lab
from tests.installing import list_tree, make_plan

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="runs the programs of POSIX")


@pytest.fixture
def home(tiny: Lab) -> Path:
    """Return the folder of the environment `tiny`, built once."""
    tiny.build_tiny()
    return tiny.data / "environments" / "tiny"


def ask(program: Path, *arguments: str, **variables: str) -> str:
    """Run a program and return what it printed."""
    done = subprocess.run(
        [program, *arguments], env=os.environ | variables, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_tools_that_keep_a_path_start_the_new_generation(tiny: Lab, home: Path) -> None:
    """The same path, also as a script's interpreter, runs the generation that is current at its start."""
    first = home / "generations" / (home / "current").read_text().strip()
    script = tiny.root / "script"
    script.write_text(f"#!{home / 'bin' / 'python'}\nimport sys\nprint(sys.prefix)\n")
    script.chmod(0o700)
    assert ask(script) == str(first)
    row = tiny.run("list", "--json").data["environments"][0]
    assert (row["path"], row["python"]) == (str(home / "env"), str(home / "bin" / "python"))
    assert tiny.run("create", "tiny", "--no-validate", "--rebuild").code == 0
    second = ask(script)
    assert second != str(first)
    assert ask(Path(row["python"]), "-c", "import sys; print(sys.prefix)") == second
    assert Path(row["path"]).resolve() == Path(second)


@pytest.mark.skipif(shutil.which("flock") is None, reason="there is no flock")
def test_a_running_program_keeps_its_generation(tiny: Lab, home: Path) -> None:
    """What the launcher became imports from its own generation after a switch, and `clean` keeps it."""
    words = [
        str(home / "bin" / "python"),
        "-uc",
        "print(1); input(); import tinyapp; print(tinyapp.__file__)",
    ]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "1\n"
        first = (home / "env").resolve()
        assert tiny.run("create", "tiny", "--no-validate", "--rebuild").code == 0
        assert "using it" in tiny.run("clean", "--json").out
        out, _ = program.communicate("\n", timeout=20)
    assert Path(out.strip()).is_relative_to(first)
    assert tiny.run("clean").code == 0
    assert not first.exists()


def test_an_activated_shell_follows(tiny: Lab, home: Path) -> None:
    """A shell that was activated before a rebuild runs the new generation, without activating again."""
    script = tiny.run("activate", "tiny", "--shell", "bash").out
    assert tiny.run("create", "tiny", "--no-validate", "--rebuild").code == 0
    shown = ask(
        Path("/bin/bash"),
        "-c",
        f'{script}\necho "$VIRTUAL_ENV"; python -c "import sys; print(sys.prefix)"',
    )
    assert shown.splitlines() == [str(home / "env"), str((home / "env").resolve())]


@pytest.mark.parametrize("spoilt", ["gone", "old"])
def test_nothing_to_do_mends_the_path(spoilt: str, tiny: Lab, home: Path) -> None:
    """A `create` that was killed before it wrote the link, or is of an older version, leaves no stale one."""
    (home / "env").unlink()
    if spoilt == "old":
        (home / "env").symlink_to("generations/9-00000000")
    assert tiny.run("create", "tiny", "--no-validate").code == 0
    assert (home / "env").resolve().name == (home / "current").read_text().strip()


def test_removing_follows_no_link(tiny: Lab, home: Path) -> None:
    """`remove` deletes the link and not what somebody let it lead to."""
    kept = tiny.root / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (home / "env").unlink()
    (home / "env").symlink_to(kept)
    assert tiny.run("remove", "tiny").code == 0
    assert not home.exists()
    assert (kept / "file").exists()


def test_other_installers_name_the_verb(built: Lab) -> None:
    """In an environment pip, conda and uv answer with the verb that locks, and write nothing."""
    home = built.data / "environments" / "tiny"
    script = built.run("activate", "tiny", "--shell", "bash").out
    before = list_tree(home)
    for line in (
        "pip install tinyapp",
        "pip3 list",
        "python -m pip install tinyapp",
        "uv pip install tinyapp",
        "uv --quiet pip uninstall tinyapp",
        "conda install -y tinyapp",
        "mamba remove tinyapp",
    ):
        done = subprocess.run(
            ["bash", "-c", f"{script}\n{line}"],
            env=built.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, "provision add tiny" in done.stderr) == (2, True), line
    shown = built.spawn("run", "tiny", "--", "uv", "pip", "install", "tinyapp")
    assert (shown.code, "provision add tiny" in shown.err) == (2, True)
    assert list_tree(home) == before


def test_other_installers_may_work_elsewhere(built: Lab, tmp_path: Path) -> None:
    """What names another environment, or changes none, is handed on with its exit code."""
    home = built.data / "environments" / "tiny"
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("uv", "conda"):
        (tools / name).write_text('#!/bin/sh\necho "$0 $*"\nexit 7\n')
        (tools / name).chmod(0o700)
    for line in ("uv pip install --target=x y", "uv lock", "conda install -n other y", "conda env list"):
        done = subprocess.run(
            [home / "bin" / line.split()[0], *line.split()[1:]],
            env=built.environ | {"PATH": f"{home / 'bin'}:{tools}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (7, f"{tools}/{line}\n")


def test_a_conda_prefix_stops_real_pip_and_uv(tiny: Lab) -> None:
    """Both read the marker of a conda prefix (PEP 668), say the verb and write nothing."""
    prefix = make_prefix(tiny.root / "prefix")
    stdlib = next(prefix.glob("lib/python3*"))
    write_markers(format_markers(make_plan(name="demo"), prefix, stdlib=stdlib))
    assert (prefix / "conda-meta" / "frozen").is_file()
    before = list_tree(prefix)
    python = str(prefix / "bin" / "python")
    for words in (
        [python, "-m", "pip", "install", "--no-index", "tinyapp"],
        [find_uv_bin(), "pip", "install", "--offline", "--no-config", "--python", python, "tinyapp"],
    ):
        done = subprocess.run(
            words,
            env=tiny.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert "provision add demo" in " ".join(done.stderr.split()), done.stderr
    assert list_tree(prefix) == before


def make_prefix(prefix: Path) -> Path:
    """Make a prefix with an interpreter that is no virtual environment, of this one's files, and with pip."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = prefix / "lib" / version
    library.mkdir(parents=True)
    for path in Path(sysconfig.get_path("stdlib")).iterdir():
        if path.name not in {"site-packages", "EXTERNALLY-MANAGED", "dist-packages"}:
            (library / path.name).symlink_to(path)
    import pip

    for site in ("site-packages", "dist-packages"):  # Debian's Python looks into the second
        (library / site).mkdir()
        (library / site / "pip").symlink_to(Path(pip.__file__).parent)
    (prefix / "bin").mkdir()
    (prefix / "conda-meta").mkdir()
    shutil.copy2(Path(sys.executable).resolve(), prefix / "bin" / version)
    (prefix / "bin" / "python").symlink_to(version)
    for name in ("libpython3.so", f"lib{version}.so.1.0"):
        beside = Path(sysconfig.get_config_var("LIBDIR")) / name
        if beside.is_file():
            (prefix / "lib" / name).symlink_to(beside)
    return prefix
