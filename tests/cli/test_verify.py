"""`verify` names every file that is not as it was built, and `repair` puts back just those.

One file: what names a tampering and what puts it back share the table of tamperings.
"""

import base64
import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.lab import PYTHON, Lab
from tests.conda_channel import build_channel
from tests.loopback import serve

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and executable bits")

APP = {
    "tinyapp/__init__.py": "VERSION = '1.0'\n",
    "tinyapp/kept.py": "KEPT = 'as it was'\n",
    "tinyapp/lost.py": "LOST = 1\n",
    "tinyapp/timed.py": "TIMED = 'first'\n",
    "tinyapp/recorded.py": "RECORDED = 1\n",
    "tinyapp/linked.py": "LINKED = 1\n",
    "tinyapp/deep/inner.py": "INNER = 1\n",
    "tinyapp-1.0.dist-info/entry_points.txt": (
        "[console_scripts]\ntinyapp = tinyapp:main\nsecond = tinyapp:main\n"
    ),
}
SITE = f"lib/python{PYTHON}/site-packages"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with a package of several files and two scripts, built as `tiny`; every test repairs it."""
    with serve() as server:
        lab = Lab(root=tmp_path_factory.mktemp("app"), server=server)
        lab.offer("tinyapp", "1.0", files=APP)
        lab.offer("torch", "2.13.0+cpu", index="torch")
        lab.write_profile()
        assert lab.run("lock", "tiny").code == 0
        lab.build_tiny()
        yield lab


def prefix_of(lab: Lab) -> Path:
    folder = lab.data / "environments" / "tiny"
    return folder / "generations" / (folder / "current").read_text(encoding="utf-8").strip()


def picture(prefix: Path) -> dict[str, tuple[object, ...]]:
    """Return every path with its content, or its target, and its permissions."""
    found: dict[str, tuple[object, ...]] = {}
    for path in prefix.rglob("*"):
        name = path.relative_to(prefix).as_posix()
        if name == "provision-snapshot.json" or "__pycache__" in name:
            continue  # it has inodes; Python writes bytecode when it likes
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.is_file():
            found[name] = (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
    return found


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def edit_in_time(path: Path) -> None:
    """Change a file and set its old size and time."""
    status = path.stat()
    rewrite(path, "first", "other")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def edit_with_record(path: Path) -> None:
    """Change a file and its line in RECORD."""
    old = path.read_bytes()
    path.write_bytes(b"RECORDED = 2\n")
    lines = [
        base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        for data in (old, path.read_bytes())
    ]
    rewrite(path.parents[1] / "tinyapp-1.0.dist-info" / "RECORD", *lines)


def replace_by_link(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def make_foreign_package(path: Path) -> None:
    path.mkdir()
    (path / "__init__.py").write_text("import os\n", encoding="utf-8")


Kind = tuple[str, Callable[[Path], Any], dict[str, tuple[str, str | None]]]
# What was done to which file, and what is named: file to its change and its package.
KINDS: dict[str, Kind] = {
    "one byte of equal size": (
        f"{SITE}/tinyapp/kept.py",
        lambda path: rewrite(path, "as it was", "as it is!"),
        {f"{SITE}/tinyapp/kept.py": ("changed", "tinyapp")},
    ),
    "time put back": (
        f"{SITE}/tinyapp/timed.py",
        edit_in_time,
        {f"{SITE}/tinyapp/timed.py": ("changed", "tinyapp")},
    ),
    "missing": (f"{SITE}/tinyapp/lost.py", Path.unlink, {f"{SITE}/tinyapp/lost.py": ("missing", "tinyapp")}),
    "added in a package": (
        f"{SITE}/tinyapp/deep/added.py",
        lambda path: path.write_text("print('added')\n", encoding="utf-8"),
        {f"{SITE}/tinyapp/deep/added.py": ("added", "tinyapp")},
    ),
    "startup file": (
        f"{SITE}/zz.pth",
        lambda path: path.write_text("import os\n", encoding="utf-8"),
        {f"{SITE}/zz.pth": ("added", None)},
    ),
    "startup module": (
        f"{SITE}/sitecustomize.py",
        lambda path: path.write_text("import os\n", encoding="utf-8"),
        {f"{SITE}/sitecustomize.py": ("added", None)},
    ),
    "with its RECORD": (
        f"{SITE}/tinyapp/recorded.py",
        edit_with_record,
        {
            f"{SITE}/tinyapp/recorded.py": ("changed", "tinyapp"),
            f"{SITE}/tinyapp-1.0.dist-info/RECORD": ("changed", "tinyapp"),
        },
    ),
    "file replaced by a link": (
        f"{SITE}/tinyapp/linked.py",
        lambda path: replace_by_link(path, "/dev/null"),
        {f"{SITE}/tinyapp/linked.py": ("link", "tinyapp")},
    ),
    "link that leads elsewhere": (
        "bin/python3",
        lambda path: replace_by_link(path, "/bin/true"),
        {"bin/python3": ("link", None)},
    ),
    "not executable any more": (
        "bin/tinyapp",
        lambda path: path.chmod(0o644),
        {"bin/tinyapp": ("mode", "tinyapp")},
    ),
    "script that starts another program": (
        "bin/second",
        lambda path: path.write_text("#!/bin/sh\necho taken over\n", encoding="utf-8"),
        {"bin/second": ("changed", "tinyapp")},
    ),
    "settings of the environment": (
        "pyvenv.cfg",
        lambda path: rewrite(
            path, "include-system-site-packages = false", "include-system-site-packages = true"
        ),
        {"pyvenv.cfg": ("changed", None)},
    ),
    "foreign package": (
        f"{SITE}/foreign",
        make_foreign_package,
        {f"{SITE}/foreign/__init__.py": ("added", None)},
    ),
}


def named(lab: Lab, *options: str) -> dict[str, tuple[str, str | None]]:
    """Return what `verify` names: file to change and package."""
    shown = lab.run("verify", "tiny", "--json", *options)
    (environment,) = shown.data["environments"]
    differences = environment["differences"]
    assert (shown.code == 5) == bool(differences)
    return {row["file"]: (row["change"], row["package"]) for row in differences}


def test_every_kind_of_tampering_is_named_and_put_back(app: Lab) -> None:
    """What was done is named by file and package, read or only looked at; `repair` makes it undone."""
    prefix = prefix_of(app)
    before = picture(prefix)
    assert named(app) == named(app, "--fast") == {}
    expected: dict[str, tuple[str, str | None]] = {}
    for file, tamper, names in KINDS.values():
        tamper(prefix / file)
        expected |= names
    assert named(app) == expected
    assert named(app, "--fast") == expected
    repaired = app.run("repair", "tiny", "--no-validate", "--json")
    assert repaired.code == 0, repaired.err
    assert repaired.data["prefix"] == str(prefix)
    assert {row["file"] for row in repaired.data["restored"]} == set(expected)
    assert picture(prefix) == before
    assert named(app) == {}
    assert not [path for path in prefix.parent.iterdir() if not (path / "provision-receipt.json").is_file()]
    assert "warning" not in app.run("create", "tiny", "--no-validate").err


@pytest.mark.parametrize("kind", KINDS)
def test_create_with_nothing_to_do_notices_every_kind(kind: str, app: Lab) -> None:
    """What was done is told by file with the command that undoes it, and `up to date` is not said."""
    file, tamper, names = KINDS[kind]
    tamper(prefix_of(app) / file)
    shown = app.run("create", "tiny", "--no-validate")
    assert "warning: `tiny` was changed since it was built: " in shown.err
    assert all(f"`{name}`" in shown.err for name in names)
    assert "up to date" not in shown.out
    assert "`provision repair tiny`" in shown.err
    assert app.run("repair", "tiny", "--no-validate").code == 0
    assert app.run("create", "tiny", "--no-validate").err == ""


def test_what_was_only_touched_is_no_change(app: Lab) -> None:
    """A file of new times and the old content is as it was built, and is not read a second time."""
    prefix = prefix_of(app)
    before = (prefix / "provision-snapshot.json").read_bytes()
    (prefix / SITE / "tinyapp" / "kept.py").touch()
    assert app.run("create", "tiny", "--no-validate").err == ""
    touched = (prefix / "provision-snapshot.json").read_bytes()
    assert touched != before
    assert app.run("create", "tiny", "--no-validate").err == ""
    assert (prefix / "provision-snapshot.json").read_bytes() == touched


def test_words_name_package_list_and_startup(app: Lab) -> None:
    """The text says whose a file is, which list names it, and that Python runs it; the hint is `repair`."""
    prefix = prefix_of(app)
    (prefix / SITE / "tinyapp" / "lost.py").unlink()
    (prefix / SITE / "zz.pth").write_text("import os\n", encoding="utf-8")
    shown = app.run("verify")
    assert shown.code == 5
    assert "tiny: 1 file missing, 1 added, of" in shown.out
    assert f"  tinyapp 1.0\n    missing  {SITE}/tinyapp/lost.py (RECORD): it is gone\n" in shown.out
    assert "zz.pth: nothing that was built has it; Python runs it at every start" in shown.out
    assert "hint: run `provision repair tiny`" in shown.err
    repaired = app.run("repair", "tiny", "--no-validate")
    assert repaired.code == 0
    assert f"restored {SITE}/tinyapp/lost.py: it was missing\nremoved {SITE}/zz.pth: nothing" in repaired.out


def test_what_was_put_back_is_told_in_the_past(app: Lab) -> None:
    """After `repair` the file's content is no other any more."""
    (prefix_of(app) / SITE / "tinyapp" / "__init__.py").write_text("broken(", encoding="utf-8")
    repaired = app.run("repair", "tiny", "--no-validate")
    assert f"restored {SITE}/tinyapp/__init__.py: its content was another\n" in repaired.out


