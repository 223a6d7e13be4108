"""A file that grows on disk while its digest is computed."""

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

CHUNK_BYTES = 1024 * 1024


class Transfer:
    """The part of a file that has arrived.

    Attributes:
        size: Bytes so far.
        resumed: Whether bytes of an earlier run or request were kept.
    """

    def __init__(self, part: Path, *, on_bytes: Callable[[int, int | None], None] | None = None) -> None:
        """Take over what lies at ``part``, reading it once for its digest."""
        self._part = part
        self._on_bytes = on_bytes
        self._hash = hashlib.sha256()
        self.size = 0
        if part.exists():
            with part.open("rb") as kept:
                while chunk := kept.read(CHUNK_BYTES):
                    self._hash.update(chunk)
                    self.size += len(chunk)
        self.resumed = self.size > 0

    def restart(self) -> None:
        """Forget everything that has arrived."""
        self._part.write_bytes(b"")
        self._hash = hashlib.sha256()
        self.size = 0
        self.resumed = False

    def append(self, chunks: Iterable[bytes], *, total: int | None) -> None:
        """Write the chunks behind what is there; what was written stays when they break off."""
        self.resumed = self.resumed or self.size > 0
        with self._part.open("ab") as out:
            for chunk in chunks:
                out.write(chunk)
                self._hash.update(chunk)
                self.size += len(chunk)
                if self._on_bytes is not None:
                    self._on_bytes(self.size, total)

    def digest(self) -> str:
        """Return the sha256 of what has arrived, in lower-case hex."""
        return self._hash.hexdigest()

    def sync(self) -> None:
        """Bring the bytes to the disk, so that a name given to them later never points to less."""
        descriptor = os.open(self._part, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
