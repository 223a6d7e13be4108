"""What tells that a file was written to since it was last hashed."""

import hashlib
import time
from functools import cache
from pathlib import Path


def read_state(path: Path) -> list[object]:
    """Return what changes with every write to a file, and with every start of the machine.

    A start counts because the machine may have lost what was not yet on the disk.
    """
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, _boot()]


def hash_file(path: Path) -> str:
    """Return a file's sha256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _boot() -> str:
    """Name the machine's last start; where the system has no name for it, by its minute."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(round((time.time() - time.monotonic()) / 60))