def test_one_file_is_no_files(app: Lab) -> None:
    """The noun fits the number beside it, whatever else there is."""
    prefix = prefix_of(app)
    for name in ("aa.py", "ab.py"):
        (prefix / SITE / name).touch()
    (prefix / SITE / "tinyapp" / "lost.py").unlink()
    assert "tiny: 1 file missing, 2 added, of" in app.run("verify").out
    assert app.run("repair", "tiny", "--no-validate").code == 0


def test_bytecode_of_another_source_is_not_kept(app: Lab) -> None:
    """A file that is put back with its old size and time is compiled anew, and not taken as it was edited."""
    path = prefix_of(app) / SITE / "tinyapp" / "timed.py"
    edit_in_time(path)
    words = ("run", "tiny", "--", "python", "-c", "import tinyapp.timed; print(tinyapp.timed.TIMED)")
    assert app.spawn(*words).out == "other\n"
    assert app.run("repair", "tiny", "--no-validate").code == 0
    assert app.spawn(*words).out == "first\n"


def test_repair_of_what_is_in_order_changes_nothing(app: Lab) -> None:
    """It says so, and how to build anew; `--rebuild` does, as does damage that no second build mends."""
    prefix = prefix_of(app)
    before = picture(prefix)
    shown = app.run("repair", "tiny", "--no-validate")
    assert shown.code == 0
    assert "files as built" in shown.err
    assert picture(prefix) == before
    assert app.run("repair", "tiny", "--no-validate", "--rebuild", "--json").data["prefix"] != str(prefix)
    again = prefix_of(app)
    (again / "provision-inventory.json").write_text("{", encoding="utf-8")
    assert app.run("verify", "tiny", "--json").error["code"] == "install.inventory"
    shown = app.run("repair", "tiny", "--no-validate", "--json")
    assert "is built anew" in shown.err
    assert shown.data["prefix"] != str(again)


