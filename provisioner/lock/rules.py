"""What a lock may say: addresses, file names, digests, names.

Every ``refuse_`` function returns the reason against a value, or None. They guard both directions: nothing is
written that would be refused when it is read.
"""

import re
from collections.abc import Collection, Mapping
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from provisioner.ground.names import DEFAULT_INDEX, PLATFORMS
from provisioner.resolve.model import CondaPackage, PipPackage

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_ADDRESS = re.compile(
    r"https?://(?:[A-Za-z0-9.-]+|\[::1\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*/?"
)
_CONDA_TOKEN = re.compile(r"/t/[^/]+/")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CONDA_NAME = re.compile(r"_?[a-z0-9][a-z0-9._-]{0,99}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._!+-]{0,99}")
_WHEEL = re.compile(
    r"([A-Za-z0-9._]+)-([A-Za-z0-9._!+]+)(?:-[0-9][A-Za-z0-9_.]*)?(?:-[A-Za-z0-9_.]+){3}\.whl"
)
_SDIST = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)-([A-Za-z0-9.!+_]+)\.tar\.gz")
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


def refuse_address(address: str) -> str | None:
    """Return why nothing may be fetched from an address.

    Only https, and http on loopback. Nothing that could carry a secret (user, query, token), and nothing that
    two programs could read as different paths (``..``, double encoding, backslashes).
    """
    if not _ADDRESS.fullmatch(address):
        return f"address `{_hide_secrets(address)}` is not a plain https address"
    parts = urlsplit(address)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        return f"address `{address}` is not https"
    if _CONDA_TOKEN.search(parts.path):
        return f"an address on `{parts.hostname}` holds a token"
    segments = [unquote(segment) for segment in parts.path.split("/")[1:]]
    if any(
        re.fullmatch(r"\.{1,2}", segment) or re.search(r"[%/\\\x00-\x1f]", segment) for segment in segments
    ):
        return f"address `{address}` has a path that could be read in two ways"
    return None


def refuse_profile_name(name: str) -> str | None:
    """Return why a text is no profile's name."""
    return None if _NAME.fullmatch(name) else f"`{name}` is not a profile's name"


def refuse_index(name: str, address: str) -> str | None:
    """Return why an index may not stand in a lock."""
    if not _NAME.fullmatch(name) or name == DEFAULT_INDEX:
        return f"`{name}` is not the name of an index beside the default one"
    return refuse_address(address)


def refuse_platform(platform: str) -> str | None:
    """Return why a text is no platform."""
    if platform in PLATFORMS:
        return None
    return f"platform `{platform}` is none of {', '.join(f'`{known}`' for known in PLATFORMS)}"


def refuse_sha256(digest: str) -> str | None:
    """Return why a text is no sha256 digest."""
    return (
        None
        if _SHA256.fullmatch(digest)
        else f"`{digest}` is not a sha256 digest of 64 lower-case hex digits"
    )


def refuse_conda_package(package: CondaPackage, platform: str, channels: tuple[str, ...]) -> str | None:
    """Return why a conda package may not stand in a lock for a platform."""
    if not _CONDA_NAME.fullmatch(package.name):
        return f"`{package.name}` is not the name of a conda package"
    if package.subdir not in {platform, "noarch"}:
        return f"`{package.name}` is for `{package.subdir}`, not for `{platform}`"
    stem = f"{package.name}-{package.version}-{package.build}"
    if not _VERSION.fullmatch(package.version) or package.filename not in {
        f"{stem}.conda",
        f"{stem}.tar.bz2",
    }:
        return f"file `{package.filename}` is not `{package.name}` in version `{package.version}`"
    folders = {f"{channel.rstrip('/')}/{package.subdir}/{package.filename}" for channel in channels}
    if package.url not in folders:
        return (
            f"`{package.name}` does not come from one of the lock's channels: `{_hide_secrets(package.url)}`"
        )
    if not _MD5.fullmatch(package.md5):
        return f"`{package.name}`: `{package.md5}` is not an md5 digest of 32 lower-case hex digits"
    return (
        refuse_address(package.url)
        or refuse_sha256(package.sha256)
        or _refuse_dependencies(package.name, package.dependencies)
    )


def refuse_pip_package(
    package: PipPackage, indexes: Mapping[str, str], sdists: Collection[str]
) -> str | None:
    """Return why a wheel, or a source archive beside those in ``sdists``, may not stand in a lock."""
    match = _WHEEL.fullmatch(package.filename) or _SDIST.fullmatch(package.filename)
    if match is None:
        return f"`{_hide_secrets(package.filename)}` is not the name of a wheel or of a source archive"
    if is_sdist(package) and package.name not in sdists:
        return f"`{package.name}` is a source archive, which the profile does not allow"
    if package.name != canonicalize_name(match[1]) or not _same_version(package.version, match[2]):
        return f"file `{package.filename}` is not `{package.name}` in version `{package.version}`"
    return (
        _refuse_source(package, indexes)
        or refuse_sha256(package.sha256)
        or _refuse_dependencies(package.name, package.dependencies)
    )


def _refuse_source(package: PipPackage, indexes: Mapping[str, str]) -> str | None:
    if package.index == DEFAULT_INDEX:
        if package.url == f"{DEFAULT_INDEX}:{package.filename}":
            return None
        return f"`{package.name}` comes from no index of the lock: `{_hide_secrets(package.url)}`"
    if package.index not in indexes:
        return f"`{package.name}` comes from index `{package.index}`, which the lock does not name"
    if filename_of(package.url) != package.filename:
        return f"address `{_hide_secrets(package.url)}` does not end in `{package.filename}`"
    return refuse_address(package.url)


def _refuse_dependencies(name: str, dependencies: Mapping[str, str]) -> str | None:
    for dependency, constraint in dependencies.items():
        if not re.fullmatch(r"[!-~][ -~]{0,199}", dependency) or not re.fullmatch(
            r"[ -~]{0,999}", constraint
        ):
            return f"`{name}` has a dependency that is not one printable line"
    return None


def _same_version(version: str, in_filename: str) -> bool:
    if not _VERSION.fullmatch(version):
        return False
    if version == in_filename:
        return True
    try:
        return Version(version) == Version(in_filename.replace("_", "-"))
    except InvalidVersion:
        return False


def _hide_secrets(address: str) -> str:
    return re.sub(r"/t/[^/]+(?=/)", "/t/***", re.sub(r"(?<=//)[^/@\s]*@", "", address.partition("?")[0]))
