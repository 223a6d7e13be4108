"""`provision bundle`, and `create --bundle` where there is no network."""

import hashlib
import io
import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from provisioner.engines.archive.bundle import BundleReader, write_bundle
from provisioner.engines.archive.bundle_manifest import BundledFile, Manifest
from provisioner.ground.file_lock import hold_file
from tests.cli.lab import Lab

NOWHERE = {"PIP_INDEX_URL": "http://127.0.0.1:1/simple", "PROVISION_NO_VALIDATE": "1"}


def bundle_tiny(lab: Lab, name: str = "tiny.tar", *more: str) -> Path:
    """Bundle `tiny` without the tool, and return the file."""
    done = lab.run("bundle", "tiny", "--no-tool", "-o", name, *more)
    assert done.code == 0, done.err
    return lab.root / name


@pytest.fixture
def bare(tiny: Lab) -> Lab:
    """Return a lab with a locked `tiny`, of which nothing was fetched."""
    return tiny


def other_machine(lab: Lab) -> Lab:
    """Return folders in which nothing of `tiny` is, of a machine that reaches no index."""
    root = lab.root / "other"
    root.mkdir()
    other = Lab(root=root, server=lab.server)
    other.environ |= NOWHERE
    return other


def rewrite(path: Path, changes: dict[str, bytes | None]) -> None:
    """Write a bundle again with other files, as somebody would who means harm: manifest and tar are right."""
    with BundleReader(path) as reader:
        old = reader.manifest
        files = {file.path: b"".join(reader.stream(file)) for file in old.files}
    for place, data in changes.items():
        files.pop(place, None)
        if data is not None:
            files[place] = data
    listed = tuple(
        BundledFile(path=place, size=len(files[place]), sha256=hashlib.sha256(files[place]).hexdigest())
        for place in sorted(files)
    )
    manifest = Manifest(tool=old.tool, profiles=old.profiles, platforms=old.platforms, files=listed)
    with path.open("wb") as out:
        write_bundle(out, manifest, files)


def find_member(path: Path, part: str) -> tuple[str, bytes]:
    """Return path and bytes of the one member whose path ends so."""
    with BundleReader(path) as reader:
        (file,) = [file for file in reader.manifest.files if file.path.endswith(part)]
        return file.path, b"".join(reader.stream(file))


def test_an_environment_is_built_from_a_bundle_without_network(bare: Lab) -> None:
    """Nothing but the file is needed: no profile, no lockfile, no index, and no name where it has one."""
    path = bundle_tiny(bare)
    other = other_machine(bare)
    asked = len(bare.server.requests)
    built = other.run("create", "--bundle", str(path), "--json")
    assert built.code == 0, built.err
    assert len(bare.server.requests) == asked
    prefix = Path(built.data["prefix"])
    assert list(prefix.rglob("tinyapp*"))
    again = other.run("create", "tiny", "--bundle", str(path), "--json")
    assert again.data["prefix"] == built.data["prefix"]
    # it keeps profile and lockfile, so that it can be built again without the bundle
    assert other.run("repair", "tiny", "--offline").code == 0


def test_the_same_locks_give_the_same_bytes(bare: Lab) -> None:
    """Also from another store, and over what a killed run left beside the file."""
    path = bundle_tiny(bare)
    first = path.read_bytes()
    shutil.rmtree(bare.data)
    (bare.root / ".tiny.tar.provision-tmp").write_bytes(b"half" * 99_999)
    (bare.root / ".tiny.tar.lock").touch()
    answer = bare.run("bundle", "tiny", "--no-tool", "-o", "tiny.tar", "--json")
    assert path.read_bytes() == first
    assert answer.data["sha256"] == hashlib.sha256(first).hexdigest()
    assert answer.data["bytes"] == len(first)
    assert [each.name for each in bare.root.iterdir() if each.name.startswith(".")] == []


def test_a_bundle_lists_and_checks_itself(bare: Lab) -> None:
    """`--list` gives every member with size and digest; `--check` has compared all of them."""
    path = bundle_tiny(bare)
    members = bare.run("bundle", "--list", str(path), "--json").data["members"]
    with tarfile.open(path) as opened:
        there = {member.name: member.size for member in opened if member.name != "manifest.json"}
    assert {member["path"]: member["bytes"] for member in members} == there
    checked = bare.run("bundle", "--check", "tiny.tar", "--json")
    assert checked.data["packages"] == 2
    assert checked.data["profiles"] == ["tiny"]
    assert checked.data["platforms"] == ["linux-64"]


