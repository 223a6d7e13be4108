"""Temporary folders whose owner can be asked for: those of killed processes are found and deleted."""

import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from provisioner.errors import InstallError
from provisioner.ground.deletion import remove_tree
from provisioner.ground.file_lock import hold_file

_NAME = re.compile(r"provision-[a-z]+-[a-z0-9_]{8}")
_LOCK = "lock"
# A folder has no lock for a moment after it was made, and before it is deleted.
_LONG_DEAD_S = 60.0


@contextmanager
def hold_scratch(kind: str, *, parent: Path | None = None) -> Iterator[Path]:
    """Yield an empty temporary folder, and delete it.

    Args:
        kind: A word for its name, in small letters.
        parent: Where it is made; None: the system's folder for such.
    """
    with (
        # whoever looks for dead ones may put the lock back while it is deleted: then that one deletes it
        tempfile.TemporaryDirectory(
            prefix=f"provision-{kind}-", dir=parent, ignore_cleanup_errors=True
        ) as folder,
        hold_file(Path(folder, _LOCK), timeout_s=0.0),
    ):
        work = Path(folder, "work")
        work.mkdir()
        yield work


@contextmanager
def hold_folder(folder: Path) -> Iterator[Path]:
    """Yield the name of an absent folder, and delete what is put there; the caller keeps others away.

    A stop deletes nothing, because it must be quick: the next holder of the name or `clean` does.
    """
    remove_tree(folder)
    try:
        yield folder
    except Exception:  # not `BaseException`: a stop must be quick
        with suppress(OSError):  # the error that is on its way says more
            remove_tree(folder)
        raise
    with suppress(OSError):  # what was made there is done with; the next holder deletes what stays
        remove_tree(folder)


def find_dead_scratch(parent: Path | None = None) -> tuple[Path, ...]:
    """Return the temporary folders of ours whose process has died."""
    root = parent or Path(tempfile.gettempdir())
    if not root.is_dir():
        return ()
    return tuple(path for path in sorted(root.iterdir()) if _NAME.fullmatch(path.name) and _is_dead(path))


def _is_dead(path: Path) -> bool:
    try:
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or (sys.platform != "win32" and status.st_uid != os.geteuid()):
            return False
        if not (path / _LOCK).exists():
            return time.time() - status.st_mtime > _LONG_DEAD_S
        with hold_file(path / _LOCK, timeout_s=0.0) as held:
            return held
    except (FileNotFoundError, InstallError):  # just deleted by its process; or its lock is none of ours
        return False
