"""Machines with an sshd each, a mirror among them: what the playbook says when some of them are broken.

The verb is played as docs/how-to/many-machines.md has it.
"""

import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.lab import ENVELOPE, REPOSITORY, Lab, check_error
from tests.fleet.control import COLLECTION, Control, Played, write_command
from tests.fleet.machines import Machine, Network, find_faketime, find_obstacle, open_network
from tests.fleet.standin_torch import STANDIN_TORCH
from tests.loopback import Loopback, serve

pytestmark = [pytest.mark.fleet, pytest.mark.slow, pytest.mark.timeout(900)]

HOSTS = REPOSITORY / "tests" / "data" / "hosts"
CARDS = {
    "ws-a770": "linux-arc-a770-healthy.json",
    "ws-b580": "linux-arc-b580-old-kernel.json",
    "ws-two": "linux-nvidia-and-two-b70.json",
    "ws-nvidia": "linux-nvidia-only.json",
}
SOUND = ("ws-a770", "ws-b580", "ws-two", "ws-clock")
STATUS = {
    **dict.fromkeys(SOUND, "passed"),
    "ws-nvidia": "unvalidated",
    "ws-alone": "error",
    "ws-dies": "unreachable",
    "ws-full": "error",
    "ws-off": "unreachable",
}
DAYS_BEHIND = 400


@dataclass(kw_only=True)
class Fleet:
    """A control node, machines with their mirror, and the server that stands for the world outside."""

    network: Network
    lab: Lab
    outside: Loopback
    control: Control

    @property
    def verdicts(self) -> Path:
        """Return the folder of the verdicts."""
        return self.control.root / "verdicts"

    @property
    def inventory(self) -> dict[str, Any]:
        """Return the inventory: the mirror, and the machines that use it."""
        mirror = self.network.machines["mirror"]
        hosts = {name: self.network.describe(name) for name in self.network.machines if name != "mirror"}
        for name, host in hosts.items():
            host["provision_executable"] = str(self.network.machines[name].folder / "bin" / "provision")
        hosts["ws-full"]["provision_data_dir"] = str(self.network.machines["ws-full"].home / "small")
        hosts["ws-nvidia"]["provision_device"] = "xpu"
        hosts["ws-a770"]["provision_user"] = "games"
        return {
            "mirrors": {
                "hosts": {
                    "mirror": self.network.describe(
                        "mirror",
                        mirror_executable=str(mirror.folder / "bin" / "provision"),
                        mirror_profiles=["tiny"],
                        mirror_envs=str(self.lab.envs),
                        mirror_mirrors=str(self.control.root / "outside.json"),
                        mirror_folder=str(mirror.home / "www"),
                        mirror_listen=f"{mirror.address}:8480",
                        mirror_url=f"http://{mirror.address}:8480",
                        mirror_nginx="present",
                        mirror_site=str(mirror.home / "site.conf"),
                    )
                }
            },
            "workstations": {
                "hosts": hosts,
                "vars": {
                    "provision_mirror_url": f"http://{mirror.address}:8480",
                    "provision_envs_dir": str(self.lab.envs),
                    "provision_ssh_args": "-o ServerAliveInterval=2 -o ServerAliveCountMax=2",
                },
            },
        }

    def serve_files(self) -> Played:
        """Fill the mirror with the role, and let its nginx serve the site that the role has written."""
        played = self.control.play(COLLECTION / "playbooks" / "mirror.yml", inventory=self.inventory)
        mirror = self.network.machines["mirror"]
        if not mirror.access_log.exists():
            mirror.serve(mirror.home / "site.conf")
        return played

    def run(self, *arguments: str, hosts: str = "workstations") -> Played:
        """Run the playbook of the collection."""
        variables = {
            "provision_profile": "tiny",
            "provision_verdicts_dir": str(self.verdicts),
            "provision_lockfile": str(self.lab.lockfile),
            "provision_hosts": hosts,
        }
        return self.control.play(
            COLLECTION / "playbooks" / "workstation.yml",
            *("--forks", "10", *arguments),
            inventory=self.inventory,
            variables=variables,
            timeout_s=600,
        )

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the files of all machines."""
        return {path.stem: json.loads(path.read_text()) for path in self.verdicts.glob("*.json")}

    def count_transfers(self) -> Counter[str]:
        """Return how often each package was asked for outside."""
        return Counter(
            request.path.rpartition("/")[2]
            for request in self.outside.requests
            if request.method == "GET" and request.path.endswith(".whl")
        )


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Yield ten machines: a mirror, sound ones, broken ones."""
    if (obstacle := find_obstacle()) is not None:
        pytest.skip(obstacle)
    root = tmp_path_factory.mktemp("fleet")
    (root / "lab").mkdir()
    (root / "control").mkdir()
    with serve() as server:
        lab = Lab(root=root / "lab", server=server)
        noise = random.Random(14).randbytes(2_000_000).hex()  # noqa: S311 - bytes that do not get smaller
        lab.offer("tinyapp", "1.1", files={"tinyapp.py": "VERSION = '1.1'\n", "tinyapp_noise.txt": noise})
        lab.lock_tiny(torch=STANDIN_TORCH)
    with open_network(root / "net") as network, serve(server.files, address=network.address) as outside:
        outside.types = server.types
        # The lock names addresses of loopback, which nobody but this machine has.
        places = {"pypi": f"{outside.url}/ok/simple", f"{server.url}/": f"{outside.url}/"}
        (root / "control" / "outside.json").write_text(json.dumps(places))
        control = Control(root=root / "control", environ=lab.environ)
        inside = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "http://127.0.0.1:1/simple"}
        add_machine(network, "mirror", inside)
        for name in STATUS:
            card = {"PROVISION_FROM": str(HOSTS / CARDS[name])} if name in CARDS else {}
            clock = {}
            if name == "ws-clock" and (library := find_faketime()):
                clock = {"LD_PRELOAD": str(library), "FAKETIME": f"-{DAYS_BEHIND}d"}
            add_machine(network, name, inside | card | clock)
        network.write_known_hosts()
        break_machines(network)
        yield Fleet(network=network, lab=lab, control=control, outside=outside)


