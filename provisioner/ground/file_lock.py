"""A lock on a file that the system releases when its holder dies, on POSIX and Windows.

The library for it, filelock, loads asyncio; that alone would be a tenth of a warm build.
"""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.errors import InstallError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_PAUSE_S = 0.05
_TAKEN = {errno.EACCES, errno.EAGAIN, errno.EDEADLK, errno.EWOULDBLOCK}


@contextmanager
def hold_file(path: Path, *, timeout_s: float) -> Iterator[bool]:
    """Yield True while the lock is held; False where another process held it for ``timeout_s`` seconds.

    The file stays when the lock is released: deleting it would let two processes lock two files of one name.

    Raises:
        InstallError: ``install.lock``: the file system has no locks, or the file is not ours.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise _refused(path, error) from error
    try:
        yield _acquire(descriptor, path, time.monotonic() + timeout_s)
    finally:
        os.close(descriptor)  # which releases it


def _acquire(descriptor: int, path: Path, deadline: float) -> bool:
    while True:
        try:
            if sys.platform == "win32":
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise _refused(path, error) from error
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE_S)
        else:
            return True


def _refused(path: Path, error: OSError) -> InstallError:
    return InstallError(
        "install.lock",
        f"could not lock `{path}`: {(error.strerror or str(error)).lower()}",
        hints=["choose a data folder on a local disk with `--data-dir`"],
        context={"path": str(path)},
    )
