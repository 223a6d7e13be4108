"""Our scan refuses wheels that could leave their place, pass for another, or run unasked."""

import hashlib
import io
import stat
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from provisioner.engines.archive.scan import scan_package, unpack_budget
from provisioner.errors import InstallError
from tests.wheels import lock_wheel, make_wheel, pack_wheel, record_line, wheel_members

FILENAME = "demo-1.0-py3-none-any.whl"
RECORD = "demo-1.0.dist-info/RECORD"


def scan(tmp_path: Path, data: bytes, filename: str = FILENAME) -> tuple[str, ...]:
    path = tmp_path / filename
    path.write_bytes(data)
    return scan_package(path, lock_wheel(filename, data)).notices


def refusal(tmp_path: Path, data: bytes) -> InstallError:
    with pytest.raises(InstallError) as caught:
        scan(tmp_path, data)
    assert caught.value.code == "install.archive"
    assert FILENAME in caught.value.message
    assert caught.value.hints
    return caught.value


def with_member(name: str, data: bytes = b"x", **options: object) -> bytes:
    """Return a wheel with one more member, which its RECORD lists."""
    members = wheel_members("demo", **options)  # type: ignore[arg-type] # passed on
    record = members.pop(RECORD)
    quoted = '"' + name.replace('"', '""') + '"'
    line = record_line(quoted, data)
    return pack_wheel(members | {name: data, RECORD: f"{line}\n".encode() + record})


def test_an_honest_wheel_passes_without_a_word(tmp_path: Path) -> None:
    """Modules, data, scripts and entry points are what wheels are made of."""
    files: dict[str, str | bytes] = {
        "demo/__init__.py": "",
        "demo/data.bin": b"\0" * 1000,
        "demo-1.0.data/data/share/demo/x.txt": "x",
        "demo-1.0.data/scripts/demo-tool": "#!python\n",
        "demo-1.0.data/data/lib/libdemo.so.1": b"\x7fELF",
        "demo/sitecustomize.py": "",
    }
    entry_points = (
        "[console_scripts]\ndemo = demo:main\ndemo2 = demo.x:Y.z [extra]\n[other.group]\nx/y = demo\n"
    )
    assert scan(tmp_path, make_wheel("demo", files=files, entry_points=entry_points)[1]) == ()


@pytest.mark.parametrize(
    "name",
    [
        *("../x.py", "demo/../../x.py", "/etc/x", "demo//x", "./x.py", "demo/./x", ".."),
        *("C:/x.py", "demo\\x.py", "..\\x.py", "demo/a:b", "con", "demo/aux.py", "demo/COM1", "nul.txt"),
        *("demo/x.", "demo/x ", "demo/x\n.py", "demo/\x07.py", "d/" * 70 + "x", "demo/" + "x" * 300),
    ],
)
def test_names_that_leave_their_place_or_cannot_be_on_windows(tmp_path: Path, name: str) -> None:
    """The whole wheel is refused, by the name of the member."""
    assert ascii(name)[:200] in refusal(tmp_path, with_member(name)).message


def test_a_name_with_a_null_character(tmp_path: Path) -> None:
    """What one reader cuts at the null and another does not is refused."""
    data = with_member("demo/x_y.py").replace(b"demo/x_y.py", b"demo/x\0y.py")
    refusal(tmp_path, data)


@pytest.mark.parametrize(("first", "second"), [("demo/a.py", "demo/A.py"), ("demo/\u00e9", "demo/e\u0301")])
def test_names_that_are_one_on_some_systems(tmp_path: Path, first: str, second: str) -> None:
    """Members that differ in case or in the form of an accent would replace each other."""
    assert "comes twice" in refusal(tmp_path, with_member(second, files={first: "x"})).message


