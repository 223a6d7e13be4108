"""Our scan refuses wheels by the member's name, and has nothing against honest ones.

test_archive_engines.py shows every kind of hostile wheel, to uv and to us.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

import pytest

from provisioner.engines.archive.refused import unpack_budget
from provisioner.engines.archive.scan import scan_package
from provisioner.errors import InstallError
from tests.hostile import BOMB_BYTES, RECORD, WHEEL, WHEEL_STARTERS, Engine, find_wheels, wheel_with
from tests.wheels import lock_wheel, make_wheel, pack_wheel, wheel_members

LET_THROUGH = {
    name: kind
    for name, kind in find_wheels().items()
    if kind.engine is Engine.INSTALLS and "starter" not in name
}


def scan(tmp_path: Path, data: bytes) -> tuple[str, ...]:
    path = tmp_path / WHEEL
    path.write_bytes(data)
    stored = scan_package(path, lock_wheel(WHEEL, data))
    return stored.notices + stored.startup


def refusal(tmp_path: Path, data: bytes) -> InstallError:
    with pytest.raises(InstallError) as caught:
        scan(tmp_path, data)
    return caught.value


def test_an_honest_wheel_passes_without_a_word(tmp_path: Path) -> None:
    """Modules, data, scripts, entry points and vendored metadata are what wheels are made of."""
    files: dict[str, str | bytes] = {
        "demo/__init__.py": "",
        "demo/data.bin": b"\0" * 1000,
        "demo/vendor/x-1.dist-info/METADATA": "",
        "demo-1.0.data/data/share/demo/x.txt": "x",
        "demo-1.0.data/scripts/demo-tool": "#!python\n",
        "demo-1.0.data/data/lib/libdemo.so.1": b"\x7fELF",
        "demo/sitecustomize.py": "",
        "demo/demo.pth": "",
        "sitecustomize_demo.py": "",
        "demo-1.0.data/data/lib/libdemo.so-gdb.py": "",
    }
    entry_points = (
        "[console_scripts]\ndemo = demo:main\ndemo2 = demo.x:Y.z [extra]\n[other.group]\nx/y = demo\n"
    )
    assert scan(tmp_path, make_wheel("demo", files=files, entry_points=entry_points)[1]) == ()


@pytest.mark.parametrize("name", LET_THROUGH)
def test_a_refused_wheel_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    """The error has the wheel's name and its member's, and hints."""
    error = refusal(tmp_path, LET_THROUGH[name].data)
    assert error.code == "install.archive"
    assert WHEEL in error.message
    assert error.hints
    assert "member" in error.message or name == "a bomb"


def test_a_bomb_is_seen_before_it_goes_off(tmp_path: Path) -> None:
    """Unpacking has a budget that grows with the size of the file; many empty files use it up as well."""
    assert unpack_budget(0) < BOMB_BYTES
    assert "far more" in refusal(tmp_path, wheel_with("demo/zeros", b"\0" * BOMB_BYTES)).message


def test_a_record_from_windows_is_read_as_one(tmp_path: Path) -> None:
    """Wheels made there may list their files with backslashes."""
    members = wheel_members("demo", files={"demo/__init__.py": ""})
    members[RECORD] = members[RECORD].replace(b"demo/__init__.py", b"demo\\__init__.py")
    assert scan(tmp_path, pack_wheel(members)) == ()


@pytest.mark.parametrize("name", WHEEL_STARTERS)
def test_what_python_runs_at_every_start_is_named(tmp_path: Path, name: str) -> None:
    """The place where a file will be installed decides, not its name in the wheel."""
    data = wheel_with(name, b"import demo\n")
    (tmp_path / WHEEL).write_bytes(data)
    assert scan_package(tmp_path / WHEEL, lock_wheel(WHEEL, data)).startup == (name,)


def test_the_known_starter_is_not_told(tmp_path: Path) -> None:
    """Setuptools' own file is in every environment."""
    filename, data = make_wheel("setuptools", files={"distutils-precedence.pth": "import os\n"})
    (tmp_path / filename).write_bytes(data)
    assert scan_package(tmp_path / filename, lock_wheel(filename, data)).startup == ()


def test_every_flipped_byte_is_refused_or_harmless(tmp_path: Path) -> None:
    """Whatever is in the file, the scan ends with an answer or an install error."""
    _, data = make_wheel("demo", entry_points="[console_scripts]\ndemo = demo:main\n")
    seed = hashlib.sha256(data).digest()
    for place in range(0, len(data), 3):
        spoiled = data[:place] + bytes([data[place] ^ (seed[place % 32] | 1)]) + data[place + 1 :]
        with suppress(InstallError):
            scan(tmp_path, spoiled)
