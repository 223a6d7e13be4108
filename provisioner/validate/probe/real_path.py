"""Where a file really is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def resolve(place: str | Path) -> Path:
    """Return the path without links."""
    return Path(os.path.realpath(place))


def is_below(place: Path, folders: Iterable[Path]) -> bool:
    """Tell whether a resolved path is one of the resolved folders or in one of them."""
    return any(folder == place or folder in place.parents for folder in folders)
