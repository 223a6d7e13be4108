"""Build a small real conda channel: a relocatable Python made of the running one, and a libuv.

Packages are `.conda` files (a zip of two tars in zstd) with `info/index.json` and `info/paths.json`.
"""

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zstandard

from provisioner.resolve.model import CondaPackage

PYTHON_VERSION = platform.python_version()
_SHORT = f"python{sys.version_info[0]}.{sys.version_info[1]}"
_LEFT_OUT = {"test", "tests", "idlelib", "turtledemo", "tkinter", "lib2to3", "ensurepip", "pydoc_data"}
_LEFT_OUT |= {"__pycache__", "site-packages", "dist-packages"}


@dataclass(frozen=True, kw_only=True)
class Member:
    """One member of a package: bytes or a link's target; ``placeholder`` is a prefix in its text."""

    data: bytes = b""
    link: str | None = None
    executable: bool = False
    placeholder: str | None = None


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A channel on disk: its ``file:`` address and its packages."""

    url: str
    packages: tuple[CondaPackage, ...] = field(default=())


def info_members(
    members: Mapping[str, Member], index: Mapping[str, Any], *, link: Mapping[str, Any] | None = None
) -> dict[str, Member]:
    """Return the members below ``info/`` that describe a package."""
    paths = [path_entry(name, member) for name, member in sorted(members.items())]
    texts: dict[str, Any] = {"index.json": dict(index), "paths.json": {"paths": paths, "paths_version": 1}}
    if link is not None:
        texts["link.json"] = link
    return {
        f"info/{name}": Member(data=json.dumps(value, indent=1, sort_keys=True).encode())
        for name, value in texts.items()
    }


def path_entry(name: str, member: Member) -> dict[str, Any]:
    """Return a member's entry in ``paths.json``."""
    entry: dict[str, Any] = {
        "_path": name,
        "path_type": "hardlink" if member.link is None else "softlink",
        "sha256": hashlib.sha256(member.data).hexdigest(),
        "size_in_bytes": len(member.data),
    }
    if member.placeholder is not None:
        entry |= {"prefix_placeholder": member.placeholder, "file_mode": "text"}
    return entry


def index_json(
    name: str, version: str, *, depends: Sequence[str] = (), subdir: str = "linux-64"
) -> dict[str, Any]:
    """Return a package's ``index.json``."""
    return {
        "name": name,
        "version": version,
        "build": "test_0",
        "build_number": 0,
        "depends": list(depends),
        "subdir": subdir,
        "arch": "x86_64",
        "platform": "linux",
        "license": "MIT",
        "timestamp": 1700000000000,
    } | ({"noarch": "python"} if subdir == "noarch" else {})


def pack_tar(members: Sequence[tuple[str, Member]]) -> bytes:
    """Return a tar of the members, in their order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, member in members:
            info = tarfile.TarInfo(name)
            info.mode = 0o755 if member.executable else 0o644
            info.mtime = 1_700_000_000
            if member.link is None:
                info.size = len(member.data)
            else:
                info.type, info.linkname = tarfile.SYMTYPE, member.link
            tar.addfile(info, io.BytesIO(member.data))
    return buffer.getvalue()


def pack_conda(stem: str, *, info: bytes, pkg: bytes) -> bytes:
    """Return the ``.conda`` file of two tars."""
    compressor = zstandard.ZstdCompressor(level=1)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as packed:
        for name, data in (
            ("metadata.json", b'{"conda_pkg_format_version": 2}'),
            (f"pkg-{stem}.tar.zst", compressor.compress(pkg)),
            (f"info-{stem}.tar.zst", compressor.compress(info)),
        ):
            packed.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()


def make_package(
    name: str,
    version: str,
    members: Mapping[str, Member],
    *,
    depends: Sequence[str] = (),
    subdir: str = "linux-64",
    link: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], bytes]:
    """Return a package's ``index.json`` and its bytes."""
    index = index_json(name, version, depends=depends, subdir=subdir)
    info = info_members(members, index, link=link)
    stem = f"{name}-{version}-{index['build']}"
    return index, pack_conda(stem, info=pack_tar(sorted(info.items())), pkg=pack_tar(sorted(members.items())))


