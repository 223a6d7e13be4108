"""`--managed-python`: a Python that is locked, fetched, bundled, and made environments of."""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.engines.uv import managed
from provisioner.engines.uv.managed import find_unpacked, load_managed, unpack_managed
from provisioner.errors import InstallError
from provisioner.ground.names import PLATFORMS
from tests.cli.lab import PYTHON, Lab

VERSION = ".".join(map(str, sys.version_info[:3]))
NAME = f"cpython-{VERSION}+20260814-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
Add = Callable[[tarfile.TarFile], None]


def add_file(opened: tarfile.TarFile, name: str, data: bytes = b"", mode: int = 0o644) -> None:
    """Add a file."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), mode
    opened.addfile(member, io.BytesIO(data))


def add_link(opened: tarfile.TarFile, name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> None:
    """Add a link."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    opened.addfile(member)


def make_stand_in(*more: Add) -> bytes:
    """Return an archive with a standalone build's layout, whose program starts the Python that runs us."""
    base = getattr(sys, "_base_executable", sys.executable)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as opened:
        script = f'#!/bin/sh\nexec {base} "$@"\n'
        add_file(opened, f"python/bin/python{PYTHON}", script.encode(), 0o755)
        add_link(opened, "python/bin/python3", f"python{PYTHON}")
        for add in more:
            add(opened)
    return out.getvalue()


