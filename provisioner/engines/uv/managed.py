"""Pythons that can be brought along: the standalone builds that uv installs, locked in `pythons.json`.

uv would fetch them from an address and with a digest that are inside its program. Here the digest is in a
file of ours, and the archive comes the way of every other file: from the store, a bundle, a wheelhouse or
over the network.
"""

import json
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

from provisioner.engines.archive.member_rules import find_link_fault, find_name_fault
from provisioner.engines.archive.refused import Budget, refuse
from provisioner.engines.net.addresses import filename_of
from provisioner.errors import UsageError
from provisioner.ground.deletion import remove_tree
from provisioner.ground.files import make_private_folder, replace
from provisioner.ground.scratch import hold_scratch
from provisioner.install.snapshot import is_untouched, keep_snapshot
from provisioner.resolve.model import PipPackage

TABLE = Path(__file__).with_name("pythons.json")
_PROJECT = "cpython"
_ROOT = "python"


def find_managed(python: str, platform: str) -> PipPackage | None:
    """Return the archive of a Python (``3.11``, or its full version); None where there is none."""
    for short, platforms in _read_table(TABLE).items():
        entry = platforms.get(platform)
        if entry is not None and python in {short, entry["version"]}:
            return PipPackage(
                name=_PROJECT,
                version=entry["version"],
                filename=filename_of(entry["url"]),
                url=entry["url"],
                index=_PROJECT,
                sha256=entry["sha256"],
                size=entry["size"],
            )
    return None


def load_managed(python: str, platform: str) -> PipPackage:
    """Return the archive of a Python.

    Raises:
        UsageError: ``usage.managed_python``: there is no such one.
    """
    found = find_managed(python, platform)
    if found is None:
        table = _read_table(TABLE)
        known = ", ".join(f"`{short}`" for short in table if platform in table[short])
        raise UsageError(
            "usage.managed_python",
            f"there is no managed Python {python} for `{platform}`; there are {known}",
            hints=[f"install Python {python} yourself, and leave `--managed-python` out"],
        )
    return found


def managed_digests() -> frozenset[str]:
    """Return the sha256 of every archive that is known."""
    return frozenset(entry["sha256"] for each in _read_table(TABLE).values() for entry in each.values())


def find_unpacked(python: str, platform: str, *, folder: Path) -> Path | None:
    """Return the interpreter of a managed Python that was unpacked before and not changed since, or None."""
    package = find_managed(python, platform)
    if package is None:
        return None
    place = _place(package, folder)
    interpreter = _interpreter(place, platform)
    return interpreter if interpreter.is_file() and is_untouched(place) else None


def unpack_managed(archive: Path, package: PipPackage, platform: str, *, folder: Path) -> Path:
    """Unpack an archive whose digest is the locked one, and return its interpreter.

    It appears below ``folder`` complete or not at all, and stays: environments are made of it.

    Raises:
        InstallError: ``install.archive``: it holds what no Python brings.
        OSError: It could not be written.
    """
    place = _place(package, folder)
    make_private_folder(folder)
    with hold_scratch("python", parent=folder) as scratch:
        try:
            with tarfile.open(archive, "r:gz") as opened:
                _check_members(opened, package.filename, size_bytes=archive.stat().st_size, platform=platform)
                for member in opened.getmembers():
                    # Only root gives files to others, and then they stay root's.
                    member.uid, member.gid, member.uname, member.gname = 0, 0, "", ""
                    member.mode &= 0o755  # nobody else may write, and no program takes other rights
                # Pythons before 3.11.4 have no filters; what we refuse above is enough without them.
                opened.extraction_filter = getattr(tarfile, "data_filter", None)
                opened.extractall(scratch)  # noqa: S202 - every member was checked
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise refuse(package.filename, f"cannot be read: {error}") from error
        made = scratch / _ROOT
        if not _interpreter(made, platform).is_file():
            raise refuse(package.filename, "holds no interpreter")
        remove_tree(place)
        replace(made, place)
    keep_snapshot(place)
    return _interpreter(place, platform)


def _check_members(opened: tarfile.TarFile, archive: str, *, size_bytes: int, platform: str) -> None:
    """Refuse names and links that lead elsewhere; `tarfile`'s own filter, if any, is a second lock."""
    portable = platform != "linux-64"
    budget = Budget(archive, size_bytes=size_bytes)
    links: dict[str, str] = {}
    files: set[str] = set()
    seen: set[str] = set()
    for member in opened:
        key = member.name.casefold() if portable else member.name
        fault = find_name_fault(member.name, portable=portable)
        if fault is None and member.name.partition("/")[0] != _ROOT:
            fault = f"is not below `{_ROOT}`"
        if fault is None and key in seen and not member.isdir():
            fault = "comes twice"
        if fault is None and member.islnk() and member.linkname not in files:
            fault = "is a link to no file before it"
        if fault is None and not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
            fault = "is neither a file nor a folder nor a link"
        if fault is not None:
            raise refuse(archive, fault, member=member.name)
        seen.add(key)
        budget.spend(member.size)
        if member.isfile():
            files.add(member.name)
        if member.issym():
            links[member.name] = member.linkname
    for name in links:
        fault = find_link_fault(name, links, portable=portable)
        if fault is not None:
            raise refuse(archive, fault, member=name)


def _place(package: PipPackage, folder: Path) -> Path:
    return folder / f"{package.version}-{package.sha256[:8]}"


def _interpreter(place: Path, platform: str) -> Path:
    return place / "python.exe" if platform == "win-64" else place / "bin" / "python3"


@cache
def _read_table(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return Python to platform to version, url, sha256 and size (null: the source does not say it)."""
    pythons: dict[str, dict[str, dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))["pythons"]
    return pythons