def test_unpacked_it_is_an_index(bare: Lab) -> None:
    """A static server of the folder gives pip and us the files: here our own tool reads it over ``file:``."""
    path = bundle_tiny(bare)
    folder = bare.root / "folder"
    with tarfile.open(path) as opened:
        opened.extraction_filter = getattr(tarfile, "data_filter", None)  # none before 3.11.4
        opened.extractall(folder)  # noqa: S202 - of our own making
    other = other_machine(bare)
    other.copy_tiny(bare)
    origin = f"{bare.server.url}/"
    mirrored = (folder / "web" / f"127.0.0.1+{origin.rstrip('/').rpartition(':')[2]}").as_uri()
    (other.root / "mirrors.json").write_text(json.dumps({origin: f"{mirrored}/"}))
    asked = len(bare.server.requests)
    built = other.run(
        *("create", "tiny", "--mirrors", "mirrors.json", "--json"),
        PIP_INDEX_URL=(folder / "pypi" / "simple").as_uri(),
    )
    assert built.code == 0, built.err
    assert len(bare.server.requests) == asked


@pytest.mark.parametrize("part", ["tinyapp-1.0-py3-none-any.whl", "torch-2.13.0+cpu-py3-none-any.whl"])
def test_a_package_that_is_not_the_locked_one_is_never_installed(bare: Lab, part: str) -> None:
    """A manifest that agrees with a changed wheel helps nothing: the lock decides."""
    path = bundle_tiny(bare)
    place, data = find_member(path, part)
    rewrite(path, {place: data + b"x"})
    checked = bare.run("bundle", "--check", str(path), "--json")
    assert (checked.code, checked.error["code"]) == (5, "install.bundle")
    assert f"`{place}` is not the locked file" in checked.error["message"]
    other = other_machine(bare)
    built = other.run("create", "--bundle", str(path), "--json")
    assert (built.code, built.error["code"]) == (8, "unavailable.offline")
    assert not (other.data / "environments" / "tiny" / "current").exists()


def test_a_damaged_package_in_a_bundle_is_never_installed(bare: Lab) -> None:
    """One changed byte of a wheel ends the build, and the bundle is named."""
    path = bundle_tiny(bare)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x03\x04") + 20] ^= 1
    path.write_bytes(data)
    other = other_machine(bare)
    built = other.run("create", "--bundle", str(path), "--json")
    assert (built.code, built.error["code"]) == (5, "install.bundle")
    assert "has sha256" in built.error["message"]
    assert not (other.data / "environments" / "tiny" / "current").exists()


def test_a_hostile_wheel_in_a_bundle_is_refused(bare: Lab) -> None:
    """The scan of archives looks into what a bundle brings, whatever its lockfile says."""
    path = bundle_tiny(bare)
    place, wheel = find_member(path, "tinyapp-1.0-py3-none-any.whl")
    evil = io.BytesIO(wheel)
    with zipfile.ZipFile(evil, "a") as opened:
        opened.writestr("../../evil", "x")
    lockfile, text = find_member(path, ".conda-lock.yml")
    digest = hashlib.sha256(evil.getvalue()).hexdigest().encode()
    text = text.replace(hashlib.sha256(wheel).hexdigest().encode(), digest)
    text = text.replace(
        f"{Path(place).name} {len(wheel)}".encode(), f"{Path(place).name} {len(evil.getvalue())}".encode()
    )
    rewrite(path, {place: evil.getvalue(), lockfile: text})
    for answer in (
        bare.run("bundle", "--check", str(path), "--json"),
        other_machine(bare).run("create", "--bundle", str(path), "--json"),
    ):
        assert (answer.code, answer.error["code"]) == (5, "install.archive")


def test_pages_that_lead_elsewhere_are_found(bare: Lab) -> None:
    """A page that a web server would serve says what the lockfiles say, or `--check` tells."""
    path = bundle_tiny(bare)
    place, page = find_member(path, "simple/tinyapp/index.html")
    rewrite(path, {place: page.replace(b'href="', b'href="https://evil.example.org/')})
    answer = bare.run("bundle", "--check", str(path), "--json")
    assert answer.code == 5
    assert f"`{place}` is not what its lockfiles say" in answer.error["message"]
    rewrite(path, {place: page})
    assert bare.run("bundle", "--check", str(path)).code == 0
    place, metadata = find_member(path, "tinyapp-1.0-py3-none-any.whl.metadata")
    rewrite(path, {place: metadata + b"Requires-Dist: evil\n"})
    answer = bare.run("bundle", "--check", str(path), "--json")
    assert f"`{place}` is not what its lockfiles say" in answer.error["message"]
    rewrite(path, {place: metadata, "web/evil.example.org/x.whl": b"x"})
    answer = bare.run("bundle", "--check", str(path), "--json")
    assert "`web/evil.example.org/x.whl` is not what" in answer.error["message"]


