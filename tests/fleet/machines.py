"""Machines made of Linux namespaces: each has a network, mounts, a host name and processes of its own.

They share this machine's kernel, clock, packages, and files outside of their folder, `/etc` and `/run`: one
costs a few megabytes and not a gigabyte. Each runs OpenSSH's server with keys of its own.
"""

import itertools
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
PYTHON = "/usr/bin/python3"  # of the system: what Ansible finds on a machine
_NUMBERS = itertools.count()  # the kernel takes its time to forget the interfaces of an earlier network
_FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")

# $1 folder, $2 name, $3 sshd. This machine's files are seen; /etc and /run are written apart.
_BOOT = """\
set -e
mount --make-rprivate /
mount -t tmpfs none "$1/system"
mkdir "$1/system/upper" "$1/system/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/system/upper,workdir=$1/system/work" /etc
mount -t tmpfs none /run
mkdir /run/sshd
sed -i "s#^root:[^:]*:0:0:[^:]*:[^:]*:.*#root:x:0:0:root:$1/home:/bin/sh#" /etc/passwd
sed -i "s#^root:[^:]*:#root:*:#" /etc/shadow
hostname "$2"
ip link set lo up
exec "$3" -D -e -f "$1/sshd_config"
"""

_SSHD_CONFIG = """\
Port 22
HostKey {folder}/host_key
AuthorizedKeysFile {keys}/client_key.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
Subsystem sftp internal-sftp
MaxStartups 100
SetEnv {variables}
"""


