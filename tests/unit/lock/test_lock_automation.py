"""The scripts and workflows around lockfiles do what they say, with nothing but what they need."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from provisioner.lock.file import lockfile_path, write_lock
from tests.repositories import git
from tests.unit.lock.samples import tiny_lock

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTION = ROOT / ".github" / "actions" / "provision" / "action.yml"
OURS = "./.github/"


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


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION], ids=lambda path: path.name)
def test_every_action_is_pinned_by_a_full_hash_with_its_version(path: Path) -> None:
    """A moved tag cannot change what runs."""
    uses = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
    uses = [line for line in uses if not line.startswith(OURS)]
    assert uses
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in uses)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_names_its_permissions_and_its_limit(path: Path) -> None:
    """No job has more rights than it lists, and none runs for hours."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"]["contents"] in {"read", "write"}
        # A workflow that is called has limits of its own.
        assert job.get("uses", "").startswith(OURS) or job["timeout-minutes"] <= 60


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_step_puts_an_expression_into_a_shell(path: Path) -> None:
    """What a pull request says reaches a script as a variable, never as part of the script."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job.get("steps", ())]
    assert all("${{" not in step.get("run", "") for step in steps)


def list_scripts() -> list[str]:
    """Return the scripts of our workflows and of our action."""
    jobs = [job for path in WORKFLOWS for job in yaml.safe_load(path.read_text("utf-8"))["jobs"].values()]
    steps = [step for job in jobs for step in job.get("steps", ())]
    steps += yaml.safe_load(ACTION.read_text("utf-8"))["runs"]["steps"]
    return [step["run"] for step in steps if "run" in step]


def test_the_action_names_what_it_takes_and_gives() -> None:
    """Every input is used and has a word; no expression stands in a script; outputs come from steps."""
    text = ACTION.read_text(encoding="utf-8")
    action = yaml.safe_load(text)
    assert all(each["description"] for each in (*action["inputs"].values(), *action["outputs"].values()))
    assert all(f"inputs.{name}" in text for name in action["inputs"])
    assert all("${{" not in step.get("run", "") for step in action["runs"]["steps"])
    page = (ROOT / "docs" / "how-to" / "locks-in-ci.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in page for name in action["inputs"])


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="Debian's shellcheck is not installed")
def test_shellcheck_has_nothing_to_say() -> None:
    """The scripts of workflows and action quote what they must."""
    for script in list_scripts():
        command = ["shellcheck", "--shell=bash", "--severity=warning", "-"]
        done = subprocess.run(command, input=script, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_actions_scripts_build_and_prove(tmp_path: Path) -> None:
    """Run as a runner does, with a tool that is there: outputs, summary and report are written."""
    steps = {
        step["id"]: step
        for step in yaml.safe_load(ACTION.read_text("utf-8"))["runs"]["steps"]
        if "id" in step
    }
    for name in ("output", "summary", "env"):
        (tmp_path / name).touch()
    environ = {name: text for name, text in os.environ.items() if not name.startswith("PROVISION_")}
    environ |= {
        "HOME": str(tmp_path),
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "BIN": str(Path(sys.executable).parent),
        "PROFILE": "llama3-openvino",
        "ENVIRONMENT": "llama3-openvino",
        "DEVICE": "cpu",
    }
    for name in ("build", "prove"):
        # As GitHub starts `shell: bash`.
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps[name]["run"]]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environ)
        if done.returncode == 8:
            pytest.skip(reason="no package index can be reached here")
        assert done.returncode == 0, done.stdout + done.stderr
    outputs = dict(line.split("=", 1) for line in (tmp_path / "output").read_text("utf-8").splitlines())
    assert outputs["verdict"] == "passed"
    assert Path(outputs["python"]).exists()
    assert "passed on cpu" in (tmp_path / "summary").read_text("utf-8")
    assert {path.name for path in (tmp_path / "provision-report").iterdir()} == {
        "report.html",
        "report.txt",
        "report.xml",
    }
