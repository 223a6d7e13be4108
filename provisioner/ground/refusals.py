"""What the system refuses: the numbers of its errors, and our sentence for each."""

import errno
import os
import re
from pathlib import Path

from provisioner.errors import InstallError

ANOTHER_DATA_FOLDER = "choose another data folder with `--data-dir`"
_FULL = ("install.disk_full", "free some space, or {}")
# Number to the code and the hint of its error: the file system takes nothing, whoever asks.
DISK_FAULTS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: ("install.disk", "raise the limit on the size of files (see `ulimit -f`), or {}"),
    errno.EROFS: ("install.disk", "let it be written to, or {}"),
}
# Number of what the system refuses us, and no mistake of ours: rights, a file in the way, a full disk.
REFUSALS = {errno.EACCES, errno.EPERM, errno.ENOTDIR, *DISK_FAULTS}
# The numbers are Linux's and, for the first, Windows'.
_TOLD_AS = {
    errno.ENOSPC: r"\bos error (?:28|112)\b|no space left",
    errno.EDQUOT: r"\bos error 122\b|disk quota exceeded",
    errno.EFBIG: r"\bos error 27\b|file too large|\bSIGXFSZ\b|signal: 25\b",
    errno.EROFS: r"\bos error 30\b|read-only file system",
}


def disk_error(path: Path, error: OSError, *, instead: str = ANOTHER_DATA_FOLDER) -> InstallError:
    """Build the error for a file system that refuses to take what we write.

    Args:
        path: What could not be written, where the error does not say.
        error: What the system said.
        instead: What else the user can do.
    """
    code, hint = DISK_FAULTS.get(error.errno or 0, ("install.disk", "mend the permissions, or {}"))
    why = (error.strerror or str(error)).lower()
    return InstallError(
        code,
        f"could not write `{error.filename or path}`: {why}",
        hints=[hint.format(instead)],
        context={"path": str(error.filename or path)},
    )


def refused_error(folder: Path, error: OSError) -> InstallError | None:
    """Build the error for a data folder that the system keeps from us; None where it refused something else.

    Args:
        folder: The data folder.
        error: What the system said of a path.
    """
    if error.errno not in REFUSALS or not isinstance(error.filename, str | os.PathLike):
        return None
    path = Path(error.filename)
    if not path.is_relative_to(folder):
        return None
    if error.errno in DISK_FAULTS:
        return disk_error(path, error)
    return InstallError(
        "install.folder",
        f"`{path}` cannot be read or written: {(error.strerror or str(error)).lower()}",
        hints=[f"give yourself the rights to all of `{folder}`", ANOTHER_DATA_FOLDER],
        context={"path": str(path)},
    )


def find_disk_fault(text: str) -> OSError | None:
    """Return the fault of the disk that another program tells of; None where it tells of something else."""
    for number, pattern in _TOLD_AS.items():
        if re.search(pattern, text, re.IGNORECASE):
            return OSError(number, os.strerror(number))
    return None
