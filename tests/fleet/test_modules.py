"""The collection's modules, run by ansible-playbook on this machine against real environments."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.lab import REPOSITORY, Lab
from tests.fleet.control import LOCALHOST, Control, write_command
from tests.fleet.standin_torch import STANDIN_TORCH
from tests.loopback import serve

pytestmark = pytest.mark.slow

HOSTS = REPOSITORY / "tests" / "data" / "hosts"


class Machine:
    """A managed machine: a lab's folders, seen through the modules."""

    def __init__(self, lab: Lab) -> None:
        """Give the machine a `provision` command and a control node."""
        self.lab = lab
        self.control = Control(root=lab.root / "control", environ=lab.environ)
        self.control.root.mkdir(exist_ok=True)
        self.command = write_command(lab.root / "bin")

    def ask(self, module: str, *arguments: str, **options: Any) -> dict[str, Any]:
        """Run a module with the lab's folders."""
        places = {"executable": self.command, "data_dir": self.lab.data, "envs": self.lab.envs}
        return self.control.ask(
            module, *arguments, **{key: str(value) for key, value in places.items()} | options
        )


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Yield a lab with two versions of an app, and the profile `tiny` locked with the older one."""
    with serve() as server:
        lab = Lab(root=tmp_path_factory.mktemp("locked"), server=server)
        lab.offer("tinyapp", "1.1")
        lab.lock_tiny(torch=STANDIN_TORCH, changes={"- tinyapp": "- tinyapp==1.0"})
        yield lab


@pytest.fixture
def machine(tmp_path: Path, locked: Lab) -> Machine:
    """Return a machine with the profile `tiny`, locked and not built."""
    lab = Lab(root=tmp_path, server=locked.server)
    lab.copy_tiny(locked)
    return Machine(lab)


def test_environment_is_built_once_and_removed_once(machine: Machine) -> None:
    """The first run changes, the second does not; the same for the removal; check mode tells both before."""
    lab = machine.lab
    told = machine.ask("environment", "--check", "--diff", profile="tiny", validate=False)
    assert (told["changed"], lab.data.exists()) == (True, False)
    assert "+ tinyapp 1.0" in told["diff"]["prepared"]
    assert "+ tinyapp 1.0" in told["_out"]
    built = machine.ask("environment", profile="tiny", validate=False)
    assert (built["changed"], built["failed"], built["status"]) == (True, False, "unvalidated")
    before = lab.tree()
    for arguments in ((), ("--check",)):
        again = machine.ask("environment", *arguments, profile="tiny", validate=False)
        assert (again["changed"], again["failed"], again["diff"]["prepared"]) == (False, False, "")
    assert machine.ask("environment", "--check", name="tiny", state="absent")["changed"] is True
    assert lab.tree() == before
    assert machine.ask("environment", name="tiny", state="absent")["changed"] is True
    assert machine.ask("environment", name="tiny", state="absent")["changed"] is False
    assert machine.ask("verdict_info")["environments"] == []


def test_another_lock_is_a_change_and_the_diff_is_ours(machine: Machine) -> None:
    """Diff mode shows what `provision diff` would show of the two locks."""
    assert machine.ask("environment", profile="tiny")["status"] == "passed"
    machine.lab.write_profile(changes={"- tinyapp": "- tinyapp==1.1"})
    stale = machine.ask("environment", profile="tiny")
    assert (stale["failed"], stale["changed"], stale["status"]) == (True, False, "error")
    assert stale["errors"][0]["code"] == "lock.stale"
    assert machine.lab.run("lock", "tiny").code == 0
    changed = machine.ask("environment", "--diff", profile="tiny")
    assert (changed["changed"], changed["status"]) == (True, "passed")
    assert "~ tinyapp 1.0 -> 1.1" in changed["diff"]["prepared"]
    (row,) = machine.ask("verdict_info", name="tiny")["environments"]
    assert (row["verdict"], row["generation"]) == ("passed", 2)


def test_unvalidated_is_never_ok(machine: Machine) -> None:
    """Exit 7 fails the task under its own status, in the build and in a validation; passed does not."""
    built = machine.ask("environment", profile="tiny", device="xpu")
    assert (built["failed"], built["changed"]) == (True, True)
    assert (built["status"], built["exit_code"]) == ("unvalidated", 7)
    assert built["errors"][0]["code"] == "validate.device_missing"
    assert "torch sees no `xpu` device" in built["msg"]
    again = machine.ask("validate", name="tiny", device="xpu")
    assert (again["failed"], again["status"], again["exit_code"]) == (True, "unvalidated", 7)
    passed = machine.ask("validate", name="tiny", device="cpu")
    assert (passed["failed"], passed["changed"], passed["status"]) == (False, False, "passed")
    assert passed["result"]["data"]["report"]["verdict"] == "passed"
    assert machine.ask("validate", "--check", name="tiny")["skipped"] is True


def test_a_failed_check_is_a_failed_task(machine: Machine) -> None:
    """Exit 6: what is installed is not what was locked."""
    machine.ask("environment", profile="tiny", validate=False)
    (module,) = machine.lab.data.glob("environments/tiny/generations/*/lib/python*/site-packages/tinyapp.py")
    module.unlink()
    module.write_text("VERSION = 'evil'\n", encoding="utf-8")
    failed = machine.ask("validate", name="tiny")
    assert (failed["failed"], failed["status"], failed["exit_code"]) == (True, "failed", 6)


def test_machines_are_grouped_by_their_cards(machine: Machine) -> None:
    """The facts of a recorded machine make a group of its class of card."""
    play = [
        {
            "name": "Cards",
            "hosts": "all",
            "gather_facts": False,
            "tasks": [
                {
                    "name": "Gather cards",
                    "provision.workstations.doctor_facts": {"executable": str(machine.command)},
                },
                {
                    "name": "Group",
                    "ansible.builtin.group_by": {
                        "key": "card_{{ ansible_facts.provision.gpu_class | replace('-', '_') }}"
                    },
                },
            ],
        },
        {
            "name": "Alchemist only",
            "hosts": "card_arc_a",
            "gather_facts": False,
            "tasks": [
                {
                    "name": "Tell",
                    "ansible.builtin.debug": {
                        "msg": "{{ ansible_facts.provision.gpus[0].product }}"
                        " {{ ansible_facts.provision.layers.gpu }}"
                    },
                }
            ],
        },
    ]
    facts = {"PROVISION_FROM": str(HOSTS / "linux-arc-a770-healthy.json")}
    control = replace(machine.control, environ=machine.lab.environ | facts)
    played = control.play(play, inventory=LOCALHOST)
    assert played.code == 0, played.out
    assert '"msg": "Arc A770 pass"' in played.out


def test_a_machine_without_the_command_says_what_to_do(machine: Machine) -> None:
    """The error has the form of ours, so that a report needs no second way to read it."""
    lost = machine.ask("environment", profile="tiny", executable="/nowhere/provision")
    assert (lost["failed"], lost["status"], lost["exit_code"]) == (True, "error", None)
    (error,) = lost["errors"]
    assert error["code"] == "fleet.no_command"
    assert "install provision" in error["hints"][0]
    other = machine.ask("verdict_info", executable="/bin/echo")
    assert other["errors"][0]["code"] == "fleet.no_document"
