"""The provisioner's own dependencies are locked, and the lockfiles say what `pyproject.toml` asks for."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[3]
INSTALL = "python3 -m pip install -r lockfiles/{} && python3 -m pip install --no-deps --no-build-isolation {}"
DIGEST = "0" * 64
PROJECT = """\
[build-system]
requires = ["hatchling>=1.25"]
[project]
dependencies = ["click>=8.1", "colorama; sys_platform == 'win32'"]
[project.optional-dependencies]
dev = ["Py.Test>=8"]
"""


def make_lock(*pins: str, note: str = "# via provision-arc (pyproject.toml)") -> str:
    """Return a lockfile's text as uv writes it, for a package a line."""
    return "--only-binary :all:\n\n" + "".join(
        f"{pin} \\\n    --hash=sha256:{DIGEST} \\\n    --hash=sha256:{DIGEST}\n    {note}\n" for pin in pins
    )


RUN_PINS = ("click==8.2.0", "colorama==0.4.6 ; sys_platform == 'win32'", "hatchling==1.33.0")


def write_checkout(root: Path, *, run: str = make_lock(*RUN_PINS), dev: str | None = None) -> Path:
    """Write a checkout's `pyproject.toml` and lockfiles."""
    (root / "lockfiles").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (root / "lockfiles" / "provision.txt").write_text(run, encoding="utf-8")
    (root / "lockfiles" / "provision-dev.txt").write_text(
        make_lock(*RUN_PINS, "py-test==9.0") if dev is None else dev, encoding="utf-8"
    )
    return root


def find_stale(root: Path) -> list[str]:
    """Return what the script finds in a checkout."""
    found: list[str] = runpy.run_path(str(ROOT / "scripts" / "lock-self"))["find_stale"](root)
    return found


def test_the_committed_lockfiles_answer_pyproject() -> None:
    """Dependencies, tools of the tests and build backend have one version with hashes on every system."""
    assert find_stale(ROOT) == [], "run `scripts/lock-self` and commit both lockfiles"


def test_the_committed_lockfiles_let_pip_build_nothing_but_the_provisioner() -> None:
    """A wheel that pip builds fetches its build tools, which no lockfile names."""
    for name in ("provision.txt", "provision-dev.txt"):
        assert "\n--only-binary :all:\n" in (ROOT / "lockfiles" / name).read_text(encoding="utf-8")


def test_lockfiles_in_step_have_no_finding(tmp_path: Path) -> None:
    """Names are compared as pip does, and a package for Windows alone needs no pin elsewhere."""
    assert find_stale(write_checkout(tmp_path)) == []


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (make_lock(*RUN_PINS[1:]), "`click>=8.1` is answered by nothing on linux, Python 3.11"),
        (make_lock("click==8.0", *RUN_PINS[1:]), "`click>=8.1` is answered by `8.0` on linux"),
        (make_lock(*RUN_PINS[:2]), "`hatchling>=1.25` is answered by nothing"),
        (make_lock(RUN_PINS[0], RUN_PINS[2]), "is answered by nothing on win32"),
        (make_lock(*RUN_PINS, "click==8.3"), "is answered by `8.2.0` and `8.3`"),
        (make_lock(*RUN_PINS, "left-over==1"), "`left-over` is not asked for any more"),
        (make_lock(*RUN_PINS) + "httpx==1\n", "`httpx==1` has no hash"),
        ("--index-url https://index.example/simple\n" + make_lock(*RUN_PINS), "holds an index's address"),
        (make_lock(*RUN_PINS, "rich==1", note="# via click"), "provision-dev.txt: lacks `rich==1`"),
    ],
)
def test_a_lockfile_out_of_step_says_where(run: str, reason: str, tmp_path: Path) -> None:
    """A dependency that was added, raised or dropped without locking again is found without a network."""
    assert any(reason in line for line in find_stale(write_checkout(tmp_path, run=run)))


def test_the_check_exits_with_the_code_of_a_stale_lock_and_says_what_to_do(tmp_path: Path) -> None:
    """`scripts/lock-self --check` is a gate: exit 4, the finding, the remedy, and nothing written."""
    root = write_checkout(tmp_path, dev="")
    command = [sys.executable, str(ROOT / "scripts" / "lock-self"), "--check", "--root", str(root)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 4
    assert "lockfiles/provision-dev.txt: `Py.Test>=8` is answered by nothing" in done.stderr
    assert "hint: run `scripts/lock-self`" in done.stderr
    assert (root / "lockfiles" / "provision-dev.txt").read_text(encoding="utf-8") == ""
    (root / "lockfiles" / "provision.txt").unlink()
    assert find_stale(root) == ["lockfiles/provision.txt: cannot be read: No such file or directory"]


def test_readme_and_ci_install_what_is_locked() -> None:
    """Both README commands and CI name the lockfiles, and nothing else of the index is asked for."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{INSTALL.format('provision.txt', '.')} && provision create llama3-cpu\n" in readme
    assert f"{INSTALL.format('provision-dev.txt', '-e .')} && python3 -m pytest\n" in readme
    for path in (*(ROOT / ".github").rglob("*.yml"), ROOT / ".ci" / "run"):
        for line in re.findall(r"\bpip install (.*)", path.read_text(encoding="utf-8")):
            locked = re.search(r"-r (tool/|\"\$SOURCE/)?lockfiles/provision(-dev)?\.txt\"?$", line)
            own = re.search(r"--no-deps --no-build-isolation (-e )?(\.|\./tool|\"\$SOURCE\")$", line)
            newest = line == "--upgrade -e '.[dev]'"  # the job that may fail
            assert locked or own or newest, f"{path.name}: {line}"


def test_the_oldest_python_is_the_one_that_is_allowed() -> None:
    """The lockfiles are made for every Python from the oldest that `pyproject.toml` allows."""
    script = runpy.run_path(str(ROOT / "scripts" / "lock-self"))
    project = script["read_project"](ROOT)["project"]
    assert Requirement(f"python{project['requires-python']}").specifier.contains(script["PYTHONS"][0])
    assert project["requires-python"] == f">={script['PYTHONS'][0]}"
