"""Scan a wheel: what is where, a complete RECORD, and nothing in the environment's own places.

uv reads a zip one way only, compares names and metadata, and refuses scripts that leave their folder.
Sources: the wheel specification; PEP 829 for ``.start`` files.
"""

import configparser
import csv
import errno
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from provisioner.engines.archive.names import (
    find_name_fault,
    find_place_fault,
    hijacks_start,
    runs_at_start,
)
from provisioner.engines.archive.refusal import UNREADABLE, Budget, refuse
from provisioner.engines.store.file import StoredFile
from provisioner.resolve.model import PipPackage

_LONGEST_TEXT_BYTES = 64 * 1024 * 1024
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_SIGNATURES = ("/RECORD", "/RECORD.jws", "/RECORD.p7s")
_KNOWN_STARTERS = {("setuptools", "distutils-precedence.pth")}
_SITE = "lib/site-packages"
# Where the schemes of a wheel's `.data` folder are installed.
_SCHEMES = {"purelib": _SITE, "platlib": _SITE, "headers": "include", "scripts": "bin", "data": ""}


def scan_wheel(path: Path, package: PipPackage) -> StoredFile:
    """Scan a wheel; see `scan_package`."""
    archive = package.filename
    try:
        with zipfile.ZipFile(path) as opened:
            names = _check_members(opened, archive, size_bytes=path.stat().st_size)
            folder = next((name.partition("/")[0] for name in names if _METADATA.fullmatch(name)), "")
            _check_record(_read(opened, f"{folder}/RECORD", archive), names, archive)
            for name, place in _find_places(opened, names, folder, archive):
                fault = find_place_fault(place, package=package.name)
                if fault is not None:
                    raise refuse(archive, fault, member=name)
            return StoredFile(path=path, notices=_check_starters(opened, names, package))
    except (*UNREADABLE, OSError) as error:
        if isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}:
            raise
        raise refuse(archive, f"is not a readable wheel: {error}") from error


def _check_members(opened: zipfile.ZipFile, archive: str, *, size_bytes: int) -> list[str]:
    budget = Budget(archive, size_bytes=size_bytes)
    for info in opened.infolist():
        fault = find_name_fault(info.orig_filename, portable=True)
        if fault is None and info.compress_type not in _METHODS:
            fault = "is compressed in a way that wheels do not use"
        if fault is not None:
            raise refuse(archive, fault, member=info.orig_filename)
        budget.spend(info.file_size)
    return [info.orig_filename for info in opened.infolist()]


def _check_record(text: str, names: list[str], archive: str) -> None:
    """Refuse a RECORD that leaves its place or leaves a file out: nobody could tell who brought it."""
    # some wheels made on Windows write its separator there, and installers read it as one
    listed = {row[0].replace("\\", "/") for row in csv.reader(text.splitlines()) if row}
    for name in listed:
        fault = find_name_fault(name, portable=True)
        if fault is not None:
            raise refuse(archive, f"{fault} (in RECORD)", member=name)
    for name in names:
        if not name.endswith("/") and name not in listed and not name.endswith(_SIGNATURES):
            raise refuse(archive, "is not in the wheel's RECORD", member=name)


def _find_places(
    opened: zipfile.ZipFile, names: list[str], folder: str, archive: str
) -> Iterator[tuple[str, str]]:
    """Yield every member, and every script that an entry point becomes, with its place."""
    for name in names:
        parts = name.split("/", 2)
        if parts[0].endswith(".data") and len(parts) == 3 and parts[1] in _SCHEMES:
            yield name, f"{_SCHEMES[parts[1]]}/{parts[2]}".removeprefix("/")
        else:
            yield name, f"{_SITE}/{name}"
    if f"{folder}/entry_points.txt" in names:
        parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign] # the documented way to keep the case
        parser.read_string(_read(opened, f"{folder}/entry_points.txt", archive))
        for section in {"console_scripts", "gui_scripts"} & set(parser.sections()):
            for name in parser.options(section):
                yield name, f"bin/{name}"


def _check_starters(opened: zipfile.ZipFile, names: list[str], package: PipPackage) -> tuple[str, ...]:
    """Return a notice for every file that Python runs at each start; refuse those of no honest use."""
    notices = []
    for name in names:
        parts = name.split("/")
        in_site = len(parts) == 1 or (
            len(parts) == 3 and parts[0].endswith(".data") and parts[1] in {"purelib", "platlib"}
        )
        package_start = len(parts) == 2 and hijacks_start(parts[0]) and parts[1].startswith("__init__.")
        if package_start or (in_site and hijacks_start(parts[-1])):
            raise refuse(package.filename, "would run at every start of Python", member=name)
        if not in_site or not runs_at_start(parts[-1]):
            continue
        for line in _read(opened, name, package.filename).splitlines():
            if line.startswith(("import ", "import\t", "#")) or not line.strip():
                continue
            if find_name_fault(line.strip(), portable=True) is not None:
                raise refuse(package.filename, "adds a folder outside to Python's path", member=name)
        if (package.name, parts[-1]) not in _KNOWN_STARTERS:
            notices.append(f"`{package.filename}` brings `{name}`, which Python reads at every start")
    return tuple(notices)


def _read(opened: zipfile.ZipFile, name: str, archive: str) -> str:
    info = opened.getinfo(name)
    if info.file_size > _LONGEST_TEXT_BYTES:
        raise refuse(archive, "is too large for a text", member=name)
    with opened.open(info) as file:
        return file.read(_LONGEST_TEXT_BYTES).decode("utf-8")
