"""Scan a wheel: what is where, a complete RECORD, and nothing in the environment's own places.

uv reads a zip one way only, compares names and metadata, and refuses scripts that leave their folder.
Source: the wheel specification.
"""

import configparser
import csv
import posixpath
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from packaging.utils import canonicalize_name

from provisioner.engines.archive.member_rules import (
    find_foreign_fault,
    find_name_fault,
    find_place_fault,
    runs_at_start,
)
from provisioner.engines.archive.refused import Budget, refuse
from provisioner.engines.store.file import StoredFile
from provisioner.resolve.model import PipPackage

_LONGEST_TEXT_BYTES = 64 * 1024 * 1024
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_SIGNATURES = ("/RECORD", "/RECORD.jws", "/RECORD.p7s")
_SITE = "lib/site-packages"
# Where the schemes of a wheel's `.data` folder are installed.
_SCHEMES = {"purelib": _SITE, "platlib": _SITE, "headers": "include", "scripts": "bin", "data": ""}


def scan_wheel(path: Path, package: PipPackage) -> StoredFile:
    """Scan a wheel; see `scan_package`."""
    archive = package.filename
    with zipfile.ZipFile(path) as opened:
        names = _check_members(opened, archive, size_bytes=path.stat().st_size)
        folder = next((name.partition("/")[0] for name in names if _METADATA.fullmatch(name)), "")
        _check_record(_read(opened, f"{folder}/RECORD", archive), names, archive)
        places = list(_find_places(opened, names, folder, archive))
        unpacked_bytes = sum(info.file_size for info in opened.infolist())
    for name, place in places:
        fault = find_place_fault(place, package=package.name) or find_foreign_fault(place, metadata=folder)
        if fault is not None:
            raise refuse(archive, fault, member=name)
    startup = (name for name, place in places if runs_at_start(place, package=package.name))
    return StoredFile(path=path, startup=tuple(startup), unpacked_bytes=unpacked_bytes)


def find_built_startup(prefix: Path, package: PipPackage) -> tuple[str, ...]:
    """Return what Python will run at every start among the files of a package that was built here.

    Its wheel did not exist when archives were scanned; the RECORD that uv wrote lists what it became.
    """
    records = (
        record
        for pattern in ("lib/python3*/site-packages", "Lib/site-packages")
        for record in prefix.glob(f"{pattern}/*.dist-info/RECORD")
        if canonicalize_name(record.parent.name.partition("-")[0]) == package.name
    )
    return tuple(
        row[0]
        for record in records
        for row in csv.reader(record.read_text(encoding="utf-8").splitlines())
        if row and runs_at_start(posixpath.normpath(f"{_SITE}/{row[0]}"), package=package.name)
    )


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
    for name in listed - set(names):  # the members' own names were looked at before
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


def _read(opened: zipfile.ZipFile, name: str, archive: str) -> str:
    info = opened.getinfo(name)
    if info.file_size > _LONGEST_TEXT_BYTES:
        raise refuse(archive, "is too large for a text", member=name)
    with opened.open(info) as file:
        return file.read(_LONGEST_TEXT_BYTES).decode("utf-8")
