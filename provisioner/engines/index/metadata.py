"""Read what a wheel or a source archive says about itself, without running anything of it."""

import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from provisioner.errors import UnavailableError

# The longest METADATA among the locked packages has 50 kB; more than this is an attack on our memory.
_MOST_BYTES = 4 * 1024 * 1024
# What `zipfile` raises for damaged input, which an index or a broken transfer may send.
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError),
    StopIteration,
)
_REQUIRES_PYTHON = re.compile(r"^requires-python:[ \t]*(.+?)[ \t\r]*$", re.IGNORECASE | re.MULTILINE)
_REQUIRES_DIST = re.compile(r"^requires-dist:[ \t]*(.+?)[ \t\r]*$", re.IGNORECASE | re.MULTILINE)


def find_requires_dist(metadata: bytes) -> list[str]:
    """Return the texts of METADATA's ``Requires-Dist`` headers; the body below them is not looked at."""
    return _REQUIRES_DIST.findall(_read_headers(metadata))


def find_requires_python(metadata: bytes) -> str | None:
    """Return METADATA's ``Requires-Python``; None where it has none."""
    found = _REQUIRES_PYTHON.search(_read_headers(metadata))
    return found[1] if found else None


def _read_headers(metadata: bytes) -> str:
    return re.split(rb"\r?\n\r?\n", metadata, maxsplit=1)[0].decode("utf-8", "replace")


def read_wheel_metadata(wheel: Path | IO[bytes], *, name: str) -> bytes:
    """Return the METADATA member of a wheel, which is called ``name`` in messages.

    Raises:
        UnavailableError: The file is not a wheel.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = next(
                member
                for member in archive.infolist()
                if member.filename.endswith(".dist-info/METADATA") and member.filename.count("/") == 1
            )
            if member.file_size > _MOST_BYTES:
                raise zipfile.BadZipFile("its METADATA is too long")
            return archive.read(member)
    except _UNREADABLE as error:
        raise UnavailableError(
            "unavailable.bad_wheel",
            f"`{name}` is called a wheel by its index and holds no readable METADATA",
            hints=["pin another version of it, or tell the index's owner"],
            context={"file": name},
        ) from error


def read_sdist_metadata(archive: Path) -> bytes:
    """Return the PKG-INFO of a source archive, completed from setuptools' list of requirements.

    Nothing in the archive is run. Metadata before version 2.2 may leave requirements out, which setuptools
    then writes to ``requires.txt``.

    Raises:
        UnavailableError: The file is not a source archive.
    """
    try:
        with tarfile.open(archive) as tar:
            members = {member.name: member for member in tar if member.isfile() and member.size < _MOST_BYTES}
            name = next(name for name in members if name.endswith("/PKG-INFO") and name.count("/") == 1)
            body = _read_member(tar, members[name])
            requires = next((n for n in members if n.endswith(".egg-info/requires.txt")), None)
            if requires is None or find_requires_dist(body):
                return body
            head, separator, rest = body.partition(b"\n\n")
            wanted = _read_member(tar, members[requires]).decode()
    except (tarfile.TarError, OSError, EOFError, zlib.error, StopIteration, UnicodeDecodeError) as error:
        raise UnavailableError(
            "unavailable.bad_sdist",
            f"`{archive.name}` is called a source archive by its index and holds no readable PKG-INFO",
            hints=["pin another version of it, or tell the index's owner"],
            context={"file": archive.name},
        ) from error
    lines = [head.rstrip(b"\n"), *(line.encode() for line in _translate_requires(wanted))]
    return b"\n".join(lines) + (separator or b"\n\n") + rest


def _read_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    return stream.read() if stream else b""


def _translate_requires(text: str) -> Iterator[str]:
    """Yield ``Requires-Dist`` lines for setuptools' ``requires.txt``; its sections are ``[extra:marker]``."""
    condition = ""
    for line in filter(None, (line.strip() for line in text.splitlines())):
        if line.startswith("["):
            extra, _, marker = line[1:-1].partition(":")
            parts = [f"({marker})" if marker else "", f"extra == '{extra}'" if extra else ""]
            condition = " and ".join(part for part in parts if part)
        else:
            yield f"Requires-Dist: {line}" + (f" ; {condition}" if condition else "")
