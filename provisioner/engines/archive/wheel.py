"""Scan a wheel: a zip that reads one way only, with names that stay in place and a complete RECORD.

Sources: the wheel specification; the rules that indexes apply since 2025 (CVE-2025-54368).
"""

import configparser
import csv
import errno
import stat
import zipfile
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from provisioner.engines.archive.names import (
    find_entry_point_fault,
    find_name_fault,
    find_twins,
    hijacks_start,
    is_interpreter,
    runs_at_start,
)
from provisioner.engines.archive.scan import MOST_MEMBERS, UNREADABLE, Verdict, refuse, unpack_budget
from provisioner.engines.archive.zip_container import check_container
from provisioner.resolve.model import PipPackage

_ENCRYPTED, _UTF8 = 0x01, 0x800
_LONGEST_TEXT_BYTES = 64 * 1024 * 1024
_SCHEMES = {"purelib", "platlib", "headers", "scripts", "data"}
_SIGNATURES = ("/RECORD", "/RECORD.jws", "/RECORD.p7s")
_KNOWN_STARTERS = {("setuptools", "distutils-precedence.pth")}


def scan_wheel(path: Path, package: PipPackage) -> Verdict:
    """Scan a wheel; see `scan_package`."""
    archive = package.filename
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as opened:
            infos = opened.infolist()
            check_container(file, opened, archive)
            names = [info.orig_filename for info in infos]
            _check_names(infos, archive, size=path.stat().st_size)
            folder = _find_dist_info(names, package)
            _check_metadata(_read(opened, f"{folder}/METADATA", archive), package)
            _check_record(_read(opened, f"{folder}/RECORD", archive), names, archive)
            if f"{folder}/entry_points.txt" in names:
                _check_entry_points(_read(opened, f"{folder}/entry_points.txt", archive), archive)
            _check_data(names, archive)
            return Verdict(notices=_check_starters(opened, names, package))
    except (*UNREADABLE, OSError) as error:
        if isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}:
            raise
        raise refuse(archive, f"is not a readable wheel: {error}") from error


def _check_names(infos: list[zipfile.ZipInfo], archive: str, *, size: int) -> None:
    for info in infos:
        name = info.orig_filename
        kind = stat.S_IFMT(info.external_attr >> 16)
        fault = find_name_fault(name, portable=True)
        if fault is None and not (name.isascii() or info.flag_bits & _UTF8):
            fault = "is not in UTF-8"
        if fault is None and info.flag_bits & _ENCRYPTED:
            fault = "is encrypted"
        if fault is None and info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            fault = "is compressed in a way that wheels do not use"
        if fault is None and kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            fault = "is a link or a device"
        if fault is not None:
            raise refuse(archive, fault, member=name)
    twin = find_twins((info.orig_filename for info in infos), portable=True)
    if twin is not None:
        raise refuse(archive, "comes twice", member=twin)
    unpacked = sum(info.file_size for info in infos)
    if len(infos) > MOST_MEMBERS or unpacked > unpack_budget(size):
        raise refuse(archive, f"would unpack to {len(infos)} files and {unpacked // 1_000_000} MB")


def _find_dist_info(names: list[str], package: PipPackage) -> str:
    folders = {name.partition("/")[0] for name in names if name.partition("/")[0].endswith(".dist-info")}
    if len(folders) != 1:
        raise refuse(package.filename, f"has {len(folders)} `.dist-info` folders")
    folder = folders.pop()
    name, _, version = folder.removesuffix(".dist-info").partition("-")
    _check_identity(name, version, package)
    return folder


def _check_metadata(text: str, package: PipPackage) -> None:
    fields: dict[str, str] = {}
    for line in text.replace("\r\n", "\n").partition("\n\n")[0].split("\n"):
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    _check_identity(fields.get("name", ""), fields.get("version", ""), package)


def _check_identity(name: str, version: str, package: PipPackage) -> None:
    try:
        same = canonicalize_name(name) == canonicalize_name(package.name) and Version(version) == Version(
            package.version
        )
    except InvalidVersion:
        same = False
    if not same:
        raise refuse(package.filename, f"is {name!r} {version!r}, not `{package.name}` `{package.version}`")


def _check_record(text: str, names: list[str], archive: str) -> None:
    """Refuse a RECORD that leaves its place or leaves a file out: nobody could tell who brought it."""
    try:
        # some wheels made on Windows write its separator there, and installers read it as one
        listed = {row[0].replace("\\", "/") for row in csv.reader(text.splitlines()) if row}
    except csv.Error as error:
        raise refuse(archive, f"has a RECORD that cannot be read: {error}") from error
    for name in listed:
        fault = find_name_fault(name, portable=True)
        if fault is not None:
            raise refuse(archive, f"{fault} (in RECORD)", member=name)
    for name in names:
        if not name.endswith("/") and name not in listed and not name.endswith(_SIGNATURES):
            raise refuse(archive, "is not in the wheel's RECORD", member=name)


def _check_entry_points(text: str, archive: str) -> None:
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # the documented way to keep the case
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise refuse(archive, f"has entry points that cannot be read: {error}") from error
    for section in ("console_scripts", "gui_scripts"):
        for name, target in parser.items(section) if parser.has_section(section) else ():
            fault = find_entry_point_fault(name, target)
            if fault is not None:
                raise refuse(archive, f"{fault} (an entry point)", member=name)


def _check_data(names: list[str], archive: str) -> None:
    """Refuse members of ``.data`` that would replace the interpreter or our own files."""
    for name in names:
        parts = name.rstrip("/").split("/")
        if not parts[0].endswith(".data") or len(parts) < 3:
            continue
        scheme, rest = parts[1], parts[2:]
        beside_python = scheme == "scripts" or (
            scheme == "data" and (len(rest) == 1 or rest[0].lower() in {"bin", "scripts"})
        )
        own = scheme == "data" and (
            rest[0].lower() in {"pyvenv.cfg", "conda-meta"} or rest[0].lower().startswith("provision-")
        )
        if scheme not in _SCHEMES:
            raise refuse(archive, "goes to no place that wheels have", member=name)
        if own or (beside_python and is_interpreter(rest[-1])):
            raise refuse(archive, "would replace a part of the environment", member=name)


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
    try:
        info = opened.getinfo(name)
    except KeyError as error:
        raise refuse(archive, f"has no `{name}`") from error
    if info.file_size > _LONGEST_TEXT_BYTES:
        raise refuse(archive, "is too large for a text", member=name)
    with opened.open(info) as file:
        return file.read(_LONGEST_TEXT_BYTES).decode("utf-8")
