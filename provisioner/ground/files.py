"""Folders and files that a crash, another user or another process must not spoil."""

import errno
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from provisioner.errors import InstallError

_PATIENCE_S = 10.0
_FULL = {errno.ENOSPC, errno.EDQUOT}


def make_private_folder(path: Path) -> Path:
    """Create ``path`` for us alone, or check that it is a real folder of ours that nobody else may write to.

    Raises:
        InstallError: ``install.folder``: it cannot be made, is a link, is another user's or open to all.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat()
    except OSError as error:
        raise _refused(path, (error.strerror or str(error)).lower()) from error
    if not stat.S_ISDIR(status.st_mode):
        raise _refused(path, "it is not a folder but a link or a file")
    if sys.platform != "win32":  # there the folder's access list is inherited from the user's own
        if status.st_uid != os.geteuid():
            raise _refused(path, "it belongs to another user")
        if status.st_mode & stat.S_IWOTH:
            raise _refused(path, "every user may write to it")
    return path


def write_atomically(path: Path, text: str) -> None:
    """Replace the file at ``path``; after a crash it holds the old text or the new one, never a part.

    Raises:
        OSError: It could not be written.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def replace(source: Path, target: Path) -> None:
    """Move a file over another; on Windows again while a virus scanner or an indexer holds one of them."""
    _patiently(lambda: source.replace(target))


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Delete a folder with everything in it; a link is deleted, never followed.

    Raises:
        OSError: Something in it could not be deleted.
    """
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        _patiently(lambda: shutil.rmtree(path, onerror=_make_writable_and_retry))


def disk_error(path: Path, error: OSError) -> InstallError:
    """Build the error for a file system that refuses to take what we write."""
    full = error.errno in _FULL
    return InstallError(
        "install.disk_full" if full else "install.disk",
        f"could not write `{error.filename or path}`: {(error.strerror or str(error)).lower()}",
        hints=["free some space, or choose another data folder with `--data-dir`"]
        if full
        else ["mend the permissions, or choose another data folder with `--data-dir`"],
        context={"path": str(error.filename or path)},
    )


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


def _patiently(action: Callable[[], object]) -> None:
    """Run ``action``; on Windows again for ten seconds while another program holds a file."""
    deadline = time.monotonic() + (_PATIENCE_S if sys.platform == "win32" else 0.0)
    pause_s = 0.05
    while True:
        try:
            action()
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 1.0)
        else:
            return


def _refused(path: Path, why: str) -> InstallError:
    return InstallError(
        "install.folder",
        f"the folder `{path}` cannot be used: {why}",
        hints=["remove it or mend its owner and permissions", "choose another data folder with `--data-dir`"],
        context={"path": str(path)},
    )