def add_machine(network: Network, name: str, variables: Mapping[str, str]) -> None:
    """Boot a machine that has a `provision` command."""
    write_command(network.add(name, variables=variables).folder / "bin")


def break_machines(network: Network) -> None:
    """Do to each machine what its name says."""
    machines = network.machines
    machines["ws-alone"].cut_route(machines["mirror"].address)
    machines["ws-full"].mount_small_disk(machines["ws-full"].home / "small", size="3m")
    machines["ws-off"].lose_power()
    command = machines["ws-dies"].folder / "bin" / "provision"
    lines = command.read_text(encoding="utf-8").splitlines()
    # where a real one is for minutes: in the middle of a build
    lines.insert(
        1, f'case "$*" in create*--dry-run*) ;; create*) touch {command.parent}/dying; sleep 600;; esac'
    )
    command.write_text("\n".join(lines) + "\n", encoding="utf-8")


def lose_power_while_building(machine: Machine) -> None:
    """Wait until the machine builds, and pull its plug."""
    for _ in range(6000):
        if (machine.folder / "bin" / "dying").exists():
            machine.lose_power()
            return
        time.sleep(0.1)


@pytest.fixture(scope="module")
def first(fleet: Fleet) -> Played:
    """Fill the mirror and run the playbook on all machines; one of them loses its power on the way."""
    filled = fleet.serve_files()
    assert filled.code == 0, filled.out
    assert filled.recap["mirror"]["changed"] > 0
    killer = threading.Thread(target=lose_power_while_building, args=[fleet.network.machines["ws-dies"]])
    killer.start()
    played = fleet.run()
    killer.join()
    return played


def test_every_machine_has_a_verdict_and_the_broken_ones_a_cause(fleet: Fleet, first: Played) -> None:
    """Passed, unvalidated, broken and unreachable machines have a file each; none is good without a proof."""
    found = fleet.read()
    assert {name: file["status"] for name, file in found.items()} == STATUS, first.out
    for name, file in found.items():
        assert (file["schema"], file["host"], file["profile"]) == ("provision.fleet-host/1", name, "tiny")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", file["gathered_at"])
        assert file["result"] is None or set(file["result"]) == ENVELOPE
        assert file["status"] == "passed" or file["errors"]
        for error in file["errors"]:
            check_error(error)
    causes = {name: file["errors"][0]["code"] for name, file in found.items() if file["errors"]}
    assert causes == {
        "ws-nvidia": "validate.device_missing",
        "ws-alone": "fleet.task",
        "ws-dies": "fleet.lost",
        "ws-full": "install.disk_full",
        "ws-off": "fleet.unreachable",
        **({"ws-clock": "fleet.clock"} if find_faketime() else {}),
    }
    assert found["ws-full"]["exit_code"] == 5
    assert found["ws-nvidia"]["exit_code"] == 7
    assert "Fetch the map of mirrors" in found["ws-alone"]["errors"][0]["message"]
    assert first.code != 0


