"""Delete folders with everything in them, and measure before what that frees.

Below the folder that is named, ``remove_tree`` looks folders up by their paths: whoever may write there could
meanwhile put a link in a folder's place, and we would delete behind it. So it is for places where no other
user writes: the data folder, which is checked before (``make_private_folder``), and what lies in it. (A group
that its owner lets write there could also change the programs that the owner starts from there.) Elsewhere
there is ``remove_among_others``. A link that either finds is deleted and never followed.
"""

import os
import shutil
import stat
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from provisioner.ground.patience import act_patiently

_DELETING_AT_ONCE = 8


def measure_tree(*paths: Path) -> int:
    """Return the bytes that deleting folders and files frees: files that others link to are not among them.

    What stands below two of the paths counts once.
    """
    sizes: dict[tuple[int, int], int] = {}
    links: dict[tuple[int, int], int] = {}
    # others may delete there meanwhile: `os.walk` goes on where a folder is gone
    walked = (each for path in paths if not path.is_symlink() for each in os.walk(path))
    below = [Path(place, name) for place, folders, files in walked for name in (*folders, *files)]
    for file in {*paths, *below}:
        try:
            status = file.lstat()
        except OSError:
            continue  # gone meanwhile
        if not stat.S_ISDIR(status.st_mode):
            key = (status.st_dev, status.st_ino)
            sizes[key] = status.st_size
            links[key] = links.get(key, status.st_nlink) - 1
    return sum(size for key, size in sizes.items() if links[key] <= 0)


def remove_tree(path: Path) -> None:
    """Delete a folder with everything in it, or a file, in a place where only we write.

    Raises:
        OSError: Something in it could not be deleted.
    """
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    elif sys.platform == "win32" and path.exists():  # 3.11 cannot tell a junction there from a folder
        act_patiently(lambda: _remove_folder(path))
    elif path.exists():
        _remove_by_level(path)


def remove_among_others(path: Path) -> None:
    """Delete a folder that lies where others may write, such as the system's folder for temporary ones.

    Each folder is opened from the one above it, so that no link that is put there meanwhile leads elsewhere;
    on Windows, which cannot, such places are the user's own.

    Raises:
        OSError: Something in it could not be deleted.
    """
    with suppress(FileNotFoundError):  # another process deletes it, too
        act_patiently(lambda: shutil.rmtree(path))


def _remove_by_level(path: Path) -> None:
    """Delete a folder from its deepest folders up, several at once.

    Most of that time is waiting: on network file systems, and on disks that are told of every freed block.
    """
    levels: list[list[str | Path]] = [[path]]
    while levels[-1]:
        levels.append([below for folder in levels[-1] for below in _list_folders(folder)])
    pool = ThreadPoolExecutor(_DELETING_AT_ONCE)
    try:
        for level in reversed(levels):
            for _ in pool.map(_remove_folder, level):
                pass
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # an interrupt waits for nobody


def _list_folders(folder: str | Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # closed to us: whoever deletes it opens it
        return []


def _remove_folder(path: str | Path) -> None:
    shutil.rmtree(path, onerror=_make_writable_and_retry)


def _make_writable_and_retry(function: Callable[[str], Any], name: str, info: Any) -> None:
    """Packages bring folders and files that are read-only."""
    path = Path(name)
    if isinstance(info[1], FileNotFoundError):
        return
    with suppress(OSError):
        path.parent.chmod(0o700)
        if not path.is_symlink():
            path.chmod(0o700)
    function(name)
