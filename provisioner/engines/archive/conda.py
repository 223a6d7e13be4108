"""Scan a conda package: files with ``info/index.json`` and ``info/paths.json``, in one of two wrappings.

Sources: conda's package specification; CEP on the ``.conda`` format (a zip of two tars in zstd).
"""

import bz2
import errno
import hashlib
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import zstandard

from provisioner.engines.archive.names import (
    find_entry_point_fault,
    find_link_fault,
    find_name_fault,
    find_twins,
    hijacks_start,
    runs_at_start,
)
from provisioner.engines.archive.scan import MOST_MEMBERS, UNREADABLE, Verdict, refuse, unpack_budget
from provisioner.engines.archive.zip_container import check_container
from provisioner.resolve.model import CondaPackage

_LONGEST_TEXT_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_LARGEST_WINDOW = 256 * 1024 * 1024
_TYPES = {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE}
_TEXTS = {f"info/{name}" for name in ("index.json", "paths.json", "files", "link.json")}
_SCRIPT_ENDS = tuple(
    f"-{when}.{end}" for when in ("pre-link", "post-link", "pre-unlink") for end in ("sh", "bat")
)


@dataclass(kw_only=True)
class _Contents:
    """What the tars of one package hold: path to sha256 for files, to target for links; ``info`` texts."""

    digests: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    texts: dict[str, bytes] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)


def scan_conda(path: Path, package: CondaPackage) -> Verdict:
    """Scan a conda package; see `scan_package`."""
    archive = package.filename
    portable = package.subdir != "linux-64"  # Linux packages may hold names that only differ in case
    contents = _Contents()
    budget = _Budget(unpack_budget(path.stat().st_size), archive)
    try:
        with _open_tars(path, archive) as streams:
            for stream in streams:
                counted = cast("IO[bytes]", _Counted(stream, budget))
                with tarfile.open(fileobj=counted, mode="r|", bufsize=_CHUNK_BYTES) as tar:
                    _read_tar(tar, contents, archive, portable=portable)
        index = _check_index(contents, package)
        _check_paths(contents, archive, portable=portable)
        _check_link_json(contents, archive)
    except (*UNREADABLE, zstandard.ZstdError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}:
            raise
        raise refuse(archive, f"is not a readable conda package: {error}") from error
    return Verdict(notices=tuple(_find_notices(contents, archive)), index=index)


class _Budget:
    """Counts what is unpacked, over all tars of a package."""

    def __init__(self, limit: int, archive: str) -> None:
        self._left = limit
        self._archive = archive

    def spend(self, count: int) -> None:
        """Take ``count`` bytes, or refuse the package."""
        self._left -= count
        if self._left < 0:
            raise refuse(self._archive, "unpacks to far more than its size allows")


class _Counted:
    """A stream whose bytes are counted."""

    def __init__(self, stream: IO[bytes], budget: _Budget) -> None:
        self._stream = stream
        self._budget = budget

    def read(self, size: int) -> bytes:
        """Read and count."""
        data = self._stream.read(size)
        self._budget.spend(len(data))
        return data


@contextmanager
def _open_tars(path: Path, archive: str) -> Iterator[Iterator[IO[bytes]]]:
    """Yield the unpacked streams of a package's tars."""
    if archive.endswith(".tar.bz2"):
        with bz2.open(path) as stream:
            yield iter([stream])
    elif archive.endswith(".conda"):
        with path.open("rb") as file, zipfile.ZipFile(file) as opened:
            check_container(file, opened, archive)
            yield _open_conda(opened, archive)
    else:
        raise refuse(archive, "is neither `.conda` nor `.tar.bz2`")


def _open_conda(opened: zipfile.ZipFile, archive: str) -> Iterator[IO[bytes]]:
    names = sorted(info.orig_filename for info in opened.infolist())
    expected = [("info-", ".tar.zst"), ("metadata", ".json"), ("pkg-", ".tar.zst")]
    if len(names) != 3 or not all(
        name.startswith(start) and name.endswith(end)
        for name, (start, end) in zip(names, expected, strict=True)
    ):
        raise refuse(archive, "does not hold the three parts of a conda package")
    if any(info.compress_type != zipfile.ZIP_STORED for info in opened.infolist()):
        raise refuse(archive, "compresses its parts twice")
    for name in (names[0], names[2]):
        with opened.open(name) as part:
            yield zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).stream_reader(
                part, read_across_frames=True
            )


def _read_tar(tar: tarfile.TarFile, contents: _Contents, archive: str, *, portable: bool) -> None:
    """Note every member; the rules of one package hold over both of its tars."""
    for member in tar:
        name = member.name.removeprefix("./")
        if member.isdir() and name in {"", "."}:
            continue
        fault = find_name_fault(name, portable=portable)
        if fault is None and (
            member.type not in _TYPES or member.sparse is not None or "size" in member.pax_headers
        ):
            fault = "is neither file, folder nor link"
        if fault is None and member.issym():
            fault = find_link_fault(name, member.linkname)
        target = member.linkname.removeprefix("./")
        if fault is None and member.islnk() and target not in contents.digests:
            fault = "is a hard link to nothing before it"
        if fault is not None:
            raise refuse(archive, fault, member=name)
        if member.isdir():
            contents.folders.add(name)
            continue
        if len(contents.order) >= MOST_MEMBERS:
            raise refuse(archive, f"holds more than {MOST_MEMBERS} files")
        contents.order.append(name)
        if member.issym():
            contents.links[name] = member.linkname
        elif member.islnk():
            contents.digests[name] = contents.digests[target]
        else:
            contents.digests[name] = _digest(tar, member, contents, archive)