def test_a_wrong_clock_is_told(fleet: Fleet, first: Played) -> None:
    """The dates that the machine writes are wrong, the time at which its verdict was gathered is ours."""
    if find_faketime() is None:
        pytest.skip("there is no libfaketime here (apt-get install libfaketime)")
    del first
    file = fleet.read()["ws-clock"]
    (error,) = file["errors"]
    assert abs(error["context"]["offset_s"] + DAYS_BEHIND * 86_400) < 120
    assert file["gathered_at"][:4] == time.strftime("%Y", time.gmtime())
    made = file["result"]["data"]["report"]["created_at"]
    assert made[:10] == time.strftime("%Y-%m-%d", time.gmtime(time.time() - DAYS_BEHIND * 86_400))


def test_cards_are_told_beside_the_verdict(fleet: Fleet, first: Played) -> None:
    """Doctor's document of the recorded machines names card and class."""
    del first
    found = fleet.read()
    classes = {name: found[name]["doctor"]["data"]["host"]["gpu_class"] for name in CARDS}
    assert classes == {"ws-a770": "arc-a", "ws-b580": "arc-b", "ws-two": "arc-b", "ws-nvidia": None}


def test_the_account_may_reach_the_gpu(fleet: Fleet, first: Played) -> None:
    """It is in the groups that the machine has, and keeps its own; other machines are not touched."""
    del first
    groups = {
        name: set(fleet.network.machines[name].run("id", "-Gn", "games").stdout.split())
        for name in ("ws-a770", "ws-two")
    }
    assert groups["ws-a770"] == groups["ws-two"] | {"render", "video"}


def test_each_file_came_from_outside_once(fleet: Fleet, first: Played) -> None:
    """The mirror asked for each file once, and no machine asked anybody but the mirror."""
    del first
    assert fleet.count_transfers() == {
        "torch-2.13.0+cpu-py3-none-any.whl": 1,
        "tinyapp-1.1-py3-none-any.whl": 1,
    }
    log = fleet.network.machines["mirror"].access_log.read_text()
    clients = {line.split()[0] for line in log.splitlines() if "tinyapp-1.1" in line and ".whl" in line}
    sound = {fleet.network.machines[name].address for name in (*SOUND, "ws-nvidia")}
    assert sound <= clients


def test_a_second_run_changes_nothing(fleet: Fleet, first: Played) -> None:
    """The mirror and the sound machines are as the lock says: changed=0, the same verdicts, no transfer."""
    del first
    again = fleet.serve_files()
    assert (again.code, again.recap["mirror"]["changed"]) == (0, 0), again.out
    played = fleet.run("--limit", ",".join(SOUND))
    assert played.code == 0, played.out
    assert {name: played.recap[name]["changed"] for name in SOUND} == dict.fromkeys(SOUND, 0), played.out
    found = fleet.read()
    assert {name: found[name]["status"] for name in SOUND} == dict.fromkeys(SOUND, "passed")
    assert {found[name]["changed"] for name in SOUND} == {False}
    assert set(fleet.count_transfers().values()) == {1}


def test_the_verb_asks_those_that_are_not_proven(fleet: Fleet, first: Played) -> None:
    """`provision fleet run` goes on where the playbook ended, and names every machine that did not pass."""
    del first
    inventory = fleet.control.write("inventory.json", fleet.inventory)
    asked = fleet.lab.spawn(
        *("fleet", "run", str(inventory), "tiny", "--limit", "workstations", "--forks", "10", "--json"),
        *("--envs", str(fleet.lab.envs), "--verdicts", str(fleet.verdicts)),
        variables=fleet.control.environment(),
        timeout_s=300,
    )
    assert "4 of 9 machines are proven for this lock already" in asked.err
    assert {row["host"]: row["status"] for row in asked.data["machines"]} == STATUS
    log = (fleet.verdicts / "ansible.log").read_text()
    assert not any(f"[{name}]" in log for name in SOUND)
    assert asked.code != 0
    cards = {row["host"]: row["card"] for row in asked.data["machines"]}
    assert cards["ws-two"].startswith("a CPU")
