"""Environments are found, listed and deleted by our own marks alone."""

import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import InstallError, UsageError
from provisioner.ground.files import make_private_folder, write_atomically
from provisioner.install.generations import (
    EnvironmentHome,
    find_current_name,
    find_environment,
    find_generation_folders,
    list_environments,
    list_generations,
    next_number,
    prepare_environment,
    publish,
)
from provisioner.install.receipt import RECEIPT_NAME, Receipt, format_receipt
from provisioner.install.removal import list_unbuilt, remove_environment, remove_generation, remove_leftovers

RECEIPT = Receipt(
    environment="demo",
    profile="demo",
    fingerprint="f" * 64,
    platform="linux-64",
    base="venv",
    python="3.11.7",
    prefix="",
    created_at="2026-01-01T00:00:00+00:00",
)


@pytest.fixture
def home(tmp_path: Path) -> EnvironmentHome:
    """An empty data folder."""
    return EnvironmentHome(data=tmp_path / "data")


def add(home: EnvironmentHome, number: int, name: str = "demo", *, receipt: bool = True) -> Path:
    folder = prepare_environment(home, name) / f"{number}-{'f' * 8}"
    folder.mkdir()
    if receipt:
        text = format_receipt(replace(RECEIPT, environment=name, prefix=str(folder)))
        (folder / RECEIPT_NAME).write_text(text, encoding="utf-8")
    return folder


def test_nothing_is_found_where_nothing_is(home: EnvironmentHome) -> None:
    """Looking creates nothing."""
    assert find_environment(home, "demo") is None
    assert list(list_environments(home)) == []
    assert not home.data.exists()


def test_the_pointer_decides(home: EnvironmentHome) -> None:
    """A complete generation is current when the pointer says so, not before."""
    folder = add(home, 1)
    assert find_environment(home, "demo") is None
    publish(home, "demo", folder.name)
    found = find_environment(home, "demo")
    assert found is not None
    assert (found.number, found.prefix) == (1, folder)
    assert find_current_name(home, "demo") == folder.name
    assert next_number(home, "demo") == 2


@pytest.mark.parametrize(
    "text", ["", "\n", "../../x", "/etc", "1-ffffffff/..", "0-ffffffff", "1-FFFFFFFF", "\x00", "9-ffffffff"]
)
def test_a_damaged_pointer_is_told_and_followed_nowhere(home: EnvironmentHome, text: str) -> None:
    """Only the name of a generation that is there counts."""
    add(home, 1)
    (home.environment("demo") / "current").write_text(text, encoding="utf-8")
    with pytest.raises(InstallError) as caught:
        find_environment(home, "demo")
    assert caught.value.code == "install.receipt"
    assert caught.value.hints
    ((name, found),) = list_environments(home)
    assert name == "demo"
    assert isinstance(found, InstallError)


def test_a_moved_environment_is_told(home: EnvironmentHome, tmp_path: Path) -> None:
    """Scripts and libraries contain the path, so a copy elsewhere is not usable."""
    publish(home, "demo", add(home, 1).name)
    moved = tmp_path / "moved"
    home.data.rename(moved)
    with pytest.raises(InstallError, match="works only there") as caught:
        find_environment(EnvironmentHome(data=moved), "demo")
    assert caught.value.code == "install.moved"


def test_leftovers_are_the_generations_without_receipt(home: EnvironmentHome) -> None:
    """What a dead builder left goes; complete generations and foreign files stay."""
    done, left = add(home, 1), add(home, 2, receipt=False)
    (left / "x").write_text("x", encoding="utf-8")
    foreign = home.generations("demo") / "notes"
    foreign.mkdir()
    assert remove_leftovers(home, "demo") == 1
    assert not left.exists()
    assert done.exists()
    assert foreign.exists()


def test_a_launcher_that_was_being_written_is_a_leftover(home: EnvironmentHome) -> None:
    """Whoever died while it wrote one leaves a file with a temporary name; the launchers stay."""
    publish(home, "demo", add(home, 1).name)
    launchers = home.environment("demo") / "bin"
    launchers.mkdir()
    for name in ("python", ".python.x_1.provision-tmp"):
        (launchers / name).touch()
    remove_leftovers(home, "demo")
    assert [path.name for path in launchers.iterdir()] == ["python"]


