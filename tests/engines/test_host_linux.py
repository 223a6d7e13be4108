"""The gatherer of Linux facts on trees laid out as sysfs, /dev and /etc are."""

import os
import time
from pathlib import Path

import pytest

from provisioner.diagnose.machine.facts import HostFacts
from provisioner.engines.machine.host import add_surroundings, ask_indexes, gather_host
from provisioner.engines.machine.linux import LinuxSystem, gather_linux

LIBRARIES = "usr/lib/x86_64-linux-gnu"


class Machine:
    """A Linux machine under a folder, as the kernel and Debian lay it out."""

    def __init__(self, root: Path) -> None:
        """Start with a kernel, an empty PCI bus and two groups."""
        self.root = root
        self.write("proc/sys/kernel/osrelease", "6.5.0-35-generic\n")
        self.write("etc/os-release", 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.4 LTS"\n')
        self.write("etc/group", "root:x:0:\nvideo:x:44:mona\nrender:x:110:mona,otto\nmona:x:1000:\n")
        self.write("etc/passwd", "root:x:0:0::/:/bin/sh\nmona:x:1000:1000::/home/mona:/bin/sh\n")
        (root / "sys/bus/pci/devices").mkdir(parents=True)
        (root / "dev").mkdir()

    def write(self, path: str, text: str) -> Path:
        """Write a file below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)

    def add_pci(self, address: str, *, code: str, vendor: str, device: str, bar: str, driver: str) -> None:
        """Put a device on the bus, with an absent first window and one of 16 MiB before ``bar``."""
        folder = f"sys/bus/pci/devices/{address}"
        self.write(f"{folder}/class", f"{code}\n")
        self.write(f"{folder}/vendor", f"{vendor}\n")
        self.write(f"{folder}/device", f"{device}\n")
        lines = [
            "0x00000000a0000000 0x00000000a0ffffff 0x0000000000140204",
            "0x0000000000000000 0x0000000000000000 0x0000000000000000",
            bar,
            "0x0000000000000000 0x0000000000000000 0x0000000000000000",
            "0x0000000000005000 0x000000000000503f 0x0000000000040101",
            "0x0000000000000000 0x0000000000000000 0x0000000000000000",
            "0x00000000a1000000 0x00000000ffffffff 0x0000000000046200",  # expansion ROM: no BAR
        ]
        self.write(f"{folder}/resource", "\n".join(lines) + "\n")
        if driver:
            self.link(f"{folder}/driver", f"../../../../bus/pci/drivers/{driver}")

    def add_node(self, name: str, address: str) -> None:
        """Make a render node; a plain file stands for the device, which only root can make."""
        self.write(f"dev/dri/{name}", "").chmod(0o660)
        self.link(f"sys/class/drm/{name}/device", f"../../../{address}")

    def add_driver(self) -> None:
        """Install Intel's user-space driver as Ubuntu's packages do."""
        for name, real in (
            ("libze_loader.so.1", "libze_loader.so.1.17.6"),
            ("libze_intel_gpu.so.1", "libze_intel_gpu.so.1.3.29735"),
        ):
            self.write(f"{LIBRARIES}/{real}", "")
            self.link(f"{LIBRARIES}/{name}", real)
        self.write(f"{LIBRARIES}/intel-opencl/libigdrcl.so", "")
        self.write("etc/OpenCL/vendors/intel.icd", f"/{LIBRARIES}/intel-opencl/libigdrcl.so\n")
        self.write(
            "var/lib/dpkg/status",
            "Package: bash\nStatus: install ok installed\nVersion: 5.1-6\n\n"
            "Package: intel-opencl-icd\nStatus: install ok installed\nVersion: 24.26.30049.6-950~22.04\n",
        )

    def gather(self, *, group_ids: tuple[int, ...] = (1000, 110), is_open: bool = True) -> HostFacts:
        """Gather as user 1000."""
        system = LinuxSystem(
            root=self.root, can_open=lambda _path: is_open, group_ids=group_ids, user_id=1000
        )
        return gather_linux(system, {})


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a Linux machine without a GPU."""
    return Machine(tmp_path)


A770_BAR = "0x0000006000000000 0x00000063ffffffff 0x000000000014220c"
SMALL_BAR = "0x0000006000000000 0x000000600fffffff 0x000000000014220c"


def _add_a770(machine: Machine, bar: str = A770_BAR) -> None:
    machine.add_pci("0000:03:00.0", code="0x030000", vendor="0x8086", device="0x56a0", bar=bar, driver="i915")
    machine.add_node("renderD128", "0000:03:00.0")


def test_card_node_and_driver_are_read(machine: Machine) -> None:
    """An A770 with its packages is gathered with driver, window, node, groups and versions."""
    _add_a770(machine)
    machine.add_driver()
    machine.add_pci(
        "0000:00:1f.3", code="0x040300", vendor="0x8086", device="0x7ad0", bar=SMALL_BAR, driver="snd"
    )
    facts = machine.gather()
    assert facts.os == "linux"
    assert facts.release == "Ubuntu 22.04.4 LTS"
    assert facts.kernel == "6.5.0-35-generic"
    assert (facts.container, facts.wsl) == (False, False)
    assert facts.displays is not None
    (card,) = facts.displays
    assert (card.vendor, card.device, card.address, card.driver) == ("8086", "56a0", "0000:03:00.0", "i915")
    assert card.bar_bytes == 16 * 1024**3
    assert facts.nodes is not None
    (node,) = facts.nodes
    assert (node.path, node.mode, node.accessible) == ("/dev/dri/renderD128", "0660", True)
    assert node.pci_address == "0000:03:00.0"
    assert facts.groups == ("render",)
    assert facts.account_groups == ("render", "video")
    assert facts.libraries is not None
    assert {each.kind: each.version for each in facts.libraries} == {
        "loader": "1.17.6",
        "gpu-driver": "1.3.29735",
        "opencl-driver": "24.26.30049.6",
    }
    assert facts.opencl_vendors == (f"intel.icd: /{LIBRARIES}/intel-opencl/libigdrcl.so",)


def test_a_card_without_driver_and_with_a_small_window(machine: Machine) -> None:
    """No driver is an empty text, and the window is the BAR's, not the expansion ROM's."""
    machine.add_pci(
        "0000:03:00.0", code="0x038000", vendor="0x8086", device="0x56a0", bar=SMALL_BAR, driver=""
    )
    facts = machine.gather()
    assert facts.displays is not None
    assert facts.displays[0].driver == ""
    assert facts.displays[0].bar_bytes == 256 * 1024**2
    assert facts.nodes == ()


def test_a_machine_with_nothing_is_known_to_have_nothing(machine: Machine) -> None:
    """Folders that are not there are empty lists: looked for, and none."""
    facts = machine.gather(group_ids=(1000,))
    assert (facts.displays, facts.nodes, facts.libraries, facts.opencl_vendors) == ((), (), (), ())
    assert facts.groups == ()


def test_without_sysfs_the_bus_is_unknown(tmp_path: Path) -> None:
    """Where /sys is not mounted, display devices are unknown, not absent."""
    facts = gather_linux(LinuxSystem(root=tmp_path), {})
    assert facts.displays is None
    assert facts.kernel is None
    assert facts.wsl is None


@pytest.mark.skipif(os.access("/etc/shadow", os.R_OK), reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_unknown(machine: Machine) -> None:
    """A closed /dev/dri is unknown, not empty."""
    closed = machine.root / "dev/dri"
    closed.mkdir()
    closed.chmod(0)
    try:
        assert machine.gather().nodes is None
    finally:
        closed.chmod(0o700)


def test_damaged_files_are_not_believed(machine: Machine) -> None:
    """Damaged sysfs and group files give less facts and no error."""
    _add_a770(machine, bar="0x00 zzzz 12")
    (machine.root / "sys/bus/pci/devices/0000:03:00.0/resource").write_bytes(b"\xff\x00\n1 2\n\n")
    machine.write("etc/group", "render\nvideo:x:many:\n:::\n")
    facts = machine.gather()
    assert facts.displays is not None
    assert facts.displays[0].bar_bytes is None
    assert facts.groups == ()


@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv"])
def test_containers_are_recognised_by_their_marks(machine: Machine, mark: str) -> None:
    """Docker's and Podman's marks name a container."""
    machine.write(mark, "")
    assert machine.gather().container is True


def test_wsl_is_recognised_with_its_driver(machine: Machine) -> None:
    """WSL is known by its kernel, with the driver folders that Windows passes in and its device."""
    machine.write("proc/sys/kernel/osrelease", "5.15.167.4-microsoft-standard-WSL2\n")
    machine.write("usr/lib/wsl/drivers/iigd_dch_d.inf_amd64_49b17bc90a910771/libigc.so", "")
    machine.write("usr/lib/wsl/drivers/nv_dispi.inf_amd64_1/libcuda.so", "")
    machine.write("dev/dxg", "")
    facts = machine.gather()
    assert facts.wsl is True
    assert facts.wsl_drivers == ("iigd_dch_d",)
    assert [node.path for node in facts.nodes or ()] == ["/dev/dxg"]


def test_libraries_of_ld_library_path_come_first(machine: Machine) -> None:
    """The loader that LD_LIBRARY_PATH names is the one that would be loaded."""
    machine.add_driver()
    machine.write("opt/ze/libze_loader.so.1.9.9", "")
    machine.link("opt/ze/libze_loader.so.1", "libze_loader.so.1.9.9")
    system = LinuxSystem(root=machine.root, group_ids=(), user_id=1000)
    facts = gather_linux(system, {"LD_LIBRARY_PATH": "/opt/ze:/nowhere"})
    assert facts.libraries is not None
    assert (facts.libraries[0].path, facts.libraries[0].version) == ("/opt/ze/libze_loader.so.1", "1.9.9")


def test_surroundings_are_private(tmp_path: Path) -> None:
    """The folder is shortened, its real length kept, and a user's name is in none of the facts."""
    home = tmp_path / "users-of-mona" / "mona"
    home.mkdir(parents=True)
    inherited = {"HOME": str(home), "USER": "mona", "PYTHONPATH": f"{home}/lib", "SECRET": "x"}
    target = home / "envs" / "llama3"
    facts = add_surroundings(HostFacts(os="linux"), target=target, variables=inherited)
    assert facts.target == "~/envs/llama3"
    assert facts.target_length == len(str(target))
    assert facts.disk_free_bytes is not None
    assert facts.variables == {"PYTHONPATH": "~/lib"}


def test_this_machine_is_gathered_in_time(tmp_path: Path) -> None:
    """The whole gather of a real machine takes less than two seconds."""
    started = time.perf_counter()
    facts = gather_host(target=tmp_path, variables={"HOME": "/home/mona"})
    assert time.perf_counter() - started < 2
    assert facts.disk_free_bytes


def test_indexes_are_asked_together_and_not_waited_for() -> None:
    """A silent index costs the time-out once, whatever the others do, and only reasons are kept."""

    def reach(address: str) -> str:
        if "slow" in address:
            time.sleep(1.5)
        return "" if "good" in address else "answered 403"

    started = time.perf_counter()
    indexes = {"a": "https://u:pw@good.example", "b": "https://bad.example", "c": "https://slow-good.example"}
    answers = ask_indexes(indexes, reach, timeout_s=0.3)
    assert time.perf_counter() - started < 1
    assert [(each.name, each.reached, each.detail) for each in answers] == [
        ("a", True, ""),
        ("b", False, "answered 403"),
        ("c", False, "no answer in time"),
    ]
    assert ask_indexes({}, reach) == ()