def test_repair_waits_for_nobody_who_uses_the_environment(app: Lab) -> None:
    """Files are not exchanged under a program that runs: exit 9 names it."""
    path = prefix_of(app) / SITE / "tinyapp" / "lost.py"
    path.unlink()
    code = "import sys; print('ready', flush=True); sys.stdin.read()"
    with app.start("run", "tiny", "--", "python", "-c", code, stdin=-1) as program:
        assert program.stdout is not None
        assert program.stdin is not None
        assert program.stdout.readline() == b"ready\n"
        refused = app.run("repair", "tiny", "--no-validate", "--json")
        assert (refused.code, refused.error["code"]) == (9, "busy.environment")
        assert not path.exists()
        program.stdin.close()
    assert app.run("repair", "tiny", "--no-validate").code == 0
    assert path.exists()


def test_a_damaged_stored_file_is_named(app: Lab) -> None:
    """One byte in the store is found, with and without a name; the next build fetches the file again."""
    wheel = next((app.data / "store").rglob("tinyapp-*.whl"))
    data = bytearray(wheel.read_bytes())
    data[30] ^= 1
    wheel.write_bytes(data)
    for words in (("verify", "--json"), ("verify", "tiny", "--json", "--fast")):
        shown = app.run(*words)
        assert (shown.code, shown.error["code"]) == (5, "install.store_damaged")
        assert shown.data["store"]["damaged"] == [str(wheel)]
    assert app.run("create", "tiny", "--no-validate", "--rebuild").code == 0
    assert app.run("verify").code == 0


