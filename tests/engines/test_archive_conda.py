"""Our scan refuses conda packages that could leave their place or that are not what their own lists say."""

import bz2
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.engines.archive.scan import scan_package, unpack_budget
from provisioner.errors import InstallError
from provisioner.resolve.model import CondaPackage
from tests.conda_channel import (
    Member,
    index_json,
    info_members,
    lock_conda,
    make_package,
    pack_conda,
    pack_tar,
    path_entry,
)

STEM = "demo-1.0-test_0"
FILES = {"share/demo/x": Member(data=b"x\n"), "bin/demo": Member(data=b"#!/bin/sh\n", executable=True)}


def scan(tmp_path: Path, data: bytes, *, package: CondaPackage | None = None) -> tuple[str, ...]:
    entry = package or lock_conda(index_json("demo", "1.0"), data, channel="https://c")
    path = tmp_path / entry.filename
    path.write_bytes(data)
    return scan_package(path, entry).notices


def refusal(tmp_path: Path, data: bytes) -> str:
    with pytest.raises(InstallError) as caught:
        scan(tmp_path, data)
    assert caught.value.code == "install.archive"
    assert f"{STEM}.conda" in caught.value.message
    return caught.value.message


def pack(
    members: Mapping[str, Member] = FILES,
    *,
    extra: list[tuple[str, Member]] | None = None,
    change: Callable[[dict[str, Member]], None] | None = None,
) -> bytes:
    """Return a package; ``extra`` members are in the tar and in no list, ``change`` alters the info part."""
    info = info_members(members, index_json("demo", "1.0"))
    if change is not None:
        change(info)
    return pack_conda(
        STEM, info=pack_tar(sorted(info.items())), pkg=pack_tar([*members.items(), *(extra or [])])
    )


def edit(name: str, action: Callable[[Any], None]) -> Callable[[dict[str, Member]], None]:
    def change(info: dict[str, Member]) -> None:
        value = json.loads(info[f"info/{name}"].data)
        action(value)
        info[f"info/{name}"] = Member(data=json.dumps(value).encode())

    return change


def raw_member(name: str, kind: bytes, target: str = "") -> bytes:
    """Return a package whose tar holds one member of any kind."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        tar.addfile(info)
    info_tar = pack_tar(sorted(info_members({}, index_json("demo", "1.0")).items()))
    return pack_conda(STEM, info=info_tar, pkg=buffer.getvalue())


def test_an_honest_package_passes_without_a_word(tmp_path: Path) -> None:
    """Files, programs, links inside, and names that only Linux can tell apart."""
    members = FILES | {
        "lib/libx.so.1": Member(data=b"\x7fELF"),
        "lib/libx.so": Member(link="libx.so.1"),
        "share/lib": Member(link="../lib/libx.so"),
        "share/terminfo/E/eterm": Member(data=b"1"),
        "share/terminfo/e/eterm": Member(data=b"2"),
        "share/man/man3/Foo::Bar.3": Member(data=b"3"),
    }
    assert scan(tmp_path, pack(members)) == ()


def test_the_old_format_is_scanned_too(tmp_path: Path) -> None:
    """A `.tar.bz2` has one tar with everything."""
    members = [*info_members(FILES, index_json("demo", "1.0")).items(), *FILES.items()]
    data = bz2.compress(pack_tar(members))
    entry = replace(
        lock_conda(index_json("demo", "1.0"), data, channel="https://c"),
        url=f"https://c/linux-64/{STEM}.tar.bz2",
    )
    assert scan(tmp_path, data, package=entry) == ()
    with pytest.raises(InstallError):
        scan(tmp_path, bz2.compress(pack_tar([*members, ("../x", Member())])), package=entry)


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/x", "share/../../x", "a\\b", "share//x", "x\ny", "d/" * 70 + "x", "share/" + "n" * 300],
)
def test_names_that_leave_their_place(tmp_path: Path, name: str) -> None:
    """In the tar or in the list, no name leads elsewhere."""
    refusal(tmp_path, pack(extra=[(name, Member(data=b"x"))]))

    def add(paths: Any) -> None:
        paths["paths"].append(path_entry(name, Member(data=b"x")))

    refusal(tmp_path, pack(change=edit("paths.json", add)))


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../x", "../../x", "C:/x", "", "a\\b"])
def test_links_that_leave_the_package(tmp_path: Path, target: str) -> None:
    """Absolute targets and ones above the root are refused."""
    assert "link" in refusal(tmp_path, pack({"share/x": Member(link=target)}))


def test_nothing_goes_through_a_link(tmp_path: Path) -> None:
    """A folder that is a link, and a file behind it."""
    members = {"share/x": Member(link="../lib"), "share/x/f": Member(data=b"x")}
    assert "behind a link" in refusal(tmp_path, pack(members))


@pytest.mark.parametrize("target", ["/etc/passwd", "../x", "absent"])
def test_hard_links_to_something_else(tmp_path: Path, target: str) -> None:
    """A hard link may only name a file that came before it in the package."""
    assert "hard link" in refusal(tmp_path, raw_member("share/x", tarfile.LNKTYPE, target))


@pytest.mark.parametrize(
    "kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE, b"Z"]
)
def test_devices_and_stranger_things(tmp_path: Path, kind: bytes) -> None:
    """A package holds files, folders and links."""
    refusal(tmp_path, raw_member("share/x", kind))


def test_members_twice(tmp_path: Path) -> None:
    """In the tar the last one would win; in the list the answer differs by tool."""
    assert "twice" in refusal(tmp_path, pack(extra=[("bin/demo", Member(data=b"evil"))]))

    def double(paths: Any) -> None:
        paths["paths"].append(paths["paths"][0])

    assert "twice" in refusal(tmp_path, pack(change=edit("paths.json", double)))


def test_names_that_are_one_on_windows(tmp_path: Path) -> None:
    """For Windows, names have to differ in more than case, and to be possible there."""
    for subdir in ("win-64", "noarch"):
        for names in (("share/a", "share/A"), ("share/con", "x"), ("share/a:b", "x")):
            index, data = make_package(
                "demo", "1.0", {name: Member(data=b"") for name in names}, subdir=subdir
            )
            with pytest.raises(InstallError):
                scan(tmp_path, data, package=lock_conda(index, data, channel="https://c"))


def test_bytes_that_are_not_the_listed_ones(tmp_path: Path) -> None:
    """The package's own digests are checked, because the linker does not."""

    def lie(paths: Any) -> None:
        paths["paths"][0]["sha256"] = "0" * 64

    assert "own list" in refusal(tmp_path, pack(change=edit("paths.json", lie)))


