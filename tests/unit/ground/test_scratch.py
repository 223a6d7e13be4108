"""Temporary folders of dead processes are found, and nobody else's."""

import contextlib
import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provisioner.ground.scratch import _LOCK, find_dead_scratch, hold_folder, hold_scratch

_HOLD = """
import sys, time
from pathlib import Path
from provisioner.ground.scratch import hold_scratch
with hold_scratch("wheels", parent=Path(sys.argv[1])) as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_a_folder_is_there_and_goes(tmp_path: Path) -> None:
    """It is empty, and gone with everything in it after the block."""
    with hold_scratch("uv", parent=tmp_path) as folder:
        assert list(folder.iterdir()) == []
        (folder / "file").write_text("x", encoding="utf-8")
        assert find_dead_scratch(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_others_put_something_back_into_fails_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks for dead folders may make the lock again meanwhile, and then deletes the folder."""

    def refuse(path: object, **_: object) -> None:
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(path))

    with hold_scratch("uv", parent=tmp_path):
        monkeypatch.setattr(os, "rmdir", refuse)
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_held_folder_is_empty_and_stays_only_after_a_stop(tmp_path: Path) -> None:
    """What a killed holder left goes first; an error and the end delete, a stop is quick."""
    folder = tmp_path / "folder"
    for ending in (ValueError, KeyboardInterrupt, None):
        (folder / "left").mkdir(parents=True)
        with contextlib.suppress(ValueError, KeyboardInterrupt), hold_folder(folder):
            assert not folder.exists()
            folder.mkdir()
            if ending is not None:
                raise ending
        assert folder.exists() == (ending is KeyboardInterrupt)


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_the_folder_of_a_killed_process_is_found(tmp_path: Path) -> None:
    """While the process lives it is not."""
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip()).parent
        assert find_dead_scratch(tmp_path) == ()
        process.kill()
    assert find_dead_scratch(tmp_path) == (folder,)


def test_the_folder_of_a_process_killed_while_it_deleted_is_found(tmp_path: Path) -> None:
    """Its lock is gone, and nobody takes a minute to delete the rest or to make the lock."""
    folder = tmp_path / "provision-wheels-abcdefgh"
    (folder / "work").mkdir(parents=True)
    assert find_dead_scratch(tmp_path) == ()
    minutes_ago = time.time() - 120
    os.utime(folder, (minutes_ago, minutes_ago))
    assert find_dead_scratch(tmp_path) == (folder,)


def test_a_lock_that_is_none_is_left_alone(tmp_path: Path) -> None:
    """Somebody put a folder where our lock is: not ours, and no reason for `clean` to stop."""
    (tmp_path / "provision-uv-abcdefgh" / _LOCK).mkdir(parents=True)
    assert find_dead_scratch(tmp_path) == ()


@pytest.mark.parametrize("name", ["provision-bench-x", "provision-uv-abcdefgh.txt", "other-uv-abcdefgh"])
def test_folders_of_other_names_are_left_alone(tmp_path: Path, name: str) -> None:
    """Only what we name so is ours."""
    (tmp_path / name).mkdir()
    os.utime(tmp_path / name, (0, 0))
    assert find_dead_scratch(tmp_path) == ()


def test_a_link_and_a_young_folder_are_left_alone(tmp_path: Path) -> None:
    """A link is followed nowhere; a folder without its lock yet may have just been made, or is long dead."""
    (tmp_path / "provision-uv-linklink").symlink_to(tmp_path)
    young, old = tmp_path / "provision-uv-youngone", tmp_path / "provision-uv-old_one_"
    young.mkdir()
    old.mkdir()
    os.utime(old, (0, 0))
    assert find_dead_scratch(tmp_path) == (old,)


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    """Looking makes nothing."""
    assert find_dead_scratch(tmp_path / "absent") == ()
