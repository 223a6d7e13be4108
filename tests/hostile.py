"""Archives that mean harm or are damaged, by what is wrong with them, and what the bare engine does."""

import io
import json
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import zstandard

from tests.conda_channel import Member, index_json, info_members, pack_conda, pack_tar, path_entry
from tests.wheels import make_wheel, pack_wheel, record_line, wheel_members

WHEEL = "demo-1.0-py3-none-any.whl"
STEM = "demo-1.0-test_0"
RECORD = "demo-1.0.dist-info/RECORD"
METADATA = "demo-1.0.dist-info/METADATA"
WHEEL_STARTERS = (
    *("demo.pth", "demo.start", "sitecustomize.py", "usercustomize.py", "sitecustomize/__init__.py"),
    *("sitecustomize.cpython-311-x86_64-linux-gnu.so", "demo-1.0.data/purelib/sitecustomize.py"),
    *("demo-1.0.data/platlib/demo.pth", "demo-1.0.data/data/lib/python3.11/site-packages/demo.pth"),
    "demo-1.0.data/data/lib/python3.11/site-packages/sitecustomize.py",
    "demo-1.0.data/data/lib/python3.11/site-packages/usercustomize/__init__.py",
    "demo-1.0.data/data/lib64/python3.11/site-packages/demo.pth",
    "demo-1.0.data/data/Lib/site-packages/demo.pth",
    *("demo-1.0.data/data/lib/python3.11/sitecustomize.py", "demo-1.0.data/data/lib/python311.zip"),
    *("demo-1.0.data/data/sitecustomize.py", "demo-1.0.data/scripts/sitecustomize.py"),
)
CONDA_STARTERS = (
    *("lib/python3.11/site-packages/demo.pth", "lib/python3.11/site-packages/sitecustomize.py"),
    *("lib/python3.11/site-packages/sitecustomize/__init__.py", "lib/python3.11/sitecustomize.py"),
    *("lib/python3.11/lib-dynload/usercustomize.so", "lib/python311.zip", "Lib/site-packages/demo.pth"),
)
BOMB_BYTES = 65 * 1024 * 1024
"""More than a small archive may unpack to."""


class Engine(Enum):
    """What the engine alone does with an archive."""

    REFUSES = "refuses"
    INSTALLS = "installs"
    HARMLESS = "installs, and it harms nobody"


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """One archive; ``noarch`` tells that it is a conda package of pure Python."""

    data: bytes
    engine: Engine
    noarch: bool = False


def wheel_with(name: str, data: bytes = b"x", **options: object) -> bytes:
    """Return a wheel with one more member, which its RECORD lists."""
    members = wheel_members("demo", **options)  # type: ignore[arg-type] # passed on
    record = members.pop(RECORD)
    quoted = '"' + name.replace('"', '""') + '"'
    return pack_wheel(members | {name: data, RECORD: f"{record_line(quoted, data)}\n".encode() + record})


def conda_with(
    members: Mapping[str, Member],
    *,
    unlisted: Sequence[tuple[str, Member]] = (),
    subdir: str = "linux-64",
    link: Mapping[str, Any] | None = None,
    **texts: Callable[[Any], Any] | bytes,
) -> bytes:
    """Return a conda package.

    Args:
        members: What it holds and lists.
        unlisted: What its tar holds besides.
        subdir: ``linux-64`` or ``noarch``.
        link: Its ``link.json``.
        texts: By the name of a file in ``info``, without ``.json``: its bytes, or what its content becomes.
    """
    info = info_members(members, index_json("demo", "1.0", subdir=subdir), link=link)
    for name, text in texts.items():
        key = f"info/{name}.json"
        data = text if isinstance(text, bytes) else _json(text(json.loads(info[key].data)))
        info[key] = Member(data=data)
    return pack_conda(STEM, info=pack_tar(sorted(info.items())), pkg=pack_tar([*members.items(), *unlisted]))


def find_wheels() -> dict[str, Hostile]:
    """Return the hostile wheels."""
    return _by_engine(_refused_wheels(), _installed_wheels(), _harmless_wheels())


def find_conda() -> dict[str, Hostile]:
    """Return the hostile conda packages."""
    return _by_engine(_refused_conda(), _installed_conda(), _harmless_conda())