def find_obstacle() -> str | None:
    """Say why no machine can be made here; None where one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "machines are made of Linux namespaces, by root"
    for name, found in (("sshd", SSHD), ("nginx", NGINX), ("ip", shutil.which("ip"))):
        if found is None:
            return f"there is no {name} here (apt-get install openssh-server nginx-light iproute2)"
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "true"], capture_output=True, check=False
    )
    return None if tried.returncode == 0 else f"namespaces are refused: {tried.stderr.decode().strip()}"


def find_faketime() -> Path | None:
    """Return the library that gives a program another time."""
    return _FAKETIME if _FAKETIME.exists() else None


@dataclass(kw_only=True)
class Machine:
    """One machine.

    Attributes:
        folder: Its own folder; ``home`` in it is root's.
        holder: The process that holds its namespaces; what runs on the machine ends with it.
    """

    name: str
    address: str
    folder: Path
    namespace: str
    holder: subprocess.Popen[bytes]

    @property
    def home(self) -> Path:
        """Return root's home, as the machine itself names it."""
        return self.folder / "home"

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root."""
        return subprocess.run(
            [*self._enter, *command], check=check, capture_output=True, text=True, timeout=60
        )

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a command inside."""
        return subprocess.Popen(
            [*self._enter, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def processor_ticks(self) -> int:
        """Return the kernel's count of processor time of what runs inside, and of what that waited for."""
        told = self.run("sh", "-c", "cat /proc/[0-9]*/stat", check=False)  # one of them may just end
        return sum(
            int(field)
            for line in told.stdout.splitlines()
            for field in line.rpartition(")")[2].split()[11:15]
        )

    @property
    def _enter(self) -> list[str]:
        (inside, *_) = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()
        spaces = ("--net", "--mount", "--uts", "--pid")
        return ["nsenter", f"--target={inside}", *spaces, f"--wd={self.folder}"]

    def cut_route(self, address: str) -> None:
        """Let nothing reach an address from here."""
        self.run("ip", "route", "add", "unreachable", f"{address}/32")

    def mount_small_disk(self, folder: Path, *, size: str) -> None:
        """Put a disk with hardly any room there; ``size`` as tmpfs writes it."""
        folder.mkdir(parents=True)
        self.run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", str(folder))

    def serve(self, site: Path) -> None:
        """Let an nginx of its own serve a site; ``site`` is the file that says it."""
        configuration = self.home / "nginx.conf"
        scratch = "".join(
            f"{kind}_temp_path {self.home}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration.write_text(
            f"user root;\npid {self.home}/nginx.pid;\nevents {{}}\n"
            f"http {{\naccess_log {self.access_log};\n{scratch}include {site};\n}}\n"
        )
        self.run(str(NGINX), "-e", f"{self.home}/error.log", "-c", str(configuration))

    @property
    def access_log(self) -> Path:
        """Return the file in which its nginx notes every request."""
        return self.home / "access.log"

    def limit_rate(self, megabits_per_second: int) -> None:
        """Let it send no faster than its share of a real network."""
        rate = ("rate", f"{megabits_per_second}mbit", "burst", "64kb", "latency", "200ms")
        self.run("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", *rate)

    def lose_power(self) -> None:
        """End it without a last word: the cable first, then every process."""
        subprocess.run(["ip", "-n", self.namespace, "link", "set", "eth0", "down"], check=True)
        self.stop()

    def stop(self) -> None:
        """End every process of it."""
        if self.holder.poll() is None:
            self.holder.kill()
            self.holder.wait(timeout=10)


@dataclass(kw_only=True)
class Network:
    """A bridge of this machine with machines on it.

    Attributes:
        address: This machine's own address on the bridge.
    """

    root: Path
    bridge: str
    prefix: str
    machines: dict[str, Machine] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Return this machine's address on the bridge."""
        return f"{self.prefix}.1"

    def add(self, name: str, *, variables: Mapping[str, str] | None = None) -> Machine:
        """Boot a machine and wait until it lets us in.

        Args:
            name: Its name in the inventory and on its own prompt.
            variables: What its sessions have in their environment.
        """
        number = len(self.machines) + 2
        folder = self.root / name
        for part in ("system", "home"):
            (folder / part).mkdir(parents=True)
        self._make_key(folder / "host_key")
        listed = " ".join(f"{key}={value}" for key, value in {"LANG": "C.UTF-8", **(variables or {})}.items())
        (folder / "sshd_config").write_text(
            _SSHD_CONFIG.format(folder=folder, keys=self.root, variables=listed), encoding="utf-8"
        )
        namespace, address = f"{self.bridge}-{number}", f"{self.prefix}.{number}"
        _ip("netns", "add", namespace)
        _ip(
            "link",
            "add",
            f"{self.bridge}v{number}",
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            namespace,
        )
        _ip("link", "set", f"{self.bridge}v{number}", "master", self.bridge, "up")
        _ip("-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", namespace, "link", "set", "eth0", "up")
        with (folder / "sshd.log").open("wb") as log:
            holder = subprocess.Popen(
                [
                    *("ip", "netns", "exec", namespace),
                    *("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"),
                    *("sh", "-c", _BOOT, "boot", str(folder), name, str(SSHD)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        machine = Machine(name=name, address=address, folder=folder, namespace=namespace, holder=holder)
        self.machines[name] = machine
        _wait_for(address, 22, log=folder / "sshd.log")
        return machine

    def describe(self, name: str, **variables: Any) -> dict[str, Any]:
        """Return a machine's entry of an inventory."""
        machine = self.machines[name]
        options = f"-o UserKnownHostsFile={self.root}/known_hosts -o ConnectTimeout=5"
        return {
            "ansible_host": machine.address,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.root / "client_key"),
            "ansible_ssh_common_args": options,
            "ansible_python_interpreter": PYTHON,
            **variables,
        }

    def write_known_hosts(self) -> None:
        """Write the machines' keys: nobody is trusted at first sight."""
        lines = [
            f"{machine.address} {(machine.folder / 'host_key.pub').read_text()}"
            for machine in self.machines.values()
        ]
        (self.root / "known_hosts").write_text("".join(lines))

    def _make_key(self, path: Path) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


@contextmanager
def open_network(root: Path) -> Iterator[Network]:
    """Make a bridge for the length of the block; its addresses are those for benchmarks (RFC 2544)."""
    root.mkdir()
    mark = random.randrange(256)  # noqa: S311 - two networks shall not meet; nobody has to guess
    network = Network(
        root=root, bridge=f"pv{os.getpid() % 100_000}n{next(_NUMBERS)}", prefix=f"198.18.{mark}"
    )
    network._make_key(root / "client_key")  # noqa: SLF001 - of the same module
    _ip("link", "add", network.bridge, "type", "bridge")
    try:
        _ip("address", "add", f"{network.address}/24", "dev", network.bridge)
        _ip("link", "set", network.bridge, "up")
        yield network
    finally:
        for machine in network.machines.values():
            machine.stop()
        for namespace in Path("/run/netns").glob(f"{network.bridge}-*"):  # also of one that did not boot
            subprocess.run(["ip", "netns", "delete", namespace.name], check=False)
        _ip("link", "delete", network.bridge)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


def _wait_for(address: str, port: int, *, log: Path) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex((address, port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nobody listens on {address}:{port}: {log.read_text()}")