def test_a_deleted_generation_is_gone(home: EnvironmentHome) -> None:
    """The others stay, and which one is current."""
    folders = [add(home, number) for number in (1, 2, 10)]
    publish(home, "demo", folders[0].name)
    remove_generation(folders[1])
    assert [generation.number for generation in list_generations(home, "demo")] == [1, 10]
    assert find_generation_folders(home, "demo") == [folders[0], folders[2]]


@pytest.mark.parametrize("left", [(), (".provision-environment.json.x_1.provision-tmp",)])
def test_a_folder_whose_maker_died_is_ours(home: EnvironmentHome, left: tuple[str, ...]) -> None:
    """It may have died before the mark was there: the next build goes on, and what it left is deleted."""
    folder = home.environment("demo")
    folder.mkdir(parents=True)
    for name in left:
        (folder / name).write_text("{", encoding="utf-8")
    assert list_unbuilt(home) == ("demo",)
    prepare_environment(home, "demo")
    assert sorted(path.name for path in folder.iterdir()) == ["generations", "provision-environment.json"]


@pytest.mark.parametrize("name", ["../x", "/x", "..", ".", "", "a/b", "a\\b", "con", "-x", "~"])
def test_a_name_is_never_a_path(home: EnvironmentHome, name: str) -> None:
    """Looking for and deleting by a hostile name is a usage error."""
    home.data.mkdir()
    victim = home.data.parent / "x"
    victim.mkdir()
    for action in (find_environment, remove_environment, prepare_environment):
        with pytest.raises(UsageError):
            action(home, name)
    assert victim.is_dir()


def test_only_marked_folders_are_deleted(home: EnvironmentHome) -> None:
    """A folder that we did not make is neither built in nor deleted nor listed."""
    folder = home.environment("demo")
    folder.mkdir(parents=True)
    (folder / "precious").write_text("x", encoding="utf-8")
    for action in (remove_environment, prepare_environment):
        with pytest.raises(InstallError) as caught:
            action(home, "demo")
        assert caught.value.code == "install.foreign"
    assert (folder / "precious").exists()
    assert list(list_environments(home)) == []


def test_a_link_in_an_environments_place_is_not_followed(home: EnvironmentHome, tmp_path: Path) -> None:
    """Deleting an environment never reaches what a link points to."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "precious").write_text("x", encoding="utf-8")
    home.environment("demo").parent.mkdir(parents=True)
    home.environment("demo").symlink_to(target)
    for action in (remove_environment, prepare_environment):
        with pytest.raises(InstallError):
            action(home, "demo")
    assert (target / "precious").exists()


def test_links_inside_an_environment_are_deleted_and_not_followed(
    home: EnvironmentHome, tmp_path: Path
) -> None:
    """The data of a linked folder survives."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "precious").write_text("x", encoding="utf-8")
    folder = add(home, 1)
    for place in (folder, folder / "deep" / "er"):
        place.mkdir(parents=True, exist_ok=True)
        (place / "link").symlink_to(target)
    remove_environment(home, "demo")
    assert not folder.exists()
    assert (target / "precious").exists()


def test_folders_of_ours_are_for_us_alone(tmp_path: Path) -> None:
    """Whatever the umask: nobody else writes where we trust what we find."""
    old = os.umask(0)
    try:
        folder = make_private_folder(tmp_path / "ours")
    finally:
        os.umask(old)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["open", "link", "file"])
def test_folders_that_others_control_are_refused(tmp_path: Path, kind: str) -> None:
    """A world-writable folder, a link and a file in its place are refused with a remedy."""
    place = tmp_path / "place"
    if kind == "open":
        place.mkdir()
        place.chmod(0o777)
    elif kind == "link":
        (tmp_path / "target").mkdir()
        place.symlink_to(tmp_path / "target")
    else:
        place.write_text("", encoding="utf-8")
    with pytest.raises(InstallError, match="place") as caught:
        make_private_folder(place)
    assert caught.value.code == "install.folder"
    assert caught.value.hints


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root on POSIX can give a folder away"
)
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    """Another user could have put anything there."""
    place = tmp_path / "place"
    place.mkdir()
    if sys.platform != "win32":
        os.chown(place, 12345, 12345)
    with pytest.raises(InstallError, match="another user"):
        make_private_folder(place)


def test_a_text_is_replaced_in_one_step(tmp_path: Path) -> None:
    """No part of the temporary file stays, also when writing fails."""
    path = tmp_path / "text"
    write_atomically(path, "old")
    write_atomically(path, "new")
    assert path.read_text(encoding="utf-8") == "new"
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert [entry.name for entry in tmp_path.iterdir()] == ["text"]
