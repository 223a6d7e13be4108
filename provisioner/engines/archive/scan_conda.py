"""Scan a conda package: files with ``info/index.json`` and ``info/paths.json``, in one of two wrappings.

rattler links what ``info/paths.json`` lists, and compares neither its digests nor its paths with anything.
Sources: conda's package specification; CEP on the ``.conda`` format (a zip of two tars in zstd).
"""

import bz2
import hashlib
import json
import struct
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, cast

import zstandard

from provisioner.engines.archive.member_rules import (
    find_link_fault,
    find_name_fault,
    find_place_fault,
    runs_at_start,
)
from provisioner.engines.archive.refused import Budget, refuse
from provisioner.engines.store.file import StoredFile
from provisioner.resolve.model import CondaPackage

_LONGEST_TEXT_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_LARGEST_WINDOW = 256 * 1024 * 1024
_PARTS = (("info-", ".tar.zst"), ("metadata", ".json"), ("pkg-", ".tar.zst"))
_TEXTS = {f"info/{name}" for name in ("index.json", "paths.json", "files", "link.json")}
# A pure Python package does not say which Python's folders it goes to.
_NOARCH = {"site-packages": "lib/site-packages", "python-scripts": "bin"}
_SCRIPT_ENDS = tuple(
    f"-{when}.{end}" for when in ("pre-link", "post-link", "pre-unlink") for end in ("sh", "bat")
)


@dataclass(kw_only=True)
class _Contents:
    """What the tars of one package hold: path to sha256 for files, to target for links; ``info`` texts."""

    archive: str
    portable: bool
    digests: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)

    def refuse_if(self, fault: str | None, member: str) -> None:
        """Refuse the package for a member's fault, if there is one."""
        if fault is not None:
            raise refuse(self.archive, fault, member=member)


def scan_conda(path: Path, package: CondaPackage) -> StoredFile:
    """Scan a conda package; see `scan_package`."""
    archive = package.filename
    # Linux packages may hold names that only differ in case, or that Windows does not have.
    contents = _Contents(archive=archive, portable=package.subdir != "linux-64")
    budget = Budget(archive, size_bytes=path.stat().st_size)
    with _open_tars(path, archive) as streams:
        for stream in streams:
            counted = cast("IO[bytes]", _Counted(stream, budget))
            with tarfile.open(fileobj=counted, mode="r|", bufsize=_CHUNK_BYTES) as tar:
                _read_tar(tar, contents)
    index = _check_index(contents, package)
    startup = _check_places(contents, package)
    for name in contents.links:
        contents.refuse_if(find_link_fault(name, contents.links, portable=contents.portable), name)
    return StoredFile(
        path=path,
        notices=tuple(_find_notices(contents)),
        startup=startup,
        index=index,
        unpacked_bytes=budget.spent_bytes,
    )


class _Counted:
    """A stream whose bytes are counted."""

    def __init__(self, stream: IO[bytes], budget: Budget) -> None:
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
    else:
        with path.open("rb") as file, zipfile.ZipFile(file) as opened:
            _check_layout(file, opened, archive)
            yield _open_parts(opened)


def _open_parts(opened: zipfile.ZipFile) -> Iterator[IO[bytes]]:
    for name in opened.namelist():
        if name.endswith(".zst"):
            with opened.open(name) as part:
                decompressor = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
                yield decompressor.stream_reader(part, read_across_frames=True)


def _check_layout(file: BinaryIO, opened: zipfile.ZipFile, archive: str) -> None:
    """Refuse a zip that is more than the three parts: rattler reads from the front, others from the end.

    A part may be followed by its sizes (at most 24 bytes, fewer than any header has) instead of having them
    in its header.
    """
    infos = opened.infolist()
    names = sorted(info.orig_filename for info in infos)
    if len(names) != len(_PARTS) or not all(
        name.startswith(start) and name.endswith(end)
        for name, (start, end) in zip(names, _PARTS, strict=True)
    ):
        raise refuse(archive, "does not hold the three parts of a conda package")
    ends = [0]
    for info in infos:
        file.seek(info.header_offset)
        header = struct.unpack("<4s5H3I2H", file.read(30))
        ends.append(info.header_offset + 30 + header[9] + header[10] + info.compress_size)
        sizes_follow = bool(info.flag_bits & 0x08)
        if header[2] != info.flag_bits or not (
            sizes_follow or header[7:9] == (info.compress_size, info.file_size)
        ):
            raise refuse(archive, "has two headers that differ", member=info.orig_filename)
    starts = [*(info.header_offset for info in infos), opened.start_dir]
    if not all(end <= start <= end + 24 for end, start in zip(ends, starts, strict=True)):
        raise refuse(archive, "has bytes beside its three parts")


