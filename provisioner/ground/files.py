"""Folders and files that a crash, another user or another process must not spoil."""

import errno
import glob
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from provisioner.errors import InstallError
from provisioner.ground.patience import act_patiently
from provisioner.ground.refusals import ANOTHER_DATA_FOLDER, DISK_FAULTS, disk_error

if sys.platform == "win32":
    import _winapi

_TEMPORARY_SUFFIX = ".provision-tmp"
# No writer of ours takes that long for one file.
_DEAD_AFTER_S = 600.0


def make_private_folder(path: Path, *, instead: str = ANOTHER_DATA_FOLDER) -> Path:
    """Create ``path`` for us alone, or check that it is a real folder of ours that nobody else may write to.

    Missing folders on the way are made for us alone, too; ``instead`` is what else the user can do.

    Raises:
        InstallError: ``install.folder``: it cannot be made, is a link, is another user's or open to all.
    """
    try:
        # one by one: `parents=True` would make those before the last for everybody
        for folder in reversed([path, *(parent for parent in path.parents if not parent.exists())]):
            folder.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
    except OSError as error:
        if error.errno in DISK_FAULTS:
            raise disk_error(path, error, instead=instead) from error
        raise _unmade(path, error, instead) from error
    if not stat.S_ISDIR(status.st_mode):
        raise _refused(path, "it is not a folder but a link or a file", instead)
    if sys.platform != "win32":  # there the folder's access list is inherited from the user's own
        if status.st_uid != os.geteuid():
            raise _refused(path, "it belongs to another user", instead)
        if status.st_mode & stat.S_IWOTH:
            raise _refused(path, "every user may write to it", instead)
    return path


class NotRegularError(OSError):
    """The path names a pipe, a device, a folder, or a link that is not followed."""


def read_file(path: Path, *, max_bytes: int, follow_links: bool = True) -> bytes:
    """Return a regular file's content, at most one byte more than ``max_bytes``.

    The kind is asked before the file is opened (opening a pipe waits for its writer) and again afterwards
    (the file may have been replaced meanwhile).

    Raises:
        NotRegularError: It is not a regular file.
        OSError: It could not be read.
    """
    if not stat.S_ISREG((path.stat() if follow_links else path.lstat()).st_mode):
        raise _not_regular(path)
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags if follow_links else flags | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise _not_regular(path) if error.errno == errno.ELOOP and not follow_links else error from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise _not_regular(path)
        return file.read(max_bytes + 1)


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o600, sync: bool = True) -> None:
    """Replace the file at ``path``; a reader finds the old content or the new one, never a part.

    What a killed writer of it has left is deleted.

    Args:
        path: The file; its folder exists.
        content: Text is written as UTF-8, line ends as they are.
        mode: Permissions of the new file.
        sync: Whether the promise holds after a crash of the machine, too; a cache does without.

    Raises:
        OSError: It could not be written.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_TEMPORARY_SUFFIX, dir=path.parent)
    except OSError as error:
        error.filename = str(path)  # and not the temporary one
        raise
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content.encode() if isinstance(content, str) else content)
            out.flush()
            if sync:
                os.fsync(out.fileno())
        if mode != 0o600:  # what ``mkstemp`` gives
            temporary.chmod(mode)
        replace(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError):
            error.filename = str(path)  # a failed write names no file, and a rename the temporary one
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        with suppress(OSError):
            remove_dead_temporaries(path.parent.glob(f".{glob.escape(path.name)}.*"))
        sync_folder(path.parent)


def remove_dead_temporaries(
    paths: Iterable[Path], *, remove: Callable[[Path], object] | None = None
) -> tuple[Path, ...]:
    """Delete those of the paths that a writer has left that was killed, and return them.

    ``remove`` is called in place of deleting.

    Raises:
        OSError: One could not be deleted.
    """
    before = time.time() - _DEAD_AFTER_S
    removed = []
    for path in paths:
        with suppress(FileNotFoundError):
            if is_temporary(path.name) and path.lstat().st_mtime < before:
                (remove or Path.unlink)(path)
                removed.append(path)
    return tuple(removed)


def link_folder(path: Path, target: str) -> None:
    """Let ``path`` be a link to a folder beside it, in one step where the system can.

    Windows gets a junction, which needs no rights, other than its links; it is replaced in two steps.

    Args:
        path: The link; another link there is replaced.
        target: The folder, seen from the link's.

    Raises:
        OSError: It could not be made.
    """
    if sys.platform == "win32":
        path.unlink(missing_ok=True)
        _winapi.CreateJunction(str(path.parent / target), str(path))
        return
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}{_TEMPORARY_SUFFIX}")
    temporary.symlink_to(target)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def is_temporary(name: str) -> bool:
    """Tell whether ``write_atomically`` gave the name: such a file is of no use once its writer has ended."""
    return name.startswith(".") and name.endswith(_TEMPORARY_SUFFIX)


def replace(source: Path, target: Path) -> None:
    """Move a file over another; on Windows again while a virus scanner or an indexer holds one of them."""
    act_patiently(lambda: source.replace(target))


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def list_folder(path: str | Path) -> Iterator["os.DirEntry[str]"]:
    """Yield a folder's entries, each by its name alone: its ``path`` is none, and it is asked at once.

    Entries are looked up from the folder where the system can: by long paths 9,000 files take 10 ms more.

    Raises:
        OSError: It cannot be listed.
    """
    if os.scandir not in os.supports_fd:  # Windows, whose entries bring their status with them
        with os.scandir(path) as entries:
            yield from entries
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with os.scandir(descriptor) as entries:
            yield from entries
    finally:
        os.close(descriptor)


def _not_regular(path: Path) -> NotRegularError:
    return NotRegularError(
        errno.EINVAL, "it is a pipe, a device, a folder or a link, not a regular file", str(path)
    )


def _unmade(path: Path, error: OSError, instead: str) -> InstallError:
    there = next(parent for parent in (path, *path.parents) if os.path.lexists(parent))
    if there == path:
        return _refused(path, "it is not a folder but a link or a file", instead)
    return InstallError(
        "install.folder",
        f"the folder `{path}` cannot be made in `{there}`: {(error.strerror or str(error)).lower()}",
        hints=[f"give yourself the right to write to `{there}`", instead],
        context={"path": str(path)},
    )


def _refused(path: Path, why: str, instead: str) -> InstallError:
    return InstallError(
        "install.folder",
        f"the folder `{path}` cannot be used: {why}",
        hints=["remove it or mend its owner and permissions", instead],
        context={"path": str(path)},
    )