def test_conda_files_are_named_and_put_back(tmp_path: Path) -> None:
    """Files of conda packages, with our path in them or not, links, and the lists of their files."""
    with serve() as server:
        lab = Lab(root=tmp_path, server=server)
        channel = tmp_path / "channel"
        build_channel(channel)
        for path in channel.rglob("*"):
            if path.is_file():
                server.files[f"channel/{path.relative_to(channel).as_posix()}"] = path.read_bytes()
        lab.offer("tinyapp", "1.0", files=APP)
        lab.offer("torch", "2.13.0+cpu", index="torch")
        lab.write_profile(
            changes={
                "pip:": f"conda:\n  channels: ['{server.url}/ok/channel']\n  packages: [libuv]\npip:",
            }
        )
        locked = lab.run("lock", "tiny")
        assert locked.code == 0, locked.err
        prefix = lab.build_tiny()
        before = picture(prefix)
        startup = prefix / f"lib/python{PYTHON}/usercustomize.py"
        startup.write_text("import os\n", encoding="utf-8")
        assert f"`lib/python{PYTHON}/usercustomize.py`" in lab.run("create", "tiny", "--no-validate").err
        startup.unlink()
        assert lab.run("create", "tiny", "--no-validate").err == ""
        rewrite(prefix / "lib/pkgconfig/libuv.pc", str(prefix), "/somewhere/else")
        (prefix / "lib/libuv.so.1.0.0").write_bytes(b"another library")
        replace_by_link(prefix / "lib/libuv.so.1", "/dev/null")
        (prefix / "bin/python3").unlink()
        meta = next((prefix / "conda-meta").glob("libuv-*.json"))
        rewrite(meta, "libuv.pc", "libuv.xx")
        shutil.rmtree(prefix / SITE / "tinyapp")
        expected = {
            "lib/pkgconfig/libuv.pc": ("changed", "libuv"),
            "lib/libuv.so.1.0.0": ("changed", "libuv"),
            "lib/libuv.so.1": ("link", "libuv"),
            "bin/python3": ("missing", "python"),
            f"conda-meta/{meta.name}": ("changed", "libuv"),
            **{f"{SITE}/{name}": ("missing", "tinyapp") for name in APP if "dist-info" not in name},
        }
        assert named(lab) == expected
        assert (
            lab.run("verify", "tiny", "--json").data["environments"][0]["differences"][0]["origin"]
            == "paths.json"
        )
        repaired = lab.run("repair", "tiny", "--no-validate", "--json")
        assert (repaired.code, repaired.data["prefix"]) == (0, str(prefix)), repaired.err
        assert picture(prefix) == before
