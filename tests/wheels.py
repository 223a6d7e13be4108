"""Build small real wheels on the fly: a wheel is a zip with a RECORD."""

import base64
import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from provisioner.resolve.model import PipPackage

_STAMP = (2020, 1, 1, 0, 0, 0)


def record_line(name: str, data: bytes) -> str:
    """Return a file's line in RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}"


def wheel_members(
    name: str,
    version: str = "1.0",
    files: Mapping[str, str | bytes] | None = None,
    *,
    requires: tuple[str, ...] = (),
    entry_points: str | None = None,
) -> dict[str, bytes]:
    """Return the members of a wheel, RECORD last; ``files`` replaces its one module."""
    stem = name.replace("-", "_")
    folder = f"{stem}-{version}.dist-info"
    members = {
        path: text.encode() if isinstance(text, str) else text
        for path, text in (files if files is not None else {f"{stem}.py": f"VERSION = {version!r}\n"}).items()
    }
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    members[f"{folder}/METADATA"] = ("\n".join(metadata) + "\n\n").encode()
    members[f"{folder}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    if entry_points is not None:
        members[f"{folder}/entry_points.txt"] = entry_points.encode()
    lines = [record_line(path, data) for path, data in members.items()]
    members[f"{folder}/RECORD"] = "\n".join([*lines, f"{folder}/RECORD,,", ""]).encode()
    return members


def pack_wheel(members: Mapping[str, bytes]) -> bytes:
    """Return the zip of the members; same members, same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for path, data in members.items():
            info = zipfile.ZipInfo(path, _STAMP)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o100644 << 16
            packed.writestr(info, data)
    return buffer.getvalue()


def make_wheel(
    name: str,
    version: str = "1.0",
    files: Mapping[str, str | bytes] | None = None,
    *,
    requires: tuple[str, ...] = (),
    entry_points: str | None = None,
) -> tuple[str, bytes]:
    """Return a wheel's file name and bytes."""
    members = wheel_members(name, version, files, requires=requires, entry_points=entry_points)
    return f"{name.replace('-', '_')}-{version}-py3-none-any.whl", pack_wheel(members)


def lock_wheel(filename: str, data: bytes, *, url: str | None = None, validation: bool = False) -> PipPackage:
    """Return the lock's entry for a wheel; by default it is one of the default index."""
    name, version = filename.split("-")[:2]
    return PipPackage(
        name=name.replace("_", "-").lower(),
        version=version,
        filename=filename,
        url=url or f"pypi:{filename}",
        index="pypi",
        sha256=hashlib.sha256(data).hexdigest(),
        validation=validation,
    )


def write_wheel(folder: Path, filename: str, data: bytes) -> Path:
    """Write a wheel at once: several processes of one test may write the same one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / filename
    handle, part = tempfile.mkstemp(dir=folder, suffix=".part")
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
    Path(part).replace(path)
    return path