def _by_engine(*groups: Mapping[str, bytes | Hostile]) -> dict[str, Hostile]:
    return {
        name: data if isinstance(data, Hostile) else Hostile(data=data, engine=engine)
        for engine, group in zip(Engine, groups, strict=True)
        for name, data in group.items()
    }


def _refused_wheels() -> dict[str, bytes]:
    good = make_wheel("demo")[1]
    evil = make_wheel("demo", files={"demo.py": "EVIL = 1\n", "evil.py": ""})[1]
    entry_points = ("../../x = demo:main", "a/b = demo:main", "python = demo:main", "python3.11 = demo:main")
    targets = ("x = demo:main\\nimport os", "x = demo:main;import os", "x = demo main", "x = ")
    places = ("scripts/python", "scripts/python3.11", "data/bin/python", "scripts/sub/x", "elsewhere/x")
    return {
        "a member twice": _append(good, "demo.py", "EVIL = 1"),
        "bzip2": _zip_wheel(zipfile.ZIP_BZIP2),
        "encrypted": _patch(good, (b"PK\x03\x04", 6, b"\x01"), (b"PK\x01\x02", 8, b"\x01")),
        "a wrong checksum": _patch(good, (b"PK\x03\x04", 14, b"evil"), (b"PK\x01\x02", 16, b"evil")),
        "a name in no encoding": wheel_with("demo/x_y.py").replace(b"demo/x_y.py", b"demo/x\xe9y.py"),
        "a null in a name": wheel_with("demo/x_y.py").replace(b"demo/x_y.py", b"demo/x\0y.py"),
        "a control character in a name": wheel_with("demo/\x07.py"),
        "a line break in a name": wheel_with("demo/x\n.py"),
        "a name too long": wheel_with("demo/" + "x" * 300),
        "bytes before": b"#!/bin/sh\n" + good,
        "bytes behind": good + b"more",
        "a second zip behind": good + evil,
        "a directory in the comment": good[:-2] + b"\x04\0PK\x05\x06",
        "another name in the header": _patch(good, (b"demo.py", 0, b"evil.py")),
        "another size in the header": _patch(good, (b"PK\x03\x04", 22, b"\xff\0\0\0")),
        "half a file": good[: len(good) // 2],
        "no byte": b"",
        "an empty zip": b"PK\x05\x06" + bytes(18),
        "a web page": b"<!doctype html>",
        "overlapping members": _overlap(wheel_with("demo.pyc", b"VERSION = '1.0'\n"), b"demo.pyc"),
        "a gap": _insert(good, b"gap!"),
        "a hidden member": _insert(good, _members_of(evil)),
        "another project": make_wheel("other")[1],
        "another version": make_wheel("demo", "2.0")[1],
        "another project in METADATA": _change_wheel(METADATA, lambda text: text.replace(b"demo", b"other")),
        "two .dist-info folders": wheel_with("evil-1.0.dist-info/METADATA"),
        "no RECORD": _change_wheel(RECORD, None),
        "no METADATA": _change_wheel(METADATA, None),
        **{f"the entry point {line}": _entry_point(line) for line in (*entry_points, *targets)},
        **{f"data in {place}": wheel_with(f"demo-1.0.data/{place}", b"#!python\n") for place in places},
    }


def _installed_wheels() -> dict[str, bytes]:
    outside = ("../x.py", "demo/../../x.py", "demo/../x.py", "/x", "demo//x", "./x.py", "demo/./x", "..")
    windows = ("C:/x.py", "demo\\x.py", "..\\x.py", "demo/a:b", "con", "demo/aux.py", "nul.txt", "demo/x.")
    lines = ("../../../etc/passwd", "/etc/passwd", "C:/x", "..\\..\\x")
    places = (
        *("scripts/activate", "scripts/pyvenv.cfg", "data/bin/activate", "data/bin/pyvenv.cfg"),
        *("data/Scripts/python.exe", "data/python.exe", "data/python311.dll", "data/python311._pth"),
        *("data/pyvenv.cfg", "data/conda-meta/x.json", "data/provision-receipt.json"),
    )
    site = "demo-1.0.data/data/lib/python3.11/site-packages"
    foreign = (
        *("demo-1.0.data/purelib/evil-1.0.dist-info/METADATA", f"{site}/evil-1.0.dist-info/METADATA"),
        *("demo-1.0.data/data/lib/python3.11/os.py", "demo-1.0.data/data/Lib/encodings/__init__.py"),
    )
    return {
        **{f"the name {name}": wheel_with(name) for name in (*outside, *windows, "demo/x ")},
        "zstd, which packs a disk into nothing": _zstd_member(wheel_with("demo/zeros", b""), bytes(1000)),
        "a bomb": wheel_with("demo/zeros", bytes(BOMB_BYTES)),
        "a member that RECORD does not have": pack_wheel(wheel_members("demo") | {"demo_extra.py": b"x"}),
        **{f"RECORD with {line}": _change_wheel(RECORD, _add_line(line)) for line in lines},
        **{f"data in {place}": wheel_with(f"demo-1.0.data/{place}", b"#!python\n") for place in places},
        "the entry point activate": _entry_point("activate = demo:main"),
        "the entry point Python.exe": _entry_point("Python.exe = demo:main"),
        **{f"another's file {name}": wheel_with(name) for name in foreign},
        **{f"the starter {name}": wheel_with(name, b"import demo\n") for name in WHEEL_STARTERS},
    }


def _harmless_wheels() -> dict[str, bytes]:
    return {
        "a link": _zip_wheel(kind=stat.S_IFLNK),  # uv writes a file with the target's name in it
        "a device": _zip_wheel(kind=stat.S_IFCHR),
        "a pipe": _zip_wheel(kind=stat.S_IFIFO),
        "names that differ in case": wheel_with("demo/A.py", files={"demo/a.py": "x"}),
        "a deep name": wheel_with("d/" * 70 + "x"),
        "the entry point -x": _entry_point("-x = demo:main"),
        "an entry point to nothing": _entry_point("x = 1:2"),
        "a folder named like another's data": wheel_with("Demo-1.0.data/scripts/x", b"#!python\n"),
    }


_NO_PATHS = b'{"paths": [], "paths_version": 1}'
_FILES = {"share/demo/x": Member(data=b"x\n"), "bin/demo": Member(data=b"#!/bin/sh\n", executable=True)}


def _refused_conda() -> dict[str, bytes | Hostile]:
    good = conda_with(_FILES)
    outside = {"share/x": Member(link="/outside"), "share/x/f": Member(data=b"x")}
    damaged = (b"", b"null", b"[]", b"{}", b'{"paths": 3}', b"[" * 100_000, b"\xff")
    entry_points = ("../x = demo:main", "sub/x = demo:main", "x = os:system;evil", "x = os;evil", "x")
    record: dict[str, Any] = {
        "fn": "x-1-0.conda",
        "url": "https://c/x-1-0.conda",
        "channel": "c",
        "files": [],
    }
    record |= {"name": "x", "version": "1", "build": "0", "build_number": 0, "subdir": "linux-64"}
    return {
        "another package's record": conda_with({"conda-meta/x-1-0.json": Member(data=_json(record))}),
        **{f"the listed name {name}": conda_with(_FILES, paths=_add_path(name)) for name in ("../x", "/x")},
        "a name too long": conda_with({"share/" + "n" * 300: Member(data=b"x")}),
        "a link to nothing": conda_with({"share/x": Member(link="")}),
        "a file behind a link": conda_with(outside),
        "a link over a folder": conda_with(dict(reversed(outside.items()))),
        "a hard link outside": _raw_member(tarfile.LNKTYPE, "/etc/passwd"),
        "a hard link to nothing before it": _raw_member(tarfile.LNKTYPE, "absent"),
        "a sparse file": _raw_member(tarfile.GNUTYPE_SPARSE),
        "a listed file that is not there": conda_with(_FILES, paths=_add_path("share/absent")),
        **{f"an index of {text[:9]!r}": conda_with(_FILES, index=text) for text in damaged},
        **{f"a list of {text[:9]!r}": conda_with(_FILES, paths=text) for text in damaged},
        "another name in the index": conda_with(_FILES, index=lambda index: index | {"name": "other"}),
        **{f"the entry point {line}": _noarch({}, line, engine=Engine.REFUSES) for line in entry_points},
        "bytes before": b"more" + good,
        "half a file": good[: len(good) // 2],
        "no byte": b"",
        "a web page": b"<!doctype html>",
    }


def _installed_conda() -> dict[str, bytes | Hostile]:
    targets = ("/etc/passwd", "../../../x", "../../x", "../up/../../../x")
    owned = ("conda-meta/history", "provision-receipt.json", "pyvenv.cfg", "bin/pyvenv.cfg", "bin/python")
    linked = {"share/up": Member(link="..")}
    return {
        # the linker copies it from the folder of another package to beside the environment
        "a listed name outside": conda_with(_FILES, paths=_add_path(f"../{STEM}/share/demo/x")),
        **{f"a link to {to}": conda_with(linked | {"share/x": Member(link=to)}) for to in targets},
        "a file listed behind a link": conda_with(
            {"bin/f": Member(data=b"x")},
            unlisted=[("share/x", Member(link="../bin"))],
            paths=_add_path("share/x/f"),
        ),
        "other bytes than listed": conda_with(_FILES, paths=_forge_digest),
        "another version in the index": conda_with(_FILES, index=lambda index: index | {"version": "2.0"}),
        "another build in the index": conda_with(_FILES, index=lambda index: index | {"build": "x"}),
        "another subdir in the index": conda_with(_FILES, index=lambda index: index | {"subdir": "win-64"}),
        **{f"the file {name}": conda_with({name: Member(data=b"")}) for name in owned},
        "a script python": _noarch({"python-scripts/python": Member(data=b"x")}),
        "the entry point python": _noarch({}, "python = demo:main"),
        **{f"the name {name}": _noarch({name: Member()}) for name in ("share/con", "share/a:b", "a\\b")},
        "names that are one on Windows": _noarch({"share/a": Member(data=b"x"), "share/A": Member()}),
        "a bomb": conda_with({"share/zeros": Member(data=bytes(BOMB_BYTES))}),
        "a member twice": conda_with(_FILES, unlisted=[("bin/demo", Member(data=b"evil"))]),
        "a list in both parts": conda_with(_FILES, unlisted=[("info/paths.json", Member(data=_NO_PATHS))]),
        **{f"the starter {name}": conda_with({name: Member(data=b"")}) for name in CONDA_STARTERS},
        "a pure starter": _noarch({"site-packages/demo.pth": Member(data=b"import x")}),
        **_installed_zips(),
    }


def _installed_zips() -> dict[str, bytes]:
    """Return conda packages whose zip holds more than its three parts."""
    good, evil = _parts(conda_with(_FILES)), _parts(conda_with({"share/evil": Member(data=b"evil")}))
    others = [(f"{name[:4]}evil.tar.zst", data) for name, data in evil if name.endswith(".zst")]
    return {
        "a part twice": _pack_zip([*good, *evil]),
        "more parts": _pack_zip([*good, *others]),
        "no metadata": _pack_zip([part for part in good if part[0] != "metadata.json"]),
        "hidden parts": _insert(_pack_zip(good), _members_of(_pack_zip(evil))),
        "parts hidden in a part": _hide_in_last(good, evil),
        "two packages": _pack_zip(good) + _pack_zip(evil),
    }


def _harmless_conda() -> dict[str, bytes | Hostile]:
    good = conda_with(_FILES)
    first = _FILES["share/demo/x"]
    return {
        "a device": _raw_member(tarfile.CHRTYPE),  # rattler writes an empty file
        "a pipe": _raw_member(tarfile.FIFOTYPE),
        "an unlisted name outside": conda_with(_FILES, unlisted=[("../x", Member(data=b"x"))]),
        "an unlisted file": conda_with(_FILES, unlisted=[("share/y", Member(data=b"x"))]),
        "a file listed twice": conda_with(_FILES, paths=_add_path("share/demo/x", first)),
        "a name for Linux alone": conda_with({"share/con": Member(data=b"x"), "a\\b": Member(data=b"x")}),
        "packed twice": _pack_zip(_parts(good), zipfile.ZIP_DEFLATED),
        "bytes behind": good + b"more",
    }


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _entry_point(line: str) -> bytes:
    return make_wheel("demo", entry_points=f"[console_scripts]\n{line}\n")[1]


def _change_wheel(name: str, change: Callable[[bytes], bytes] | None) -> bytes:
    """Return a wheel with one member changed; None takes it out."""
    members = wheel_members("demo")
    text = members.pop(name)
    return pack_wheel(members | ({name: change(text)} if change is not None else {}))


def _add_line(line: str) -> Callable[[bytes], bytes]:
    return lambda text: text + f"{line},,\n".encode()


def _add_path(name: str, member: Member = Member(data=b"x")) -> Callable[[Any], Any]:  # noqa: B008 - frozen
    return lambda paths: paths | {"paths": [*paths["paths"], path_entry(name, member)]}


def _forge_digest(paths: Any) -> Any:
    return paths | {"paths": [paths["paths"][0] | {"sha256": "0" * 64}]}


def _noarch(members: Mapping[str, Member], *entry_points: str, engine: Engine = Engine.INSTALLS) -> Hostile:
    link = {"noarch": {"type": "python", "entry_points": entry_points}, "package_metadata_version": 1}
    return Hostile(data=conda_with(members, subdir="noarch", link=link), engine=engine, noarch=True)


def _raw_member(kind: bytes, target: str = "") -> bytes:
    """Return a conda package whose tar holds one member of any kind, which it lists as a file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("share/x")
        info.type, info.linkname = kind, target
        tar.addfile(info)
    texts = info_members({"share/x": Member()}, index_json("demo", "1.0"))
    return pack_conda(STEM, info=pack_tar(sorted(texts.items())), pkg=buffer.getvalue())


def _parts(data: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        return [(name, opened.read(name)) for name in opened.namelist()]


def _pack_zip(parts: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name twice is what some of these want
        for name, data in parts:
            packed.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return buffer.getvalue()


def _zip_wheel(method: int = zipfile.ZIP_DEFLATED, *, kind: int = stat.S_IFREG) -> bytes:
    """Return a wheel packed by that method, with a module of that kind."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, data in wheel_members("demo").items():
            info = zipfile.ZipInfo(name)
            info.external_attr = ((kind if name == "demo.py" else stat.S_IFREG) | 0o644) << 16
            packed.writestr(info, data, compress_type=method)
    return buffer.getvalue()


def _zstd_member(wheel: bytes, data: bytes) -> bytes:
    """Put data packed by zstd, method 93, into the wheel's empty last member but RECORD."""
    packed = zstandard.ZstdCompressor().compress(data)
    parts = _parts(wheel)
    stored = _pack_zip([(name, packed if text == b"" else text) for name, text in parts])
    name = next(name for name, text in parts if text == b"").encode()
    header, entry = stored.index(name) - 30, stored.rindex(name) - 46
    method, checksum, size = (
        struct.pack("<H", 93),
        *(struct.pack("<I", n) for n in (zlib.crc32(data), len(data))),
    )
    changed = bytearray(stored)
    for start, offsets in ((header, (8, 14, 22)), (entry, (10, 16, 24))):
        for offset, value in zip(offsets, (method, checksum, size), strict=True):
            changed[start + offset : start + offset + len(value)] = value
    return bytes(changed)


def _append(data: bytes, name: str, text: str) -> bytes:
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as packed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the name is there already
        packed.writestr(name, text)
    return buffer.getvalue()


def _patch(data: bytes, *places: tuple[bytes, int, bytes]) -> bytes:
    """Return the bytes with others written at an offset from the first place of a mark."""
    changed = bytearray(data)
    for mark, offset, new in places:
        start = changed.index(mark) + offset
        changed[start : start + len(new)] = new
    return bytes(changed)


def _insert(data: bytes, extra: bytes) -> bytes:
    """Put bytes between a zip's members and its directory."""
    end = data.rindex(b"PK\x05\x06")
    (start,) = struct.unpack("<I", data[end + 16 : end + 20])
    moved = struct.pack("<I", start + len(extra))
    return data[:start] + extra + data[start : end + 16] + moved + data[end + 20 :]


def _members_of(data: bytes) -> bytes:
    """Return a zip's members without its directory."""
    return data[: data.index(b"PK\x01\x02")]


def _overlap(data: bytes, name: bytes) -> bytes:
    """Let the directory's entry of a member point to the first one."""
    place = data.rindex(name)
    return data[: place - 4] + bytes(4) + data[place:]


def _hide_in_last(parts: Sequence[tuple[str, bytes]], hidden: Sequence[tuple[str, bytes]]) -> bytes:
    """Hide parts in what only the directory counts to the last part."""
    name, data = parts[-1]
    extra = _members_of(_pack_zip(hidden))
    shown = _pack_zip([*parts[:-1], (name, data + extra)])
    header = shown.index(name.encode()) - 30
    own = struct.pack("<3I", zlib.crc32(data), len(data), len(data))
    return shown[: header + 14] + own + shown[header + 26 :]
