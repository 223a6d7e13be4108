"""Our scan refuses conda packages by the member's name, and has nothing against honest ones.

test_archive_engines.py shows every kind of hostile package, to rattler and to us.
"""

import bz2
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.engines.archive.scan import scan_package
from provisioner.errors import InstallError
from provisioner.resolve.model import CondaPackage
from tests.conda_channel import Member, index_json, info_members, lock_conda, make_package, pack_tar
from tests.hostile import CONDA_STARTERS, STEM, Engine, conda_with, find_conda

FILES = {"share/demo/x": Member(data=b"x\n"), "bin/demo": Member(data=b"#!/bin/sh\n", executable=True)}
LET_THROUGH = {
    name: kind
    for name, kind in find_conda().items()
    if kind.engine is Engine.INSTALLS and "starter" not in name
}


def lock(data: bytes, *, subdir: str = "linux-64") -> CondaPackage:
    return lock_conda(index_json("demo", "1.0", subdir=subdir), data, channel="https://c")


def scan(tmp_path: Path, data: bytes, package: CondaPackage) -> tuple[str, ...]:
    path = tmp_path / package.filename
    path.write_bytes(data)
    return scan_package(path, package).notices


def test_an_honest_package_passes_without_a_word(tmp_path: Path) -> None:
    """Files, programs, links inside, and names that only Linux can tell apart."""
    members = FILES | {
        "lib/libx.so.1": Member(data=b"\x7fELF"),
        "lib/libx.so": Member(link="libx.so.1"),
        "share/lib": Member(link="../lib/../lib/libx.so"),
        "bin/X11": Member(link="."),
        "share/terminfo/E/eterm": Member(data=b"1"),
        "share/terminfo/e/eterm": Member(data=b"2"),
        "share/man/man3/Foo::Bar.3": Member(data=b"3"),
    }
    data = conda_with(members)
    assert scan(tmp_path, data, lock(data)) == ()


def test_the_interpreter_is_for_python_to_bring(tmp_path: Path) -> None:
    """The package `python` has programs that no other may have."""
    index, data = make_package("python", "3.11.7", {"bin/python3.11": Member(data=b"x")})
    assert scan(tmp_path, data, lock_conda(index, data, channel="https://c")) == ()


def test_the_old_format_is_scanned_too(tmp_path: Path) -> None:
    """A `.tar.bz2` has one tar with everything."""
    for members, ok in ((FILES, True), (FILES | {"pyvenv.cfg": Member()}, False)):
        info = info_members(members, index_json("demo", "1.0"))
        data = bz2.compress(pack_tar([*info.items(), *members.items()]))
        package = replace(lock(data), url=f"https://c/linux-64/{STEM}.tar.bz2")
        if ok:
            assert scan(tmp_path, data, package) == ()
        else:
            with pytest.raises(InstallError, match=r"pyvenv\.cfg"):
                scan(tmp_path, data, package)


@pytest.mark.parametrize("name", LET_THROUGH)
def test_a_refused_package_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    """The error has the package's name, and hints."""
    kind = LET_THROUGH[name]
    with pytest.raises(InstallError) as caught:
        scan(tmp_path, kind.data, lock(kind.data, subdir="noarch" if kind.noarch else "linux-64"))
    assert caught.value.code == "install.archive"
    assert f"{STEM}.conda" in caught.value.message
    assert caught.value.hints


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("bin/.demo-post-link.sh", "not run"),
        ("etc/conda/activate.d/demo.sh", "not run"),
    ],
)
def test_scripts_are_told(tmp_path: Path, name: str, word: str) -> None:
    """Some packages bring them; the user is told which."""
    data = conda_with({name: Member(data=b"import x\n")})
    (notice,) = scan(tmp_path, data, lock(data))
    assert name in notice
    assert word in notice


@pytest.mark.parametrize("name", CONDA_STARTERS)
def test_what_python_runs_at_every_start_is_named(tmp_path: Path, name: str) -> None:
    """The place where a file will be linked decides."""
    data = conda_with({name: Member(data=b"import demo\n")})
    path = tmp_path / f"{STEM}.conda"
    path.write_bytes(data)
    assert scan_package(path, lock(data)).startup == (name,)


def test_every_flipped_byte_is_refused_or_harmless(tmp_path: Path) -> None:
    """Whatever is in the file, the scan ends with an answer or an install error."""
    data = conda_with(FILES)
    for place in range(0, len(data), 3):
        with suppress(InstallError):
            spoiled = data[:place] + bytes([data[place] ^ 0x15]) + data[place + 1 :]
            scan(tmp_path, spoiled, lock(data))