def _read_tar(tar: tarfile.TarFile, contents: _Contents) -> None:
    """Note every file and link; the rules of one package hold over both of its tars."""
    for member in tar:
        name = member.name.removeprefix("./")
        if member.isdir():
            contents.folders.add(name)
            continue
        key = name.casefold() if contents.portable else name
        contents.refuse_if("comes twice" if key in contents.seen else None, name)
        contents.seen.add(key)
        if member.issym():
            contents.links[name] = member.linkname
        elif member.islnk():
            contents.digests[name] = contents.digests[member.linkname.removeprefix("./")]
        else:
            contents.digests[name] = _digest(tar, member, contents)


def _digest(tar: tarfile.TarFile, member: tarfile.TarInfo, contents: _Contents) -> str:
    """Return a file's sha256, and keep its text where it is one of those that we read."""
    name = member.name.removeprefix("./")
    keep = name in _TEXTS
    if keep and member.size > _LONGEST_TEXT_BYTES:
        raise refuse(contents.archive, "is too large for a text", member=name)
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
    index: Mapping[str, Any] = json.loads(contents.texts["info/index.json"])
    for key in ("name", "version", "build", "subdir"):
        if index.get(key) != getattr(package, key):
            why = f"says that its {key} is {index.get(key)!r}, not `{getattr(package, key)}`"
            raise refuse(package.filename, why)
    return index


def _check_places(contents: _Contents, package: CondaPackage) -> tuple[str, ...]:
    """Return what Python would run at every start.

    Raises:
        InstallError: Something would be linked to another place than it says, or with other bytes.
    """
    there = contents.digests.keys() | contents.links.keys() | contents.folders
    startup = []
    for name, digest in _find_listed(contents):
        fault = find_name_fault(name, portable=contents.portable)
        if fault is None and name not in there:
            fault = "is listed and not there"
        if fault is None and digest is not None and contents.digests.get(name, digest) != digest:
            fault = "is not what the package's own list says"
        first, _, rest = name.partition("/")
        place = f"{_NOARCH.get(first, first)}/{rest}" if rest else name
        contents.refuse_if(fault or find_place_fault(place, package=package.name), name)
        if runs_at_start(place, package=package.name):
            startup.append(name)
    link = json.loads(contents.texts.get("info/link.json", b"{}"))
    for entry in (link.get("noarch") or {}).get("entry_points", ()):
        script = str(entry).partition("=")[0].strip()
        contents.refuse_if(find_place_fault(f"bin/{script}", package=package.name), script)
    return tuple(startup)


def _find_listed(contents: _Contents) -> Iterator[tuple[str, str | None]]:
    """Yield path and sha256, None where the list says none: it is an old one, or the path is a link."""
    if "info/paths.json" in contents.texts:
        for entry in json.loads(contents.texts["info/paths.json"])["paths"]:
            is_file = entry.get("path_type", "hardlink") == "hardlink"
            yield entry["_path"], entry.get("sha256") if is_file else None
    else:
        for name in contents.texts["info/files"].decode("utf-8").split("\n")[:-1]:
            yield name, None


def _find_notices(contents: _Contents) -> Iterator[str]:
    for name in sorted(contents.digests):
        path = PurePosixPath(name)
        if path.name.endswith(_SCRIPT_ENDS) and path.parent.name in {"bin", "Scripts"}:
            yield f"`{contents.archive}` has a script `{name}` for its installation, which is not run"
        if name.startswith("etc/conda/activate.d/"):
            yield f"`{contents.archive}` has a script `{name}` for activation, which is not run"
