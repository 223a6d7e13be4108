"""What a lock may say of its packages: addresses, file names, digests, versions.

Each check returns the reason against a value, None where there is none. They guard both directions: nothing
is written that would be refused when it is read.
"""

import re
from collections.abc import Collection, Mapping
from urllib.parse import unquote

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from provisioner.ground.names import CONDA_NAME, DEFAULT_INDEX, check_canonical_address
from provisioner.ground.text import shown
from provisioner.resolve.model import CondaPackage, PipPackage

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._!+-]{0,99}")
_WHEEL = re.compile(
    r"([A-Za-z0-9._]+)-([A-Za-z0-9._!+]+)(?:-[0-9][A-Za-z0-9_.]*)?(?:-[A-Za-z0-9_.]+){3}\.whl"
)
_SDIST = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)-([A-Za-z0-9.!+_]+)\.tar\.gz")
_LONGEST_PUBLISHER = 500
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MD5 = re.compile(r"[0-9a-f]{32}")


def origin_of(address: str) -> str:
    """Return scheme, host and port of an address."""
    return "/".join(address.split("/", 3)[:3])


def filename_of(address: str) -> str:
    """Return the file name that an address ends in; of ``pypi:<filename>`` what follows the colon."""
    return unquote(address.rsplit("/", 1)[-1].removeprefix(f"{DEFAULT_INDEX}:"))


def is_sdist(package: PipPackage) -> bool:
    """Return whether the file has to be built, which runs code of its author."""
    return package.filename.endswith(".tar.gz")


def check_conda_package(package: CondaPackage, platform: str, channels: Collection[str]) -> str | None:
    """Return why a conda package may not be in a lock for a platform."""
    if reason := check_canonical_address(package.url):
        return reason
    if package.subdir not in {platform, "noarch"}:
        return f"`{package.name}` is for {shown(package.subdir)}, not for `{platform}`"
    named = re.fullmatch(CONDA_NAME, package.name) and _VERSION.fullmatch(package.version)
    stem = f"{package.name}-{package.version}-{package.build}"
    if not named or package.filename not in {f"{stem}.conda", f"{stem}.tar.bz2"}:
        return _other_file(package)
    if package.url not in {f"{c.rstrip('/')}/{package.subdir}/{package.filename}" for c in channels}:
        return f"`{package.name}` does not come from one of the lock's channels: {shown(package.url)}"
    if not _MD5.fullmatch(package.md5):
        return f"`{package.name}`: {shown(package.md5)} is not an md5 digest of 32 lower-case hex digits"
    return _check_digest(package) or _check_dependencies(package)


def check_pip_package(package: PipPackage, indexes: Mapping[str, str], sdists: Collection[str]) -> str | None:
    """Return why a wheel, or a source archive beside those in ``sdists``, may not be in a lock."""
    elsewhere = package.index != DEFAULT_INDEX or "://" in package.url
    if elsewhere and (reason := check_canonical_address(package.url)):
        return reason
    match = _WHEEL.fullmatch(package.filename) or _SDIST.fullmatch(package.filename)
    if match is None:
        return f"{shown(package.filename)} is not the name of a wheel or of a source archive"
    if is_sdist(package) and package.name not in sdists:
        return f"`{package.name}` is a source archive, which the profile does not allow"
    if package.name != canonicalize_name(match[1]) or not _same_version(package.version, match[2]):
        return _other_file(package)
    return (
        _check_source(package, indexes)
        or _check_digest(package)
        or _check_dependencies(package)
        or (check_publisher(package.publisher) if package.publisher is not None else None)
    )


def check_publisher(text: str) -> str | None:
    """Return why a text cannot be who published a file: one line of words, which people read."""
    if re.fullmatch(r"[!-~]+(?: [!-~]+)*", text) and len(text) <= _LONGEST_PUBLISHER:
        return None
    return f"{shown(text[:_LONGEST_PUBLISHER])} is not the name of a publisher"


def _check_source(package: PipPackage, indexes: Mapping[str, str]) -> str | None:
    if package.index == DEFAULT_INDEX:
        if package.url == f"{DEFAULT_INDEX}:{package.filename}":
            return None
        return f"`{package.name}` comes from no index of the lock: {shown(package.url)}"
    if package.index not in indexes:
        return f"`{package.name}` comes from index {shown(package.index)}, which the lock does not name"
    if filename_of(package.url) == package.filename:
        return None
    return f"address {shown(package.url)} does not end in `{package.filename}`"


def _check_digest(package: CondaPackage | PipPackage) -> str | None:
    if _SHA256.fullmatch(package.sha256):
        return None
    digest = shown(package.sha256)
    return f"`{package.name}`: {digest} is not a sha256 digest of 64 lower-case hex digits"


def _check_dependencies(package: CondaPackage | PipPackage) -> str | None:
    for name, constraint in package.dependencies.items():
        if not re.fullmatch(r"[!-~][ -~]{0,199}", name) or not re.fullmatch(r"[ -~]{0,999}", constraint):
            return f"`{package.name}` has a dependency that is not one printable line"
    return None


def _other_file(package: CondaPackage | PipPackage) -> str:
    name, version = shown(package.name), shown(package.version)
    return f"file {shown(package.filename)} is not {name} in version {version}"


def _same_version(version: str, in_filename: str) -> bool:
    if not _VERSION.fullmatch(version):
        return False
    if version == in_filename:
        return True
    try:
        return Version(version) == Version(in_filename.replace("_", "-"))
    except InvalidVersion:
        return False
