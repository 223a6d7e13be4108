"""What the store hands out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """A fetched file that has the locked digest and passed the scan.

    Attributes:
        path: Where it is.
        notices: What the user should know about it.
        startup: Files in it that Python will run at every start.
        index: A conda package's ``index.json``.
        unpacked_bytes: What it unpacks to; 0 where nobody can say, as of a source archive.
    """

    path: Path
    notices: tuple[str, ...] = ()
    startup: tuple[str, ...] = ()
    index: Mapping[str, Any] = field(default_factory=dict)
    unpacked_bytes: int = 0
