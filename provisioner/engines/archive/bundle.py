"""Bundles: one uncompressed tar of files that are compressed already, with a manifest first.

The manifest decides every byte around the files: their order, headers and padding. So a bundle is read
without a reader of tars: it must be, byte for byte, what would be written for its manifest. Links, devices,
names and sizes that two readers understand differently, members that come twice and what is appended cannot
be in it.
The headers are our own, because the bytes must be the same whichever Python writes them.
Source: POSIX.1-2017, pax interchange format (ustar, and a pax header where a name or a size does not fit).
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from provisioner.engines.archive.bundle_manifest import (
    BundledFile,
    Manifest,
    format_manifest,
    parse_manifest,
    refuse_bundle,
)
from provisioner.errors import InstallError, UsageError

MANIFEST_NAME = "manifest.json"
_BLOCK = 512
_RECORD = 20 * _BLOCK
_CHUNK_BYTES = 1024 * 1024
_LONGEST_MANIFEST = 64 * 1024 * 1024
_LONGEST_NAME = 100
_LARGEST_SIZE = 8**11
# 1980-01-01, the first day that zip knows too: some unpackers warn of 1970.
_MTIME = 315_532_800

Source = bytes | Path
"""Where a file's bytes are."""


def write_bundle(
    out: BinaryIO,
    manifest: Manifest,
    sources: Mapping[str, Source],
    *,
    on_bytes: Callable[[BundledFile, int], None] = lambda *_: None,
) -> str:
    """Write a bundle and return its sha256; of a file no more than a chunk is in memory.

    Args:
        out: Where it goes.
        manifest: What it holds.
        sources: Where the files' bytes are, by their path in the bundle.
        on_bytes: Called with a file and how many of its bytes are written.

    Raises:
        InstallError: ``install.hash_mismatch``: a file changed since the manifest was made.
        OSError: Something could not be read or written.
    """
    head = format_manifest(manifest)
    digest, done = hashlib.sha256(), 0

    def write(data: bytes) -> None:
        nonlocal done
        out.write(data)
        digest.update(data)
        done += len(data)

    write(_header(MANIFEST_NAME, len(head)) + head + _padding(len(head)))
    for file in manifest.files:
        write(_header(file.path, file.size))
        seen, start = hashlib.sha256(), done
        for chunk in _read_source(sources[file.path]):
            seen.update(chunk)
            write(chunk)
            on_bytes(file, done - start)
        if seen.hexdigest() != file.sha256:
            raise _changed(file, seen.hexdigest())
        write(_padding(file.size))
    write(bytes(measure_bundle(manifest) - done))
    return digest.hexdigest()


