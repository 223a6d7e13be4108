"""Read a Linux machine from ``/sys``, ``/proc``, ``/etc`` and ``/dev``, without root and without a program.

Source of the layout: linux, Documentation/ABI/testing/sysfs-bus-pci.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from provisioner.diagnose.machine.facts import DeviceNode, DisplayDevice, HostFacts, Library

_DISPLAY_CLASS = "03"
_BARS = 6
_GPU_GROUPS = ("render", "video")
_LIBRARY_FOLDERS = (
    "usr/lib/x86_64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "usr/local/lib/x86_64-linux-gnu",
    "usr/local/lib64",
    "usr/local/lib",
    "lib/x86_64-linux-gnu",
    "lib64",
    "usr/lib/x86_64-linux-gnu/intel-opencl",
    "usr/lib64/intel-opencl",
    "usr/lib/intel-opencl",
    "usr/lib/wsl/lib",
)
_LIBRARIES = {
    "loader": "libze_loader.so",
    "gpu-driver": "libze_intel_gpu.so",
    "opencl-driver": "libigdrcl.so",
    "opencl-loader": "libOpenCL.so",
}
# Debian's packages carry the version that the file name of `libigdrcl.so` does not.
_PACKAGES = {
    "opencl-driver": ("intel-opencl-icd",),
    "gpu-driver": ("libze-intel-gpu1", "intel-level-zero-gpu"),
}
_CONTAINER_MARKS = (".dockerenv", "run/.containerenv", "run/systemd/container")
_CONTAINER_WORDS = ("docker", "kubepods", "containerd", "libpod", "/lxc")
_LARGEST_FILE_BYTES = 32 * 1024 * 1024


def _can_open(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


def _read_group_ids() -> tuple[int, ...]:
    if sys.platform == "win32":
        return ()
    return (*os.getgroups(), os.getegid())


def _read_user_id() -> int | None:
    if sys.platform == "win32":
        return None
    return os.getuid()


@dataclass(frozen=True, kw_only=True, slots=True)
class LinuxSystem:
    """Where a Linux machine is read: its root folder, and what the kernel says of this process."""

    root: Path = Path("/")
    can_open: Callable[[Path], bool] = _can_open
    group_ids: tuple[int, ...] = field(default_factory=_read_group_ids)
    user_id: int | None = field(default_factory=_read_user_id)


def gather_linux(system: LinuxSystem, variables: Mapping[str, str]) -> HostFacts:
    """Return the machine's facts, without those that are the same on every operating system.

    Args:
        system: The machine; a recorded tree in tests.
        variables: The inherited environment, for ``LD_LIBRARY_PATH``.
    """
    root = system.root
    kernel = _read_kernel(root)
    groups = _read_groups(root)
    wsl = "microsoft" in kernel.lower() or (root / "dev/dxg").exists() if kernel else None
    return HostFacts(
        os="linux",
        release=_read_release(root),
        kernel=kernel,
        container=_is_container(root),
        wsl=wsl,
        displays=_list_displays(root),
        nodes=_list_nodes(system, groups),
        groups=_name_groups(system.group_ids, groups),
        account_groups=_name_account_groups(system, groups),
        wsl_drivers=_list_wsl_drivers(root) if wsl else None,
        libraries=_list_libraries(root, variables),
        opencl_vendors=_list_opencl_vendors(root),
    )


def _read(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_LARGEST_FILE_BYTES).strip()
    except OSError:
        return None


def _list_folder(path: Path) -> list[Path] | None:
    """Return the entries of a folder by name; none where it does not exist, None where it may not be read."""
    try:
        return sorted(path.iterdir())
    except FileNotFoundError:
        return []
    except OSError:
        return None


def _read_kernel(root: Path) -> str | None:
    release = _read(root / "proc/sys/kernel/osrelease")
    match = re.match(r"Linux version (\S+)", _read(root / "proc/version") or "")
    return release or (match.group(1) if match else None)


def _read_release(root: Path) -> str | None:
    text = _read(root / "etc/os-release")
    match = re.search(r'^PRETTY_NAME="?([^"\n]*)"?$', text or "", re.MULTILINE)
    return match.group(1) if match else None


def _is_container(root: Path) -> bool:
    if any((root / mark).exists() for mark in _CONTAINER_MARKS):
        return True
    groups = _read(root / "proc/1/cgroup") or ""
    return any(word in groups for word in _CONTAINER_WORDS)


def _list_displays(root: Path) -> tuple[DisplayDevice, ...] | None:
    if not (root / "sys").is_dir():
        return None
    entries = _list_folder(root / "sys/bus/pci/devices")
    if entries is None:
        return None
    found = (_read_display(entry) for entry in entries)
    return tuple(display for display in found if display is not None)


def _read_display(entry: Path) -> DisplayDevice | None:
    class_code = (_read(entry / "class") or "").removeprefix("0x")
    vendor, device = ((_read(entry / name) or "").removeprefix("0x").lower() for name in ("vendor", "device"))
    if not class_code.startswith(_DISPLAY_CLASS) or not vendor or not device:
        return None
    return DisplayDevice(
        vendor=vendor,
        device=device,
        address=entry.name,
        class_code=class_code,
        driver=_read_link_name(entry / "driver") or "",
        bar_bytes=_read_largest_bar(entry),
    )


def _read_link_name(path: Path) -> str | None:
    try:
        return path.readlink().name
    except OSError:
        return None


def _read_largest_bar(entry: Path) -> int | None:
    """Return the size of the largest window, from lines of ``start end flags``."""
    largest: int | None = None
    for line in (_read(entry / "resource") or "").splitlines()[:_BARS]:
        with suppress(ValueError):
            start, end, _flags = (int(part, 16) for part in line.split())
            if end > start:
                largest = max(largest or 0, end - start + 1)
    return largest


def _list_nodes(system: LinuxSystem, groups: Mapping[int, str]) -> tuple[DeviceNode, ...] | None:
    entries = _list_folder(system.root / "dev/dri")
    if entries is None:
        return None
    paths = [entry for entry in entries if entry.name.startswith("renderD")]
    dxg = system.root / "dev/dxg"
    return tuple(_read_node(system, path, groups) for path in [*paths, *([dxg] if dxg.exists() else [])])


def _read_node(system: LinuxSystem, path: Path, groups: Mapping[int, str]) -> DeviceNode:
    mode, group = None, None
    with suppress(OSError):
        status = path.stat()
        mode = f"{status.st_mode & 0o7777:04o}"
        group = groups.get(status.st_gid, str(status.st_gid))
    return DeviceNode(
        path="/" + path.relative_to(system.root).as_posix(),
        mode=mode,
        group=group,
        accessible=system.can_open(path),
        pci_address=_read_link_name(system.root / "sys/class/drm" / path.name / "device"),
    )


def _read_groups(root: Path) -> dict[int, str]:
    groups = {}
    for line in (_read(root / "etc/group") or "").splitlines():
        parts = line.split(":")
        if len(parts) >= 3 and parts[2].isdecimal():
            groups[int(parts[2])] = parts[0]
    return groups


def _name_groups(ids: tuple[int, ...], groups: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(name for name in _GPU_GROUPS if name in {groups.get(number) for number in ids})


def _name_account_groups(system: LinuxSystem, groups: Mapping[int, str]) -> tuple[str, ...] | None:
    accounts = (line.split(":") for line in (_read(system.root / "etc/passwd") or "").splitlines())
    users = [parts[0] for parts in accounts if len(parts) > 2 and parts[2] == str(system.user_id)]
    if not users:
        return None
    named = []
    for line in (_read(system.root / "etc/group") or "").splitlines():
        parts = line.split(":")
        if len(parts) == 4 and parts[0] in groups.values() and users[0] in parts[3].split(","):
            named.append(parts[0])
    return tuple(name for name in _GPU_GROUPS if name in named)


def _list_wsl_drivers(root: Path) -> tuple[str, ...] | None:
    entries = _list_folder(root / "usr/lib/wsl/drivers")
    if entries is None:
        return None
    return tuple(
        dict.fromkeys(entry.name.split(".")[0] for entry in entries if entry.name.startswith("iigd"))
    )


def _list_libraries(root: Path, variables: Mapping[str, str]) -> tuple[Library, ...]:
    packages = _read_package_versions(root)
    found = []
    for kind, name in _LIBRARIES.items():
        file = next(_find_library(root, name, variables), None)
        if file is None:
            continue
        version = _read_file_version(file, name)
        for package in _PACKAGES.get(kind, ()):
            version = version or packages.get(package)
        path = file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)
        found.append(Library(kind=kind, path=f"/{path.lstrip('/')}", version=version))
    return tuple(found)


def _find_library(root: Path, name: str, variables: Mapping[str, str]) -> Iterator[Path]:
    for folder in _list_library_folders(root, variables):
        with suppress(OSError):
            yield from sorted(folder.glob(f"{name}.1")) or sorted(folder.glob(f"{name}*"))


def _list_library_folders(root: Path, variables: Mapping[str, str]) -> Iterator[Path]:
    inherited = variables.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    yield from (root / part.lstrip("/") for part in inherited if part.startswith("/"))
    for file in _list_folder(root / "etc/ld.so.conf.d") or []:
        for line in (_read(file) or "").splitlines():
            if line.startswith("/"):
                yield root / line.strip().lstrip("/")
    yield from (root / folder for folder in _LIBRARY_FOLDERS)


def _read_file_version(file: Path, name: str) -> str | None:
    """Return ``1.6.33578`` of ``libze_intel_gpu.so.1.6.33578``, which ``.so.1`` links to."""
    real = file.name if not file.is_symlink() else (_read_link_name(file) or file.name)
    version = real.removeprefix(name).removeprefix(".")
    return version if "." in version else None


def _read_package_versions(root: Path) -> dict[str, str]:
    """Return versions from dpkg's status file, without epoch and revision."""
    wanted = {name for names in _PACKAGES.values() for name in names}
    versions = {}
    text = _read(root / "var/lib/dpkg/status") or ""
    for match in re.finditer(r"^Package: (\S+)\n(?:.+\n)*?Version: (\S+)$", text, re.MULTILINE):
        if match.group(1) in wanted:
            versions[match.group(1)] = re.sub(r"^\d+:|-[^-]*$", "", match.group(2))
    return versions


def _list_opencl_vendors(root: Path) -> tuple[str, ...] | None:
    entries = _list_folder(root / "etc/OpenCL/vendors")
    if entries is None:
        return None
    return tuple(f"{entry.name}: {_read(entry) or ''}" for entry in entries if entry.suffix == ".icd")
