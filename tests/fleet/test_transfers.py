"""Eight machines fetch from one mirror over a link with a speed limit, at the same time."""

import random
import time
from collections.abc import Iterator

import pytest

from tests.cli.lab import REPOSITORY, Lab
from tests.fleet.control import write_command
from tests.fleet.machines import Machine, Network, find_obstacle, open_network
from tests.loopback import serve

pytestmark = [pytest.mark.fleet, pytest.mark.slow, pytest.mark.timeout(600)]

COUNT = 8
MEGABITS_PER_SECOND = 40
NOISE_BYTES = 6_000_000  # as hexadecimal digits in a zip they become as many again


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Yield a mirror of the profile `tiny`, whose files have 6 MB, and eight machines with an empty store."""
    if (obstacle := find_obstacle()) is not None:
        pytest.skip(obstacle)
    root = tmp_path_factory.mktemp("transfers")
    (root / "lab").mkdir()
    with serve() as server, open_network(root / "net") as network:
        lab = Lab(root=root / "lab", server=server)
        noise = random.Random(14).randbytes(NOISE_BYTES).hex()  # noqa: S311 - bytes that do not get smaller
        lab.offer("tinyapp", "1.1", files={"tinyapp.py": "", "tinyapp_noise.txt": noise})
        lab.lock_tiny()
        mirror = network.add("mirror")
        exported = lab.run(
            *(
                "mirror",
                "tiny",
                "--export",
                str(mirror.home / "www"),
                "--url",
                f"http://{mirror.address}:8480",
            )
        )
        assert exported.code == 0, exported.err
        template = (REPOSITORY / "ansible" / "roles" / "mirror" / "templates" / "site.conf.j2").read_text()
        for name, value in {"listen": f"{mirror.address}:8480", "folder": str(mirror.home / "www")}.items():
            template = template.replace(f"{{{{ mirror_{name} }}}}", value)
        (mirror.home / "site.conf").write_text(template)
        mirror.serve(mirror.home / "site.conf")
        for number in range(COUNT):
            write_command(network.add(f"ws-{number}").folder / "bin")
        yield network


def create(machine: Machine, network: Network) -> list[str]:
    """Return the command that builds `tiny` on a machine from the mirror alone."""
    lab = network.root.parent / "lab"
    www = network.machines["mirror"].home / "www"
    places = [
        "HOME=" + str(machine.home),
        "PIP_CONFIG_FILE=/dev/null",
        "PIP_INDEX_URL=http://127.0.0.1:1/simple",
    ]
    command = [
        str(machine.folder / "bin" / "provision"),
        "create",
        "tiny",
        "--no-validate",
        "--envs",
        str(lab / "envs"),
    ]
    return ["env", *places, *command, "--mirrors", str(www / "mirrors.yaml")]


def run_at_once(machines: list[Machine], network: Network) -> float:
    """Build on all machines at the same time and return how long it took, in seconds."""
    started = time.monotonic()
    running = [machine.start(*create(machine, network)) for machine in machines]
    assert [process.wait(timeout=300) for process in running] == [0] * len(machines)
    return time.monotonic() - started


def empty_stores(machines: list[Machine]) -> None:
    """Let the machines begin anew."""
    for machine in machines:
        machine.run("rm", "-rf", str(machine.home / ".local"))


def test_a_killed_transfer_goes_on_where_it_was(network: Network) -> None:
    """The second start asks the mirror for the rest of the file alone."""
    machine, mirror = network.machines["ws-0"], network.machines["mirror"]
    mirror.limit_rate(8)
    process = machine.start(*create(machine, network))
    for _ in range(600):
        parts = [
            path for path in machine.home.rglob("*") if path.is_file() and path.stat().st_size > 1_000_000
        ]
        if parts:
            break
        time.sleep(0.05)
    machine.run("pkill", "-KILL", "python")  # of the machine's own processes: it sees no others
    process.wait(timeout=30)
    mirror.run("tc", "qdisc", "delete", "dev", "eth0", "root")
    run_at_once([machine], network)
    asked = [line.split('"') for line in mirror.access_log.read_text().splitlines() if "tinyapp-1.1" in line]
    wheels = [(parts[1].split()[1].endswith(".whl"), parts[2].split()) for parts in asked]
    last = [answer for is_wheel, answer in wheels if is_wheel][-1]
    assert last[0] == "206"
    assert int(last[1]) < NOISE_BYTES


def test_the_link_of_the_mirror_is_the_limit(network: Network) -> None:
    """Eight times the bytes over the link's speed, and not more than what the machines do besides."""
    machines = [network.machines[f"ws-{number}"] for number in range(COUNT)]
    empty_stores(machines)
    besides_s = run_at_once(
        machines, network
    )  # without a limit: starting, unpacking, waiting for a processor
    empty_stores(machines)
    mirror = network.machines["mirror"]
    (wheel,) = (mirror.home / "www").rglob("tinyapp-1.1*.whl")
    mirror.limit_rate(MEGABITS_PER_SECOND)
    took_s = run_at_once(machines, network)
    bound_s = COUNT * wheel.stat().st_size * 8 / (MEGABITS_PER_SECOND * 1e6)
    for name, value in {"bound_s": bound_s, "besides_s": besides_s, "took_s": took_s}.items():
        print(f"{name} {value:.2f}")  # noqa: T201 - the figures of docs/how-to/many-machines.md, with `-s`
    assert bound_s * 0.9 < took_s < bound_s * 1.2 + besides_s * 1.5
