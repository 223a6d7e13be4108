"""The scripts and workflows around lockfiles do what they say, with nothing but what they need."""

import re
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from provisioner.lock.file import lockfile_path, write_lock
from tests.unit.lock.samples import tiny_lock

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def git(folder: Path, *arguments: str) -> None:
    """Run git in a repository of the test's own."""
    options = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *options, *arguments], cwd=folder, check=True, capture_output=True)


def test_diff_locks_tells_what_the_working_tree_changes(tmp_path: Path) -> None:
    """Added, removed and changed lockfiles have a section; equal ones have none, and damage is told."""
    folder = tmp_path / "lockfiles"
    lock = tiny_lock()
    for name in ("same", "changed", "gone", "damaged"):
        write_lock(lockfile_path(folder, name), replace(lock, profile=name))
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    linux, windows = lock.platforms
    less = replace(lock, profile="changed", platforms=(replace(linux, pip=linux.pip[:3]), windows))
    write_lock(lockfile_path(folder, "changed"), less)
    write_lock(lockfile_path(folder, "new"), replace(lock, profile="new"))
    lockfile_path(folder, "gone").unlink()
    lockfile_path(folder, "damaged").write_text("version: 1\n", encoding="utf-8")
    command = [sys.executable, str(ROOT / "scripts" / "diff-locks"), "HEAD", "--lockfiles", str(folder)]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    sections = re.findall(r"^### `(.*)`$", done.stdout, re.MULTILINE)
    assert sections == ["changed", "damaged.conda-lock.yml", "gone", "new"]
    assert "**linux-64**: 1 removed" in done.stdout
    assert "cannot be compared" in done.stdout


def test_regenerate_locks_finds_a_mirror_in_a_lockfile(tmp_path: Path) -> None:
    """A lockfile that names the mirror instead of the canonical address is caught before it is committed."""
    write_lock(lockfile_path(tmp_path, "tiny"), tiny_lock())
    find_mirrors = runpy.run_path(str(ROOT / "scripts" / "regenerate-locks"))["find_mirrors"]
    mirrors = tmp_path / "mirrors.json"
    mirrors.write_text('{"https://canonical.example/": "http://127.0.0.1:9/x/"}', encoding="utf-8")
    assert find_mirrors(mirrors, tmp_path) == []
    mirrors.write_text('{"https://canonical.example/": "https://download.pytorch.org/"}', encoding="utf-8")
    (found,) = find_mirrors(mirrors, tmp_path)
    assert "holds the mirror's address https://download.pytorch.org/" in found
    assert find_mirrors(None, tmp_path) == []


def test_regenerate_locks_passes_the_exit_code_on(tmp_path: Path) -> None:
    """A job fails where the tool fails."""
    command = [
        sys.executable,
        str(ROOT / "scripts" / "regenerate-locks"),
        "--envs",
        str(tmp_path / "missing"),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_a_full_hash_with_its_version(path: Path) -> None:
    """A moved tag cannot change what runs."""
    uses = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
    assert uses
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in uses)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_names_its_permissions_and_its_limit(path: Path) -> None:
    """No job has more rights than it lists, and none runs for hours."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"]["contents"] in {"read", "write"}
        assert job["timeout-minutes"] <= 60


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_step_puts_an_expression_into_a_shell(path: Path) -> None:
    """What a pull request says reaches a script as a variable, never as part of the script."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all("${{" not in step.get("run", "") for step in steps)
