"""Scan a source archive: one folder ``name-version/`` of plain files, with PKG-INFO.

Source: the packaging specification of source distributions. Building one runs its code, which is why a
profile has to name the package and say why.
"""

import tarfile
from email.parser import BytesHeaderParser
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from provisioner.engines.archive.names import find_link_fault, find_name_fault, find_twins
from provisioner.engines.archive.scan import MOST_MEMBERS, Verdict, refuse, unpack_budget
from provisioner.resolve.model import PipPackage

_TYPES = {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE}
_LONGEST_METADATA_BYTES = 4 * 1024 * 1024


def scan_sdist(path: Path, package: PipPackage) -> Verdict:
    """Check every member's name and kind, the unpacked size, and that PKG-INFO is the locked package's.

    Raises:
        InstallError: The archive is refused.
    """
    archive = package.filename
    try:
        with tarfile.open(path, "r:gz") as tar:
            names = _check_members(tar, archive, budget=unpack_budget(path.stat().st_size))
            _check_identity(tar, package)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise refuse(archive, f"is not a readable source archive: {error}") from error
    roots = {name.split("/", 1)[0] for name in names}
    if len(roots) != 1:
        raise refuse(archive, f"holds {len(roots)} top folders where a source archive has one")
    return Verdict(notices=(f"`{archive}` is built on this machine, which runs its author's code",))


def _check_members(tar: tarfile.TarFile, archive: str, *, budget: int) -> list[str]:
    names: list[str] = []
    unpacked = 0
    for member in tar:
        name = member.name.removesuffix("/")
        if fault := find_name_fault(name, portable=True):
            raise refuse(archive, fault, member=name)
        if member.type not in _TYPES:
            raise refuse(archive, "is neither a file, a folder nor a link", member=name)
        if member.issym() and (fault := find_link_fault(name, member.linkname)):
            raise refuse(archive, fault, member=name)
        unpacked += member.size
        names.append(name)
        if unpacked > budget or len(names) > MOST_MEMBERS:
            raise refuse(archive, "unpacks to far more than its size allows")
    if twins := find_twins(names, portable=True):
        raise refuse(archive, "stands there twice", member=twins)
    return names


def _check_identity(tar: tarfile.TarFile, package: PipPackage) -> None:
    member = next(
        (each for each in tar if each.name.count("/") == 1 and each.name.endswith("/PKG-INFO")), None
    )
    stream = tar.extractfile(member) if member and member.size <= _LONGEST_METADATA_BYTES else None
    if stream is None:
        raise refuse(package.filename, "has no PKG-INFO")
    headers = BytesHeaderParser().parsebytes(stream.read())
    name, version = str(headers.get("Name", "")), str(headers.get("Version", ""))
    try:
        same = canonicalize_name(name) == package.name and Version(version) == Version(package.version)
    except InvalidVersion:
        same = False
    if not same:
        raise refuse(
            package.filename, f"says that it is `{name[:80]}` `{version[:80]}`, not the locked package"
        )
