"""`provision fleet run` with the real Ansible, on machines that are folders of this one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner.pipeline.fleet_run import list_fingerprints
from provisioner.profile.load import load_profile
from tests.cli.lab import COMMAND, Lab, Outcome
from tests.fleet_files import FAILED, PASSED, ROOT, put_host

if sys.platform == "win32":
    pytest.skip("Ansible has no control node on Windows", allow_module_level=True)
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
pytestmark = pytest.mark.skipif(not ANSIBLE.exists(), reason="Ansible is not installed")

LOCKFILE = ROOT / "lockfiles" / "llama3-cpu.conda-lock.yml"
# A machine that answers has its file in `answers`; one that is slow sleeps first.
PLAYBOOK = """\
- name: Answer
  hosts: all
  gather_facts: false
  tasks:
    - name: Work
      ansible.builtin.command: sleep {{ seconds | default(0) }}
      changed_when: false
    - name: Answer
      ansible.builtin.copy:
        src: "{{ answers }}/{{ inventory_hostname }}.json"
        dest: "{{ provision_verdicts_dir }}/{{ inventory_hostname }}.json"
        mode: "0600"
    - name: Tell what it was given
      ansible.builtin.copy:
        content: "{{ provision_profile }} {{ provision_lockfile }}"
        dest: "{{ answers }}/given"
        mode: "0600"
"""


@pytest.fixture
def fleet(lab: Lab) -> Lab:
    """Return a lab with an inventory of three machines; what they answer lies in `answers`."""
    answers = lab.root / "answers"
    lock = min(list_fingerprints(load_profile("llama3-cpu", folders=[ROOT / "envs"]), LOCKFILE))
    passed = replace(PASSED, lock_fingerprint=lock)
    now = datetime.now(UTC).isoformat()
    put_host(answers, "ws-01", passed, gathered_at=now)
    put_host(answers, "ws-02", passed, gathered_at=now)
    put_host(answers, "ws-03", FAILED, gathered_at=now)
    (lab.root / "play.yml").write_text(PLAYBOOK, encoding="utf-8")
    (lab.root / "inventory.ini").write_text(
        "[desks]\nws-01\nws-02\n[far]\nws-03\n[all:vars]\nansible_connection=local\n"
        f"ansible_python_interpreter={sys.executable}\nanswers={answers}\n",
        encoding="utf-8",
    )
    return lab


def run(lab: Lab, *arguments: str) -> Outcome:
    return lab.spawn("fleet", "run", "inventory.ini", "llama3-cpu", "--playbook", "play.yml", *arguments)


def list_asked(lab: Lab) -> set[str]:
    """Return the machines that the last run's playbook was played on."""
    log = (lab.root / "verdicts" / "llama3-cpu" / "ansible.log").read_text(encoding="utf-8")
    return {name for name in ("ws-01", "ws-02", "ws-03") if name in log}


def test_every_machine_is_asked_and_judged(fleet: Lab) -> None:
    """Profile and lockfile reach the playbook; the answer is that of `fleet report`."""
    shown = run(fleet, "--json")
    assert shown.code == 6, shown.err
    assert {each["host"]: each["status"] for each in shown.data["machines"]} == {
        "ws-01": "passed",
        "ws-02": "passed",
        "ws-03": "failed",
    }
    assert "note: ws-01: passed\n" in shown.err
    assert (fleet.root / "answers" / "given").read_text() == f"llama3-cpu {LOCKFILE}"
    report = fleet.run("fleet", "report", "verdicts/llama3-cpu", "--json")
    assert (report.code, report.data["machines"]) == (6, shown.data["machines"])