def test_a_bundle_without_what_its_lock_names_is_told_at_once(bare: Lab) -> None:
    """All missing files are named."""
    path = bundle_tiny(bare)
    places = [
        find_member(path, part)[0]
        for part in ("tinyapp-1.0-py3-none-any.whl", "torch-2.13.0+cpu-py3-none-any.whl")
    ]
    rewrite(path, dict.fromkeys(places))
    answer = bare.run("bundle", "--check", str(path), "--json")
    assert answer.code == 5
    assert len(answer.document["errors"]) == 2


def test_what_cannot_be_bundled_is_said_before_anything_is_written(bare: Lab) -> None:
    """A stale lockfile, a platform that is not locked, an unknown profile, no file, no such folder."""
    cases = {
        "usage.bundle_output": ("bundle", "tiny"),
        "profile.not_found": ("bundle", "tinny", "-o", "x.tar"),
        "usage.output": ("bundle", "tiny", "-o", "nowhere/x.tar"),
        "lock.platform": ("bundle", "tiny", "--no-tool", "-o", "x.tar", "--platform", "win-64"),
        "usage.bundle_file": ("bundle", "--check", "x.tar", "y.tar"),
        "usage.no_bundle": ("bundle", "--list", "x.tar"),
        "usage.bundle_lock": ("create", "--bundle", "x.tar", "--lock"),
    }
    for code, command in cases.items():
        assert bare.run(*command, "--json").error["code"] == code
    bare.write_profile(changes={"tinyapp": "tinyapp==1.0"})
    assert bare.run("bundle", "tiny", "--no-tool", "-o", "x.tar", "--json").code == 4
    assert not (bare.root / "x.tar").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_takes_no_file_is_told_before_a_byte(bare: Lab) -> None:
    """Nothing is fetched for a bundle that cannot be written, and no other data folder is blamed."""
    closed = bare.root / "closed"
    closed.mkdir(mode=0o500)
    asked = len(bare.server.requests)
    answer = bare.run("bundle", "tiny", "--no-tool", "-o", "closed/x.tar", "--json")
    assert (answer.code, answer.error["code"]) == (2, "usage.output")
    assert "you may not write into its folder" in answer.error["message"]
    assert len(bare.server.requests) == asked


def test_the_command_for_the_other_machine_is_one_word_a_name(bare: Lab) -> None:
    """A bundle's name with spaces stands in quotes, so that the line can be pasted."""
    shown = bare.run("bundle", "tiny", "--no-tool", "-o", "my tiny.tar")
    assert shown.code == 0
    assert 'provision create --bundle "my tiny.tar"\n' in shown.out


def test_without_network_every_missing_file_is_named(bare: Lab) -> None:
    """Offline and with an empty store there is no bundle, and exit 8."""
    answer = bare.run("bundle", "tiny", "--no-tool", "-o", "x.tar", "--offline", "--json")
    assert answer.code == 8
    assert not (bare.root / "x.tar").exists()


def test_two_writers_of_one_bundle_do_not_mix(bare: Lab) -> None:
    """The second is told that it is being written."""
    bundle_tiny(bare)
    with hold_file(bare.root / ".tiny.tar.lock", timeout_s=0.0):
        answer = bare.run("bundle", "tiny", "--no-tool", "-o", "tiny.tar", "--json")
    assert (answer.code, answer.error["code"]) == (9, "busy.bundle")


def test_a_bundle_of_several_profiles_asks_for_a_name(bare: Lab) -> None:
    """Files that they share are in it once."""
    bare.write_profile("small")
    assert bare.run("lock", "small").code == 0
    assert bare.run("bundle", "tiny", "small", "--no-tool", "-o", "two.tar").code == 0
    other = other_machine(bare)
    answer = other.run("create", "--bundle", str(bare.root / "two.tar"), "--json")
    assert (answer.code, answer.error["code"]) == (2, "usage.bundle_profile")
    assert answer.error["context"]["profiles"] == ["small", "tiny"]
    assert other.run("create", "small", "--bundle", str(bare.root / "two.tar")).code == 0
    assert bare.run("bundle", "--check", "two.tar").code == 0


def test_dry_run_names_the_bundle_as_the_source(bare: Lab) -> None:
    """Nothing is made."""
    path = bundle_tiny(bare)
    other = other_machine(bare)
    answer = other.run("create", "--bundle", str(path), "--dry-run", "--json")
    assert {each["from"] for each in answer.data["fetch"]} == {str(path)}
    assert not other.data.exists()