def test_a_member_twice(tmp_path: Path) -> None:
    """The first and the last of two equal names are installed by different tools."""
    members = wheel_members("demo")
    buffer = io.BytesIO(pack_wheel(members))
    with zipfile.ZipFile(buffer, "a") as packed, pytest.warns(UserWarning, match="Duplicate name"):
        packed.writestr("demo.py", "EVIL = 1")
    assert "comes twice" in refusal(tmp_path, buffer.getvalue()).message


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices(tmp_path: Path, kind: int) -> None:
    """Wheels hold files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, data in wheel_members("demo").items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (kind if name == "demo.py" else stat.S_IFREG) << 16
            packed.writestr(info, data)
    assert "link or a device" in refusal(tmp_path, buffer.getvalue()).message


def test_an_unusual_compression(tmp_path: Path) -> None:
    """Only what every installer reads is read."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as packed:
        for name, data in wheel_members("demo").items():
            packed.writestr(name, data)
    assert "compressed" in refusal(tmp_path, buffer.getvalue()).message


def _patch_local_name(data: bytes) -> bytes:
    """Change a name in the member's own header, which comes first, and not in the directory."""
    place = data.index(b"demo.py")
    return data[:place] + b"evil.py" + data[place + 7 :]


def _patch_local_size(data: bytes) -> bytes:
    return data[:22] + b"\xff\x00\x00\x00" + data[26:]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"#!/bin/sh\n" + data,
        lambda data: data + b"more",
        lambda data: data + data,
        lambda data: data[:-2] + b"\x04\x00PK\x05\x06",
        _patch_local_name,
        _patch_local_size,
        lambda data: data[: len(data) // 2],
        lambda data: data[:0],
        lambda data: b"PK\x05\x06" + b"\0" * 18 + data[:0],
        lambda data: b"not a zip at all" + data[:0],
    ],
)
def test_two_readers_of_one_zip_must_see_the_same(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    """Heads, tails, second directories, unequal headers and torsos are refused."""
    refusal(tmp_path, spoil(make_wheel("demo")[1]))


def test_members_that_overlap(tmp_path: Path) -> None:
    """Two entries of the directory over the same bytes are how bombs get small."""
    data = bytearray(with_member("demo.pyc", b"VERSION = '1.0'\n"))
    place = data.rindex(b"demo.pyc")
    data[place - 4 : place] = (0).to_bytes(4, "little")  # the offset in the directory's entry
    refusal(tmp_path, bytes(data))


def test_a_bomb_is_seen_before_it_goes_off(tmp_path: Path) -> None:
    """Unpacking has a budget that grows with the size of the file."""
    data = with_member("demo/zeros", b"\0" * (unpack_budget(0) + 1))
    assert len(data) < unpack_budget(0) // 100
    assert "would unpack to" in refusal(tmp_path, data).message


@pytest.mark.parametrize(("name", "version"), [("other", "1.0"), ("demo", "2.0"), ("demo", "1.0+local")])
def test_another_package_under_this_name(tmp_path: Path, name: str, version: str) -> None:
    """The wheel's own name and version have to be the locked ones."""
    refusal(tmp_path, make_wheel(name, version)[1])


def test_metadata_that_says_something_else(tmp_path: Path) -> None:
    """The folder's name is not enough: METADATA has to agree."""
    members = wheel_members("demo")
    members["demo-1.0.dist-info/METADATA"] = b"Metadata-Version: 2.1\nName: other\nVersion: 1.0\n\n"
    refusal(tmp_path, pack_wheel(members))


def test_two_dist_infos(tmp_path: Path) -> None:
    """Nobody knows which one counts."""
    assert "2 `.dist-info`" in refusal(tmp_path, with_member("evil-1.0.dist-info/METADATA")).message


def test_a_file_that_the_record_leaves_out(tmp_path: Path) -> None:
    """What RECORD does not list could not be verified or removed later."""
    members = wheel_members("demo") | {"demo_extra.py": b"x"}
    assert "not in the wheel's RECORD" in refusal(tmp_path, pack_wheel(members)).message


@pytest.mark.parametrize("line", ["../../../etc/passwd,,", "/etc/passwd,,", "C:/x,,", "..\\..\\x,,"])
def test_a_record_that_points_elsewhere(tmp_path: Path, line: str) -> None:
    """Removing the package would delete those files."""
    members = wheel_members("demo")
    members[RECORD] += f"{line}\n".encode()
    assert "RECORD" in refusal(tmp_path, pack_wheel(members)).message


def test_a_record_from_windows_is_read_as_one(tmp_path: Path) -> None:
    """Wheels made there may list their files with backslashes."""
    members = wheel_members("demo", files={"demo/__init__.py": ""})
    members[RECORD] = members[RECORD].replace(b"demo/__init__.py", b"demo\\__init__.py")
    assert scan(tmp_path, pack_wheel(members)) == ()


@pytest.mark.parametrize("missing", ["RECORD", "METADATA"])
def test_a_wheel_without_its_papers(tmp_path: Path, missing: str) -> None:
    """Both files are required."""
    members = wheel_members("demo")
    del members[f"demo-1.0.dist-info/{missing}"]
    assert missing in refusal(tmp_path, pack_wheel(members)).message


@pytest.mark.parametrize(
    "line",
    [
        *("../../x = demo:main", "a/b = demo:main", "-x = demo:main", ";id = demo:main", "a..b = demo:main"),
        *("python = demo:main", "python3.11 = demo:main", "Python.exe = demo:main", "activate = demo:main"),
        *("x = demo:main\\nimport os", "x = demo:main;import os", "x = demo main", "x = ", "x = 1:2"),
    ],
)
def test_entry_points_become_scripts_only_with_honest_names(tmp_path: Path, line: str) -> None:
    """No script outside its folder, over the interpreter, or with code in its target."""
    data = make_wheel("demo", entry_points=f"[console_scripts]\n{line}\n")[1]
    assert "entry point" in refusal(tmp_path, data).message


@pytest.mark.parametrize(
    "name",
    [
        *(
            "scripts/python",
            "scripts/python3.11",
            "data/bin/python",
            "data/Scripts/python.exe",
            "data/python.exe",
        ),
        *("data/pyvenv.cfg", "data/conda-meta/x.json", "data/provision-receipt.json", "data/python311.dll"),
        *("elsewhere/x", "data/bin/activate"),
    ],
)
def test_data_that_would_replace_the_environments_own(tmp_path: Path, name: str) -> None:
    """The interpreter, its settings and our receipt are not a wheel's to bring."""
    refusal(tmp_path, with_member(f"demo-1.0.data/{name}"))


@pytest.mark.parametrize(
    "name",
    [
        *(
            "sitecustomize.py",
            "usercustomize.py",
            "sitecustomize/__init__.py",
            "demo-1.0.data/purelib/sitecustomize.py",
        ),
        "sitecustomize.cpython-311-x86_64-linux-gnu.so",
    ],
)
def test_modules_that_python_imports_at_every_start(tmp_path: Path, name: str) -> None:
    """They have no honest use in a package."""
    assert "every start" in refusal(tmp_path, with_member(name)).message


@pytest.mark.parametrize("name", ["demo.pth", "demo.start", "demo-1.0.data/purelib/demo.pth"])
def test_files_that_python_reads_at_every_start_are_told(tmp_path: Path, name: str) -> None:
    """Some packages need one; the user is told which."""
    (notice,) = scan(tmp_path, with_member(name, b"import demo\n"))
    assert name in notice


@pytest.mark.parametrize("line", [b"/etc", b"../elsewhere", b"C:\\evil"])
def test_a_path_file_that_points_outside(tmp_path: Path, line: bytes) -> None:
    """Modules of other places must not come in this way."""
    assert "path" in refusal(tmp_path, with_member("demo.pth", line + b"\n")).message


def test_the_known_starter_is_not_told(tmp_path: Path) -> None:
    """Setuptools' own file is in every environment."""
    filename, data = make_wheel("setuptools", files={"distutils-precedence.pth": "import os\n"})
    assert scan(tmp_path, data, filename) == ()


def test_every_flipped_byte_is_refused_or_harmless(tmp_path: Path) -> None:
    """Whatever is in the file, the answer is a verdict or an install error."""
    _, data = make_wheel("demo", entry_points="[console_scripts]\ndemo = demo:main\n")
    seed = hashlib.sha256(data).digest()
    for place in range(0, len(data), 3):
        spoiled = data[:place] + bytes([data[place] ^ (seed[place % 32] | 1)]) + data[place + 1 :]
        with suppress(InstallError):
            scan(tmp_path, spoiled)
