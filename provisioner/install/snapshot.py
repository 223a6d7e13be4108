"""What is cheap to see of an environment's packages: taken when it is built, compared when nothing is to do.

Kept are the number of files of every package folder, and size, time and inode of the files beside them:
single modules, and those that Python runs at every start. A file that was edited in its folder is not seen
here; ``validate`` compares every file's digest.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

SNAPSHOT_NAME = "provision-snapshot.json"
_SITES = ("lib/python3*/site-packages", "Lib/site-packages")
_BYTECODE = "__pycache__"  # Python writes it when a module is first imported


def take_snapshot(prefix: Path) -> dict[str, list[int]]:
    """Return what is in ``site-packages``: a folder's number of files, a file's size, time and inode."""
    found: dict[str, list[int]] = {}
    for site in (site for pattern in _SITES for site in prefix.glob(pattern)):
        with os.scandir(site) as entries:
            for entry in entries:
                if entry.name == _BYTECODE:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    found[entry.name] = [_count_files(entry.path)]
                else:
                    status = entry.stat(follow_symlinks=False)
                    found[entry.name] = [status.st_size, status.st_mtime_ns, status.st_ino]
    return found


def format_snapshot(snapshot: Mapping[str, list[int]]) -> str:
    """Return the snapshot's text."""
    return json.dumps(snapshot, sort_keys=True) + "\n"


def find_changed(prefix: Path) -> tuple[str, ...]:
    """Return the entries that are not as they were when the environment was built.

    Nothing is found where it was built before there were snapshots.
    """
    try:
        before = json.loads((prefix / SNAPSHOT_NAME).read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError):
        return (SNAPSHOT_NAME,)
    now = take_snapshot(prefix)
    if before == now:
        return ()
    return tuple(sorted(name for name in {*before, *now} if before.get(name) != now.get(name)))


def _count_files(folder: str) -> int:
    """Return how many files a folder and those in it hold, without bytecode."""
    count, waiting = 0, [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    count += 1
                elif entry.name != _BYTECODE:
                    waiting.append(entry.path)
    return count