@pytest.mark.slow
def test_a_second_run_asks_only_those_that_are_not_proven(fleet: Lab) -> None:
    """Who passed with this lock is left out; `--all` and a shorter age ask again."""
    run(fleet)
    shown = run(fleet)
    assert shown.code == 6
    assert "note: 2 of 3 machines are proven for this lock already" in shown.err
    assert list_asked(fleet) == {"ws-03"}
    run(fleet, "--all")
    assert list_asked(fleet) == {"ws-01", "ws-02", "ws-03"}
    (fleet.root / "answers" / "ws-03.json").unlink()
    old = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    put_host(fleet.root / "verdicts" / "llama3-cpu", "ws-01", PASSED, gathered_at=old)
    shown = run(fleet, "--limit", "desks", "--json")
    assert list_asked(fleet) == {"ws-01"}, "another lock is no proof"
    assert shown.code == 0
    run(fleet, "--max-age", "0m")
    assert list_asked(fleet) == {"ws-01", "ws-02", "ws-03"}


@pytest.mark.slow
def test_an_earlier_answer_is_none_of_this_run(fleet: Lab) -> None:
    """A machine that answered once and does not now is missing, and its old file is gone."""
    run(fleet)
    for host in ("ws-01", "ws-02", "ws-03"):
        (fleet.root / "answers" / f"{host}.json").unlink()
    put_host(fleet.root / "answers", "ws-01", PASSED)
    shown = run(fleet, "--all", "--json")
    assert shown.code == 8
    assert {each["host"]: each["status"] for each in shown.data["machines"]} == {
        "ws-01": "passed",
        "ws-02": "missing",
        "ws-03": "missing",
    }
    assert "ansible.log" in shown.data["causes"][0]["reason"]


@pytest.mark.slow
def test_who_should_answer_is_written_down(fleet: Lab) -> None:
    """The report of a part of the fleet still knows the machines that were never asked."""
    run(fleet)
    verdicts = fleet.root / "verdicts" / "llama3-cpu"
    assert (verdicts / "hosts.txt").read_text() == "ws-01\nws-02\nws-03\n"
    assert run(fleet, "--limit", "far", "--json").code == 6
    assert (verdicts / "hosts.txt").read_text() == "ws-01\nws-02\nws-03\n"
    assert verdicts.stat().st_mode & 0o077 == 0


def test_what_is_wrong_before_a_machine_is_asked(fleet: Lab) -> None:
    """No inventory, an empty one, one that Ansible cannot read, a broken playbook: each has its error."""
    for inventory, code in (("nowhere.ini", "fleet.no_inventory"), ("empty.ini", "fleet.inventory")):
        (fleet.root / "empty.ini").write_text("", encoding="utf-8")
        shown = fleet.spawn("fleet", "run", inventory, "llama3-cpu", "--playbook", "play.yml", "--json")
        assert (shown.code, shown.error["code"]) == (2, code)
    (fleet.root / "play.yml").write_text("- hosts: all\n  tasks: 5\n", encoding="utf-8")
    shown = run(fleet, "--json")
    assert (shown.code, shown.error["code"]) == (1, "fleet.ansible")
    assert "tasks" in shown.error["message"]


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ("far:\n  hosts:\n    ws-03: {}\n  vars: [\n", "inventory/far.yml:5:1: YAML parsing failed"),
        ("far:\n  host:\n    ws-03: {}\n", "Skipping unexpected key (host) in group (far)"),
        ("far: [ws-03]\n", "Skipping 'far' as this is not a valid group definition"),
    ],
)
def test_an_inventory_that_can_be_read_in_part_is_refused(fleet: Lab, part: str, place: str) -> None:
    """Ansible warns and goes on without the machines; we name the place, and ask nobody."""
    (fleet.root / "inventory").mkdir()
    shutil.copy(fleet.root / "inventory.ini", fleet.root / "inventory" / "desks")
    (fleet.root / "inventory" / "far.yml").write_text(part, encoding="utf-8")
    shown = fleet.spawn("fleet", "run", "inventory", "llama3-cpu", "--playbook", "play.yml", "--json")
    assert (shown.code, shown.error["code"]) == (2, "fleet.inventory")
    assert place in shown.error["message"]
    assert not (fleet.root / "verdicts").exists()