def _digest(tar: tarfile.TarFile, member: tarfile.TarInfo, contents: _Contents, archive: str) -> str:
    """Return a file's sha256, and keep its text where it is one of those that we read."""
    name = member.name.removeprefix("./")
    keep = name in _TEXTS
    if keep and member.size > _LONGEST_TEXT_BYTES:
        raise refuse(archive, "is too large for a text", member=name)
    digest, kept = hashlib.sha256(), bytearray()
    file = tar.extractfile(member)
    while file is not None and (chunk := file.read(_CHUNK_BYTES)):
        digest.update(chunk)
        if keep:
            kept += chunk
    if keep:
        contents.texts[name] = bytes(kept)
    return digest.hexdigest()


def _check_index(contents: _Contents, package: CondaPackage) -> Mapping[str, Any]:
    index = json.loads(contents.texts.get("info/index.json", b"null"))
    if not isinstance(index, dict):
        raise refuse(package.filename, "has no `info/index.json`")
    for key in ("name", "version", "build", "subdir"):
        if index.get(key) != getattr(package, key):
            raise refuse(
                package.filename, f"says that its {key} is {index.get(key)!r}, not `{getattr(package, key)}`"
            )
    return index


def _check_paths(contents: _Contents, archive: str, *, portable: bool) -> None:
    """Refuse what would be linked to another place than it says, or with other bytes."""
    twin = find_twins(contents.order, portable=portable)
    if twin is not None:
        raise refuse(archive, "comes twice", member=twin)
    for name in contents.order:
        parents = PurePosixPath(name).parents
        if any(str(parent) in contents.links or str(parent) in contents.digests for parent in parents):
            raise refuse(archive, "lies behind a link", member=name)
    listed = _listed_paths(contents, archive)
    twin = find_twins(listed, portable=portable)
    if twin is not None:
        raise refuse(archive, "is listed twice", member=twin)
    for name, digest in listed.items():
        fault = find_name_fault(name, portable=portable)
        if fault is None and _is_ours(name):
            fault = "would replace a part of the environment"
        if fault is None and name not in contents.digests | contents.links and name not in contents.folders:
            fault = "is listed and not there"
        if fault is None and digest is not None and contents.digests.get(name, digest) != digest:
            fault = "is not what the package's own list says"
        if fault is not None:
            raise refuse(archive, fault, member=name)


def _listed_paths(contents: _Contents, archive: str) -> dict[str, str | None]:
    """Return path to sha256, None where the list says none: it is an old one, or the path is a link."""
    if "info/paths.json" in contents.texts:
        entries = json.loads(contents.texts["info/paths.json"])["paths"]
        listed: dict[str, str | None] = {}
        for entry in entries:
            if entry["_path"] in listed:
                raise refuse(archive, "is listed twice", member=entry["_path"])
            listed[entry["_path"]] = (
                entry.get("sha256") if entry.get("path_type", "hardlink") == "hardlink" else None
            )
        return listed
    if "info/files" in contents.texts:
        return dict.fromkeys(contents.texts["info/files"].decode("utf-8").split("\n")[:-1])
    raise refuse(archive, "has no list of its files")


def _is_ours(name: str) -> bool:
    first, _, rest = name.lower().partition("/")
    return (
        first == "pyvenv.cfg"
        or first.startswith("provision-")
        or (first == "conda-meta" and (rest == "history" or rest.endswith(".json")))
    )


def _check_link_json(contents: _Contents, archive: str) -> None:
    """Check the scripts that a linker would make for a package of pure Python."""
    link = json.loads(contents.texts.get("info/link.json", b"{}"))
    for entry in (link.get("noarch") or {}).get("entry_points", ()):
        name, _, target = str(entry).partition("=")
        fault = find_entry_point_fault(name.strip(), target)
        if fault is not None:
            raise refuse(archive, f"{fault} (an entry point)", member=name.strip())


def _find_notices(contents: _Contents, archive: str) -> Iterator[str]:
    for name in contents.order:
        path = PurePosixPath(name)
        in_site = path.parent.name == "site-packages"
        if hijacks_start(path.name) and in_site:
            raise refuse(archive, "would run at every start of Python", member=name)
        if in_site and runs_at_start(path.name):
            yield f"`{archive}` brings `{name}`, which Python reads at every start"
        if path.name.endswith(_SCRIPT_ENDS) and path.parent.name in {"bin", "Scripts"}:
            yield f"`{archive}` has a script `{name}` for its installation, which is not run"
        if name.startswith("etc/conda/activate.d/"):
            yield f"`{archive}` has a script `{name}` for activation, which is not run"