def measure_bundle(manifest: Manifest) -> int:
    """Return the bytes of a bundle."""
    size = len(format_manifest(manifest))
    end = _place(MANIFEST_NAME, size) + sum(_place(file.path, file.size) for file in manifest.files)
    return -(-(end + 2 * _BLOCK) // _RECORD) * _RECORD


class BundleReader:
    """A bundle whose structure is what its manifest says; may be read by several threads at once."""

    def __init__(self, path: Path) -> None:
        """Open a bundle and compare every byte outside its files.

        Raises:
            InstallError: ``install.bundle``: it is damaged, or no bundle.
            UsageError: ``usage.no_bundle``: there is no such file.
        """
        self.path = path
        try:
            if not path.is_file():  # opening a pipe would wait for its writer
                raise _no_bundle(path, "there is no such file")
            self._file = path.open("rb")
        except OSError as error:
            raise _no_bundle(path, (error.strerror or str(error)).lower()) from error
        try:
            self.manifest, self._starts = self._read_structure()
        except BaseException:
            self._file.close()
            raise
        self._by_digest = {file.sha256: file for file in self.manifest.files}
        self._by_path = {file.path: file for file in self.manifest.files}

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def find(self, sha256: str) -> BundledFile | None:
        """Return a file with that digest; None where there is none."""
        return self._by_digest.get(sha256)

    def find_path(self, path: str) -> BundledFile | None:
        """Return the file at a path; None where there is none."""
        return self._by_path.get(path)

    def start_of(self, file: BundledFile) -> int:
        """Return where a file's bytes begin in the bundle."""
        return self._starts[file.path]

    def read_range(self, file: BundledFile, start: int, count: int) -> bytes:
        """Return at most ``count`` of a file's bytes, unchecked; fewer only at its end."""
        count = max(0, min(count, file.size - start))
        return self._read_at(self._starts[file.path] + start, count)

    def stream(self, file: BundledFile) -> Iterator[bytes]:
        """Yield a file's bytes; the last chunk comes only if all have the digest.

        Raises:
            InstallError: ``install.bundle``: they have not.
        """
        seen = hashlib.sha256()
        for start in range(0, file.size, _CHUNK_BYTES) or (0,):
            chunk = self.read_range(file, start, _CHUNK_BYTES)
            seen.update(chunk)
            if start + _CHUNK_BYTES >= file.size and seen.hexdigest() != file.sha256:
                why = (
                    f"member `{file.path}` has sha256 `{seen.hexdigest()}`, its manifest says `{file.sha256}`"
                )
                raise self._refuse(why)
            yield chunk

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """Return a small file's bytes; errors as from `stream`, and where there is none or it is larger."""
        file = self.find_path(path)
        if file is None or file.size > max_bytes:
            raise self._refuse(f"member `{path}` is missing, or too large for a text")
        return b"".join(self.stream(file))

    def _read_structure(self) -> tuple[Manifest, dict[str, int]]:
        """Return the manifest, and where each file's bytes start."""
        first = self._read_at(0, _BLOCK)
        size = _read_size(first)
        if size is None or first != _header(MANIFEST_NAME, size):
            raise self._refuse("it does not begin with a manifest, as what `provision bundle` writes does")
        if size > _LONGEST_MANIFEST:
            raise self._refuse("its manifest is larger than one can be")
        data = self._read_at(_BLOCK, size)
        manifest = parse_manifest(data, self.path.name) if len(data) == size else None
        there = os.fstat(self._file.fileno()).st_size
        if manifest is None or there < measure_bundle(manifest):
            raise self._refuse(f"it is cut off after {there} bytes")
        if there > measure_bundle(manifest):
            raise self._refuse(f"{there - measure_bundle(manifest)} bytes follow its end")
        return manifest, self._check_frame(manifest, _BLOCK + size)

    def _check_frame(self, manifest: Manifest, end: int) -> dict[str, int]:
        """Compare headers and padding with what we would write."""
        starts: dict[str, int] = {}
        for file in manifest.files:
            frame = _padding(end) + _header(file.path, file.size)
            if self._read_at(end, len(frame)) != frame:
                raise self._refuse(f"member `{file.path}` is not where its manifest says, or not as it says")
            starts[file.path] = end + len(frame)
            end = starts[file.path] + file.size
        rest = measure_bundle(manifest) - end
        if self._read_at(end, rest) != bytes(rest):
            raise self._refuse("something follows its last member")
        return starts

    def _read_at(self, start: int, count: int) -> bytes:
        """Read without moving a position that other threads share; Windows has no such call."""
        if hasattr(os, "pread"):
            parts, got = [], 0
            while got < count and (part := os.pread(self._file.fileno(), count - got, start + got)):
                parts.append(part)
                got += len(part)
            return b"".join(parts)
        with self.path.open("rb") as own:
            own.seek(start)
            return own.read(count)

    def _refuse(self, why: str) -> InstallError:
        return refuse_bundle(self.path.name, why)


def _place(path: str, size: int) -> int:
    """Return the bytes of a member: header, content and padding."""
    return len(_header(path, size)) + size + len(_padding(size))


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


def _header(path: str, size: int) -> bytes:
    """Return a member's header; what ustar has no room for stands in a pax header before it."""
    records = {}
    if len(path.encode()) > _LONGEST_NAME:
        records["path"] = path
    if size >= _LARGEST_SIZE:
        records["size"] = str(size)
    short = path.encode()[-_LONGEST_NAME:].lstrip(b"/")
    if not records:
        return _ustar(short, size, b"0")
    extended = b"".join(_pax_record(key, value) for key, value in records.items())
    before = _ustar(b"pax", len(extended), b"x") + extended + _padding(len(extended))
    return before + _ustar(short, size % _LARGEST_SIZE, b"0")


def _pax_record(key: str, value: str) -> bytes:
    """Return ``<length> <key>=<value>``; the length counts its own digits."""
    text = f" {key}={value}\n".encode()
    length = len(text)
    while length != len(text) + len(str(length)):
        length = len(text) + len(str(length))
    return str(length).encode() + text


def _ustar(name: bytes, size: int, kind: bytes) -> bytes:
    fields: Sequence[tuple[bytes, int]] = (
        *((name, 100), (b"0000644", 8), (b"0000000", 8), (b"0000000", 8)),  # mode, user, group
        *((b"%011o" % size, 12), (b"%011o" % _MTIME, 12), (b" " * 8, 8)),  # and the sum, as if it were spaces
        *((kind, 1), (b"", 100), (b"ustar", 6), (b"00", 2), (b"", 32), (b"", 32)),
        *((b"0000000", 8), (b"0000000", 8), (b"", 155), (b"", 12)),
    )
    block = b"".join(value.ljust(width, b"\0") for value, width in fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _read_size(block: bytes) -> int | None:
    text = block[124:135]
    return int(text, 8) if len(text) == 11 and not text.strip(b"01234567") else None


def _read_source(source: Source) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _changed(file: BundledFile, got: str) -> InstallError:
    return InstallError(
        "install.hash_mismatch",
        f"`{file.path}` changed while the bundle was written: expected sha256 `{file.sha256}`, got `{got}`",
        hints=["run the same command again: a damaged file in the store is fetched again"],
        context={"expected": file.sha256, "got": got},
    )


def _no_bundle(path: Path, why: str) -> UsageError:
    return UsageError(
        "usage.no_bundle",
        f"the bundle `{path}` cannot be read: {why}",
        hints=["name a file that `provision bundle` wrote"],
        context={"bundle": str(path)},
    )