def test_a_listed_file_that_is_not_there(tmp_path: Path) -> None:
    """A linker would stop half-way."""

    def add(paths: Any) -> None:
        paths["paths"].append(path_entry("share/absent", Member()))

    assert "not there" in refusal(tmp_path, pack(change=edit("paths.json", add)))


@pytest.mark.parametrize(
    "name", ["conda-meta/evil.json", "conda-meta/history", "provision-receipt.json", "pyvenv.cfg"]
)
def test_files_that_are_the_environments_own(tmp_path: Path, name: str) -> None:
    """What says which packages are here is not a package's to write."""
    refusal(tmp_path, pack({name: Member(data=b"{}")}))


@pytest.mark.parametrize(
    ("key", "value"),
    [("name", "other"), ("version", "2.0"), ("build", "x"), ("subdir", "noarch"), ("name", None)],
)
def test_another_package_under_this_name(tmp_path: Path, key: str, value: str | None) -> None:
    """What the file says about itself has to be what was locked."""

    def lie(index: Any) -> None:
        index[key] = value

    assert f"its {key} is" in refusal(tmp_path, pack(change=edit("index.json", lie)))


@pytest.mark.parametrize("name", ["index.json", "paths.json"])
@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"{}", b'{"paths": 3}', b"[" * 100_000, b"\xff"])
def test_lists_that_are_none(tmp_path: Path, name: str, text: bytes) -> None:
    """Damaged lists are refused, whatever is in them."""

    def spoil(info: dict[str, Member]) -> None:
        info[f"info/{name}"] = Member(data=text)

    refusal(tmp_path, pack(change=spoil))


@pytest.mark.parametrize("entry", ["../x = demo:main", "python = demo:main", "x = os;evil", "x", 3])
def test_entry_points_become_scripts_only_with_honest_names(tmp_path: Path, entry: object) -> None:
    """The linker would write them into the folder of programs."""
    link = {"noarch": {"type": "python", "entry_points": [entry]}}
    index, data = make_package("demo", "1.0", FILES, subdir="noarch", link=link)
    with pytest.raises(InstallError, match="entry point"):
        scan(tmp_path, data, package=lock_conda(index, data, channel="https://c"))


def test_what_runs_at_every_start(tmp_path: Path) -> None:
    """Modules for it are refused; path files and scripts are told."""
    site = "lib/python3.11/site-packages"
    assert "every start" in refusal(tmp_path, pack({f"{site}/sitecustomize.py": Member(data=b"")}))
    told = {
        f"{site}/demo.pth": "every start",
        "bin/.demo-post-link.sh": "not run",
        "etc/conda/activate.d/demo.sh": "not run",
    }
    for name, word in told.items():
        (notice,) = scan(tmp_path, pack({name: Member(data=b"import x\n")}))
        assert name in notice
        assert word in notice


def test_a_bomb_stops_at_the_budget(tmp_path: Path) -> None:
    """Seven kilobytes do not become two hundred megabytes."""
    data = pack({"share/zeros": Member(data=b"\0" * (unpack_budget(0) + 1))})
    assert len(data) < 100_000
    assert "far more" in refusal(tmp_path, data)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data + b"more",
        lambda data: b"more" + data,
        lambda data: data[: len(data) // 2],
        lambda data: data[:0],
        lambda data: data.replace(b"info-demo", b"inf0-demo"),
        lambda data: b"<!doctype html>" + data[:0],
    ],
)
def test_what_is_no_conda_package(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    """Heads, tails, torsos, other parts and web pages are refused."""
    refusal(tmp_path, spoil(pack()))


def test_every_flipped_byte_is_refused_or_harmless(tmp_path: Path) -> None:
    """Whatever is in the file, the answer is a verdict or an install error."""
    data = pack()
    for place in range(0, len(data), 3):
        with suppress(InstallError):
            scan(tmp_path, data[:place] + bytes([data[place] ^ 0x15]) + data[place + 1 :])