@pytest.fixture
def offered(tiny: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Return a lab whose server has a stand-in, which the table of Pythons names."""
    lock_stand_in(tiny, monkeypatch, make_stand_in())
    return tiny


def lock_stand_in(lab: Lab, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Serve an archive, and let the table name it."""
    lab.server.files[f"pbs/{NAME}"] = data
    entry = {
        "version": VERSION,
        "url": f"{lab.server.url}/ok/pbs/{NAME}",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
    }
    table = lab.root / "pythons.json"
    table.write_text(json.dumps({"pythons": {PYTHON: {"linux-64": entry}}}))
    monkeypatch.setattr(managed, "TABLE", table)


def test_the_table_locks_one_build_for_each_system() -> None:
    """Address, version and digest stand in it; a size only where its source says one."""
    for python in ("3.10", "3.11", "3.12", "3.13"):
        for platform in PLATFORMS:
            package = load_managed(python, platform)
            assert package.version.startswith(f"{python}.")
            assert f"cpython-{package.version}+" in package.filename
            assert ("windows" in package.filename) == (platform == "win-64")
            assert len(package.sha256) == 64


def test_a_managed_python_is_fetched_unpacked_and_used(offered: Lab) -> None:
    """The environment is made of the program in the data folder; the next one fetches nothing."""
    answer = offered.run("create", "tiny", "--managed-python", "--no-validate", "--json")
    assert answer.code == 0, answer.err
    (place,) = (offered.data / "pythons").glob(f"{VERSION}-*")
    program = place / "bin" / "python3"
    assert program.is_file()
    assert program.read_text().startswith("#!/bin/sh")
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    asked = len(offered.server.requests)
    again = offered.run("create", "tiny", "--managed-python", "--no-validate", "--rebuild", "--json")
    assert again.code == 0
    assert len(offered.server.requests) == asked


@pytest.mark.parametrize("place", [f"bin/python{PYTHON}", f"lib/python{PYTHON}/sitecustomize.py"])
def test_a_changed_managed_python_is_unpacked_again(offered: Lab, place: str) -> None:
    """What was edited in it, or added, is in no environment that is built of it later; nothing is fetched."""
    words = ("create", "tiny", "--managed-python", "--no-validate", "--rebuild", "--json")
    assert offered.run(*words).code == 0
    (folder,) = (offered.data / "pythons").glob(f"{VERSION}-*")
    path = folder / place
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("# edited\n")
    asked = len(offered.server.requests)
    assert offered.run(*words).code == 0
    assert (path.read_bytes() if path.exists() else None) == before
    assert len(offered.server.requests) == asked
    made = folder.stat().st_ino
    assert offered.run(*words).code == 0
    assert folder.stat().st_ino == made


def test_a_managed_python_comes_out_of_a_bundle(offered: Lab) -> None:
    """Bundled as docs/how-to/offline.md says, found by its digest, and checked with the rest."""
    done = offered.run("bundle", "tiny", "--no-tool", "--managed-python", "-o", "b.tar", "--json")
    assert done.code == 0, done.err
    assert offered.run("bundle", "--check", "b.tar").code == 0
    members = offered.run("bundle", "--list", "b.tar", "--json").data["members"]
    assert f"python/{NAME}" in {member["path"] for member in members}
    shutil.rmtree(offered.data)
    asked = len(offered.server.requests)
    answer = offered.run("create", "--bundle", "b.tar", "--managed-python", "--no-validate", "--json")
    assert answer.code == 0, answer.err
    assert len(offered.server.requests) == asked
    assert len(list((offered.data / "pythons").iterdir())) == 1


def test_clean_takes_a_python_that_no_environment_is_made_of(offered: Lab) -> None:
    """Only with the downloads, as it comes back the same way; what a killed process left goes at once."""
    assert offered.run("create", "tiny", "--managed-python", "--no-validate").code == 0
    # the stand-in starts another Python, whose the environment is
    (place,) = (offered.data / "pythons").iterdir()
    dead = place.with_name("provision-python-abcdefgh")
    (dead / "work").mkdir(parents=True)
    (dead / "lock").touch()
    assert offered.run("clean", "--json").data["removed"] == [str(dead)]
    assert offered.run("clean", "--older-than", "1d", "--json").data["removed"] == []
    shown = offered.run("clean", "--keep", "tiny", "--json").data
    assert str(place) in shown["removed"]
    assert list(place.parent.iterdir()) == []


def test_links_inside_are_kept(tmp_path: Path, tiny: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Symbolic links and hard ones to files before them, of which standalone builds have some."""
    program = f"python/bin/python{PYTHON}"
    data = make_stand_in(lambda opened: add_link(opened, "python/bin/python", program, tarfile.LNKTYPE))
    lock_stand_in(tiny, monkeypatch, data)
    (tmp_path / NAME).write_bytes(data)
    found = unpack_managed(
        tmp_path / NAME, load_managed(PYTHON, "linux-64"), "linux-64", folder=tmp_path / "pythons"
    )
    assert found.is_symlink()
    assert found.with_name("python").read_bytes() == found.read_bytes()


def test_another_file_is_never_unpacked(offered: Lab) -> None:
    """The digest of the table decides; nothing is left but an empty store."""
    offered.server.files[f"pbs/{NAME}"] = make_stand_in(lambda opened: add_file(opened, "python/evil"))
    answer = offered.run("create", "tiny", "--managed-python", "--no-validate", "--json")
    assert answer.code in {5, 8}
    assert not (offered.data / "pythons").exists()
    assert not (offered.data / "environments").exists()


@pytest.mark.parametrize(
    "add",
    [
        lambda opened: add_file(opened, "python/../../evil"),
        lambda opened: add_file(opened, "/python/evil"),
        lambda opened: add_file(opened, "elsewhere/evil"),
        lambda opened: add_link(opened, "python/out", "../../.."),
        lambda opened: add_link(opened, "python/out", "/etc"),
        lambda opened: add_link(opened, "python/pipe", "", tarfile.FIFOTYPE),
        lambda opened: add_link(opened, "python/hard", "python/bin/python3", tarfile.LNKTYPE),
        lambda opened: add_link(opened, "python/hard", "/etc/passwd", tarfile.LNKTYPE),
        lambda opened: add_file(opened, "python/bin/python3"),
        lambda opened: add_file(opened, "python/bomb", bytes(80 * 1024 * 1024)),
    ],
)
def test_a_hostile_archive_is_refused(
    tmp_path: Path, tiny: Lab, monkeypatch: pytest.MonkeyPatch, add: Add
) -> None:
    """Whatever its digest: names and links that lead elsewhere, devices, duplicates, bombs."""
    data = make_stand_in(add)
    lock_stand_in(tiny, monkeypatch, data)
    archive = tmp_path / NAME
    archive.write_bytes(data)
    with pytest.raises(InstallError) as caught:
        unpack_managed(archive, load_managed(PYTHON, "linux-64"), "linux-64", folder=tmp_path / "pythons")
    assert caught.value.code == "install.archive"
    assert list((tmp_path / "pythons").iterdir()) == []
    assert find_unpacked(PYTHON, "linux-64", folder=tmp_path / "pythons") is None


def test_a_missing_python_is_said_before_anything_is_written(
    offered: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint offers the managed one; once that was unpacked, it is found without the flag."""
    monkeypatch.setattr(sys, "version_info", (3, 99, 0, "final", 0))
    monkeypatch.setitem(offered.environ, "PATH", str(offered.root))
    monkeypatch.setattr("provisioner.engines.uv.interpreter._find_with_uv", lambda *_: None)
    answer = offered.run("create", "tiny", "--no-validate", "--json")
    assert (answer.code, answer.error["code"]) == (5, "install.no_python")
    assert any("--managed-python" in hint for hint in answer.error["hints"])
    assert not offered.data.exists()
    assert offered.run("create", "tiny", "--managed-python", "--no-validate").code == 0
    assert offered.run("create", "tiny", "--rebuild", "--no-validate").code == 0


def test_a_python_that_is_not_managed_is_said(offered: Lab) -> None:
    """Before anything is written, with those that there are."""
    offered.write_profile(changes={f'python: "{PYTHON}"': 'python: "3.9"'})
    answer = offered.run("bundle", "tiny", "--managed-python", "-o", "b.tar", "--json")
    assert answer.code in {2, 4}
    assert not offered.data.exists()


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/usr/bin/python3.11").is_file(), reason="a whole Python is packed from Debian's"
)
def test_a_whole_python_is_brought_where_none_is(offered: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real interpreter with its library in a standalone build's layout works from the data folder."""

    def add(opened: tarfile.TarFile) -> None:
        opened.add("/usr/bin/python3.11", "python/bin/python3.11")
        add_link(opened, "python/bin/python3", "python3.11")
        for path in sorted(Path("/usr/lib/python3.11").rglob("*")):
            if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts:
                opened.add(path, f"python/lib/python3.11/{path.relative_to('/usr/lib/python3.11')}")

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as opened:
        add(opened)
    lock_stand_in(offered, monkeypatch, out.getvalue())
    answer = offered.run("create", "tiny", "--managed-python", "--no-validate", "--json")
    assert answer.code == 0, answer.err
    code = "import sys, tinyapp; print(sys.base_prefix)"
    program = Path(answer.data["prefix"]) / "bin" / "python"
    seen = subprocess.run([program, "-c", code], capture_output=True, check=True, text=True).stdout
    assert Path(seen.strip()).parent == offered.data / "pythons"
    assert offered.run("clean", "--all").code == 0
    assert subprocess.run([program, "-c", code], check=False, capture_output=True, text=True).stdout == seen