def write_channel(folder: Path, packages: Sequence[tuple[dict[str, Any], bytes]]) -> Channel:
    """Write packages with their ``repodata.json``."""
    url = folder.absolute().as_uri()
    found = []
    repodata: dict[str, dict[str, Any]] = {"linux-64": {}, "noarch": {}}
    for index, data in packages:
        filename = f"{index['name']}-{index['version']}-{index['build']}.conda"
        target = folder / index["subdir"] / filename
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        digests = {"sha256": hashlib.sha256(data).hexdigest(), "md5": hashlib.md5(data).hexdigest()}  # noqa: S324 - conda's field
        repodata.setdefault(index["subdir"], {})[filename] = index | digests | {"size": len(data)}
        found.append(lock_conda(index, data, channel=url))
    for subdir, records in repodata.items():
        document = {
            "info": {"subdir": subdir},
            "packages": {},
            "packages.conda": records,
            "repodata_version": 1,
        }
        path = folder / subdir / "repodata.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document), encoding="utf-8")
    return Channel(url=url, packages=tuple(found))


def lock_conda(index: Mapping[str, Any], data: bytes, *, channel: str) -> CondaPackage:
    """Return the lock's entry for a package."""
    stem = f"{index['name']}-{index['version']}-{index['build']}"
    return CondaPackage(
        name=index["name"],
        version=index["version"],
        build=index["build"],
        subdir=index["subdir"],
        url=f"{channel}/{index['subdir']}/{stem}.conda",
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data).hexdigest(),  # noqa: S324 - conda's field
        dependencies={text.partition(" ")[0]: text.partition(" ")[2] for text in index["depends"]},
    )


def build_channel(folder: Path) -> Channel:
    """Write the channel with Python and libuv, and return it."""
    if "posix_local" in sysconfig.get_scheme_names():
        pytest.skip("Debian's own Python installs into other places than conda's: no stand-in is made of it")
    return write_channel(folder, [make_python(), make_libuv(folder)])


def make_python() -> tuple[dict[str, Any], bytes]:
    """Return a relocatable package of the interpreter that runs the tests."""
    members = dict(_python_members())
    return make_package("python", PYTHON_VERSION, members)


def make_libuv(scratch: Path) -> tuple[dict[str, Any], bytes]:
    """Return a package with a shared library in libuv's place; without a compiler, with a text there."""
    scratch.mkdir(parents=True, exist_ok=True)
    library = b"no compiler here\n"
    compiler = shutil.which("cc")
    if compiler is not None:
        source, built = scratch / "uv.c", scratch / "libuv.so"
        source.write_text('const char *uv_version_string(void) { return "1.48.0"; }\n', encoding="utf-8")
        command = [compiler, "-shared", "-fPIC", "-Wl,-soname,libuv.so.1", "-o", str(built), str(source)]
        subprocess.run(command, check=True)
        library = built.read_bytes()
    members = {
        "lib/libuv.so.1.0.0": Member(data=library, executable=True),
        "lib/libuv.so.1": Member(link="libuv.so.1.0.0"),
        "lib/pkgconfig/libuv.pc": Member(
            data=b"prefix=/opt/placehold_placehold_placehold\nlibdir=${prefix}/lib\n",
            placeholder="/opt/placehold_placehold_placehold",
        ),
    }
    return make_package("libuv", "1.48.0", members)


def _python_members() -> Iterator[tuple[str, Member]]:
    executable = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    base = sys.base_prefix
    yield f"bin/{_SHORT}", Member(data=_relocatable(executable.read_bytes(), base), executable=True)
    yield "bin/python", Member(link=_SHORT)
    yield "bin/python3", Member(link=_SHORT)
    soname = sysconfig.get_config_var("INSTSONAME") or ""
    library = Path(sysconfig.get_config_var("LIBDIR") or "", soname)
    if ".so" in soname and library.is_file():
        yield f"lib/{soname}", Member(data=library.read_bytes(), executable=True)
    stdlib = Path(os.__file__).parent
    for path in sorted(_walk(stdlib)):
        name = f"lib/{_SHORT}/{path.relative_to(stdlib).as_posix()}"
        data = path.read_bytes()
        has_prefix = path.name.startswith("_sysconfigdata") and base.encode() in data
        yield name, Member(data=data, placeholder=base if has_prefix else None)
    yield f"lib/{_SHORT}/site-packages/README.txt", Member(data=b"Third-party packages go here.\n")


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in _LEFT_OUT or path.name.startswith("config-"):
            continue
        if path.is_dir():
            yield from _walk(path)
        elif path.is_file():
            yield path


def _relocatable(executable: bytes, base: str) -> bytes:
    """Let the program find its own library beside it: its search path becomes a relative one."""
    old, new = f"{base}/lib".encode(), b"$ORIGIN/../lib"
    return executable.replace(b"\0" + old + b"\0", b"\0" + new.ljust(len(old), b"\0") + b"\0")
