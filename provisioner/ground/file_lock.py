"""A lock on a file that the system releases when its holder dies, on POSIX and Windows.

The library for it, filelock, loads asyncio; that alone would be a tenth of a warm build.
"""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from provisioner.errors import BusyError, InstallError
from provisioner.ground.refusals import DISK_FAULTS, disk_error

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_PAUSE_S = 0.05
_TAKEN = {errno.EACCES, errno.EAGAIN, errno.EDEADLK, errno.EWOULDBLOCK}
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
# Windows locks bytes, which need not exist: one process holds all of them, or each that shares holds its own.
_ALL_BYTES = 1 << 30


@contextmanager
def hold_file(
    path: Path, *, timeout_s: float, shared: bool = False, inherited: bool = False
) -> Iterator[bool]:
    """Yield True while the lock is held; False where others held it for ``timeout_s`` seconds.

    Args:
        path: The file; it is made where it is missing, and stays. Only who holds the lock may delete it.
        timeout_s: How long to wait.
        shared: Hold it together with others that share it, and against those that do not.
        inherited: Whether the lock is held on by programs that we start or turn into (POSIX).

    Raises:
        InstallError: ``install.lock``: the file system has no locks, or the file is not ours.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise _refused(path, error) from error
        try:
            held = _acquire(descriptor, path, deadline, shared=shared)
            if held and not _is_at(descriptor, path):
                continue  # its last holder deleted it while we waited
            if inherited:
                os.set_inheritable(descriptor, True)  # noqa: FBT003 - its only argument
            yield held
        finally:
            os.close(descriptor)  # which releases it
        return


@contextmanager
def hold_output(lock: Path, output: Path, *, code: str, refusal: str, instead: str) -> Iterator[None]:
    """Keep others from writing the same output of the user's; the lock's file is deleted afterwards.

    Args:
        lock: The lock's file.
        output: What is written, for the error.
        code: The error's code.
        refusal: What the other process does: "another process exports to".
        instead: What the user can name in its place: "another folder".

    Raises:
        BusyError: Another process writes it.
        InstallError: As from `hold_file`.
    """
    with hold_file(lock, timeout_s=0.0) as held:
        if not held:
            raise BusyError(
                code,
                f"{refusal} `{output}`",
                hints=[f"wait for it, or name {instead}"],
                retryable=True,
                context={"path": str(output)},
            )
        try:
            yield
        finally:
            with suppress(PermissionError, FileNotFoundError):  # Windows keeps a file that is open
                lock.unlink()


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _acquire(descriptor: int, path: Path, deadline: float, *, shared: bool) -> bool:
    while True:
        try:
            if sys.platform == "win32":
                os.lseek(descriptor, os.getpid() % _ALL_BYTES if shared else 0, os.SEEK_SET)
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1 if shared else _ALL_BYTES)
            else:
                kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise _refused(path, error) from error
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE_S)
        else:
            return True


def _refused(path: Path, error: OSError) -> InstallError:
    if error.errno in DISK_FAULTS:
        return disk_error(path, error)
    why = (error.strerror or str(error)).lower()
    hint = "choose another data folder with `--data-dir`"
    hint = f"{hint}, on a local disk" if error.errno in _NO_LOCKS else f"mend the permissions, or {hint}"
    return InstallError(
        "install.lock", f"could not lock `{path}`: {why}", hints=[hint], context={"path": str(path)}
    )