def test_a_limit_that_names_no_machine_is_refused(fleet: Lab) -> None:
    """One of two names is misspelt: the other one alone is not what was asked for."""
    shown = run(fleet, "--limit", "ws-01,ws-O2", "--json")
    assert (shown.code, shown.error["code"]) == (2, "fleet.inventory")
    assert "ws-O2" in shown.error["message"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
@pytest.mark.parametrize("room", ["nr_inodes=1", "size=4k", "size=100k", "ro"])
def test_a_full_disk_of_the_verdicts_is_told(fleet: Lab, room: str) -> None:
    """No room for the list of machines, Ansible's words or a machine's file: each error names the folder."""
    (fleet.root / "full").mkdir()
    for path in (fleet.root / "answers").iterdir():
        path.write_text(path.read_text(encoding="utf-8") + " " * 200_000, encoding="utf-8")
    mount = f'mount -t tmpfs -o "{room},mode=700" none full && exec "$@"'
    words = ("fleet", "run", "inventory.ini", "llama3-cpu", "--playbook", "play.yml", "--verdicts", "full")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, "sh", *COMMAND, *words, "--json"],
        cwd=fleet.root,
        env=fleet.child_environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 5, done.stderr
    (error,) = json.loads(done.stdout)["errors"]
    assert error["code"] == ("install.disk" if room == "ro" else "install.disk_full")
    assert f"could not write `{fleet.root / 'full'}`" in error["message"]
    assert "--verdicts" in error["hints"][0]


def test_without_ansible_the_extra_is_named(fleet: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verb says what to install; nothing else of the program needs it."""
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    shown = fleet.run("fleet", "run", "inventory.ini", "llama3-cpu", "--json", PATH="/nowhere")
    assert (shown.code, shown.error["code"]) == (2, "fleet.no_ansible")
    assert shown.error["hints"] == ["install it: `pip install '.[fleet]'` in the folder of the source"]


def test_a_stale_lock_stops_before_any_machine(fleet: Lab) -> None:
    """A profile that its lockfile does not answer is built nowhere."""
    fleet.write_profile()
    fleet.lockfile.parent.mkdir()
    shutil.copy(LOCKFILE, fleet.lockfile)
    shown = fleet.spawn("fleet", "run", "inventory.ini", "tiny", "--playbook", "play.yml", "--json")
    assert (shown.code, shown.error["code"]) == (4, "lock.stale")
    assert not (fleet.root / "verdicts").exists()


def wait_for(what: Callable[[], bool], *, seconds: float = 30.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(seconds: str) -> bool:
    """Tell whether a `sleep` of so many seconds runs."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == f"sleep\0{seconds}\0".encode():
                return True
        except OSError:
            continue
    return False


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_ends_what_runs_and_the_next_run_goes_on(
    fleet: Lab, number: signal.Signals, code: int
) -> None:
    """No task of Ansible's lives on, and who had passed is not asked again."""
    seconds = f"{600 + os.getpid() % 1000}.{int(number)}"
    (fleet.root / "host_vars").mkdir()
    (fleet.root / "host_vars" / "ws-03.yml").write_text(f"seconds: '{seconds}'\n", encoding="utf-8")
    free = PLAYBOOK.replace("  hosts: all\n", "  hosts: all\n  strategy: free\n")
    (fleet.root / "play.yml").write_text(free, encoding="utf-8")
    verdicts = fleet.root / "verdicts" / "llama3-cpu"
    process = fleet.start("fleet", "run", "inventory.ini", "llama3-cpu", "--playbook", "play.yml")
    with process:
        wait_for(lambda: is_running(seconds))
        wait_for(lambda: all((verdicts / f"{host}.json").exists() for host in ("ws-01", "ws-02")))
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == code
    wait_for(lambda: not is_running(seconds), seconds=5.0)
    (fleet.root / "host_vars" / "ws-03.yml").write_text("seconds: 0\n", encoding="utf-8")
    shown = run(fleet, "--json")
    assert shown.code == 6
    assert list_asked(fleet) == {"ws-03"}


def test_the_lock_of_a_built_environment_is_known(built: Lab) -> None:
    """What a machine builds of a lockfile has one of the fingerprints that a run takes for proven."""
    found = json.loads(next(built.data.rglob("provision-receipt.json")).read_text(encoding="utf-8"))
    profile = load_profile("tiny", folders=[built.envs])
    assert found["fingerprint"] in list_fingerprints(profile, built.lockfile)
