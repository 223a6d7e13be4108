"""The provisioner's own wheel and those that it needs: what a machine without a network installs it from."""

import base64
import hashlib
import io
import zipfile
from collections.abc import Collection, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name
from packaging.version import Version

import provisioner
from provisioner.engines.index.page_cache import IndexSource
from provisioner.engines.index.wheel_choice import Limits, choose_wheels
from provisioner.errors import InstallError, UnavailableError
from provisioner.ground.names import DEFAULT_INDEX
from provisioner.lock.requirements import Pin, parse_requirements
from provisioner.pipeline.settings import builtin_folder
from provisioner.resolve.model import PipPackage
from provisioner.resolve.platforms import find_target, marker_environment

DISTRIBUTION = "provision-arc"
_LOCKFILE = "provision.txt"
_BUILTIN = ("ansible", "envs", "lockfiles", "docs/evidence")
_METADATA = frozenset({"METADATA", "WHEEL", "entry_points.txt"})
_PLAIN_FILE = 0o100644 << 16
# Markers ask for the third number too, and nobody knows which one a machine has.
_PATCHES = (0, 99)


def pack_own_wheel() -> tuple[str, bytes]:
    """Return file name and bytes of our own wheel, made of the files that are installed.

    The same files give the same bytes, from a checkout or from a wheel; nothing is compressed, because
    compressors differ from machine to machine.

    Raises:
        InstallError: ``install.own_wheel``: we run from files that nobody installed.
    """
    try:
        installed = distribution(DISTRIBUTION)
    except PackageNotFoundError as error:
        raise InstallError(
            "install.own_wheel",
            f"`{DISTRIBUTION}` is not installed, so there is no wheel of it to bundle",
            hints=["install it with pip, from its checkout or its wheel, and run it from there"],
        ) from error
    stem = f"{DISTRIBUTION.replace('-', '_')}-{installed.version}"
    files = dict(sorted([*_find_package_files(), *_find_metadata(installed, f"{stem}.dist-info")]))
    record = f"{stem}.dist-info/RECORD"
    lines = [f"{name},sha256={_record_digest(data)},{len(data)}\n" for name, data in files.items()]
    files[record] = "".join([*lines, f"{record},,\n"]).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)  # which dates it 1980-01-01
            info.create_system, info.external_attr = 3, _PLAIN_FILE
            archive.writestr(info, data)
    return f"{stem}-py3-none-any.whl", out.getvalue()


def choose_own_wheels(
    index: IndexSource, *, platforms: Collection[str], pythons: Collection[str]
) -> tuple[PipPackage, ...]:
    """Return the locked wheels that we need, for every platform and Python, sorted by file name.

    Raises:
        UnavailableError: The index could not be read, or has not all of the locked files any more.
    """
    chosen: dict[str, PipPackage] = {}
    for pin in parse_requirements(read_own_lockfile()):
        for platform in platforms:
            for python in pythons:
                if _is_wanted(pin, platform, python):
                    package = _choose(index, pin, platform, python)
                    chosen[package.filename] = package
    return tuple(chosen[name] for name in sorted(chosen))


def read_own_lockfile() -> str:
    """Return our own lockfile's text."""
    return (builtin_folder("lockfiles") / _LOCKFILE).read_text(encoding="utf-8")


def render_tool_requirements(own_sha256: str) -> str:
    """Return what pip is given: our lockfile, and our own wheel with its digest."""
    version = distribution(DISTRIBUTION).version
    return f"{read_own_lockfile()}{DISTRIBUTION}=={version} \\\n    --hash=sha256:{own_sha256}\n"


def _choose(index: IndexSource, pin: Pin, platform: str, python: str) -> PipPackage:
    name, version = canonicalize_name(pin.requirement.name), Version(pin.version)
    limits = Limits(prereleases=True, yanked=frozenset({version}))
    locked = [file for file in index.read_page(None, name) or () if file.sha256 in pin.hashes]
    file = choose_wheels(locked, project=name, platform=platform, python=python, limits=limits).get(version)
    if file is None or file.sha256 is None:
        raise UnavailableError(
            "unavailable.not_found",
            f"the index has no locked file of `{name}` {pin.version} for `{platform}` and Python {python},"
            " which the provisioner itself needs",
            hints=["name another Python with `--tool-python`, or leave the tool out with `--no-tool`"],
            context={"package": name, "platform": platform, "python": python},
        )
    return PipPackage(
        name=name,
        version=pin.version,
        filename=file.filename,
        url=f"{DEFAULT_INDEX}:{file.filename}",
        index=DEFAULT_INDEX,
        sha256=file.sha256,
        size=file.size,
    )


def _is_wanted(pin: Pin, platform: str, python: str) -> bool:
    machine = marker_environment(find_target(platform), python)
    return any(pin.is_for(machine | {"python_full_version": f"{python}.{patch}"}) for patch in _PATCHES)


def _find_package_files() -> Iterator[tuple[str, bytes]]:
    """Yield path in the wheel and content of our files; in a checkout the built-in ones lie elsewhere."""
    root = Path(provisioner.__file__).parent
    yield from _read_folder(root, root.name)
    for name in _BUILTIN:
        if not (root / "builtin" / name).is_dir():
            yield from _read_folder(builtin_folder(name), f"{root.name}/builtin/{name}")


def _read_folder(folder: Path, place: str) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        name = PurePosixPath(place, *path.relative_to(folder).parts)
        if path.is_file() and "__pycache__" not in name.parts and not path.name.startswith("."):
            yield str(name), path.read_bytes()


def _find_metadata(installed: Distribution, folder: str) -> Iterator[tuple[str, bytes]]:
    for file in installed.files or ():
        below = PurePosixPath(*file.parts[1:])
        if file.parts[0] == folder and (str(below) in _METADATA or below.parts[0] == "licenses"):
            yield f"{folder}/{below}", file.read_binary()


def _record_digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
