"""The files that no package brought, and the code that Python runs at its start."""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from .real_path import is_below, resolve

_NAMED = 5
_STARTUP_MODULES = ("sitecustomize", "usercustomize")


def measure_unrecorded(
    prefix: str,
    manifest: dict[str, str] | None,
    records: dict[str, list[tuple[str, Path, str]]],
    measured: dict[str, Any],
) -> None:
    """Record the files that no package brought, and the code that Python starts with.

    A package that was there when the environment was built may bring such code, one that came later may not.
    """
    built = None if manifest is None else {_key(prefix, path) for path in manifest}
    brought: set[str] = set()
    later: set[str] = set()
    for record in records.values():
        places = {_key(place) for _, place, _ in record}
        (brought if built is None or built & places else later).update(places)
    for path in sorted(Path(prefix, "conda-meta").glob("*.json")):
        places = {_key(prefix, name) for name in _read_conda_files(path)}
        (brought if built is None or _key(path) in built else later).update(places)
    root = resolve(prefix)
    folders = sorted(
        {folder for folder in map(resolve, sys.path) if is_below(folder, [root]) and folder.is_dir()}
    )
    startup = [path for folder in folders for path in _find_startup(folder) if path not in brought]
    added = [
        path
        for folder in folders
        if folder.name == "site-packages"
        for path in _list_files(folder)
        if path not in brought and path not in later and path not in startup
    ]
    measured["startup"] = [os.path.relpath(path, root) for path in startup[:_NAMED]]
    measured["added_count"] = len(added)
    measured["added"] = [os.path.relpath(path, root) for path in added[:_NAMED]]


def _read_conda_files(path: Path) -> list[str]:
    try:
        return [str(name) for name in json.loads(path.read_bytes())["files"]]
    except (ValueError, TypeError, LookupError):
        return []


def _key(*parts: str | Path) -> str:
    """Return a path as every path of that file is returned; only a link at its end is not followed."""
    folder, name = os.path.split(os.path.normpath(os.path.join(*parts)))  # noqa: PTH118 - thousands, as text
    return os.path.normcase(os.path.join(_resolve(folder), name))  # noqa: PTH118 - the same


@cache
def _resolve(folder: str) -> str:
    return os.path.realpath(folder)


def _find_startup(folder: Path) -> list[str]:
    """Return what Python runs at its start from a folder of `sys.path`; of a package, its first module."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = os.path.normcase(entry.name)
            if name.endswith(".pth") and entry.is_file():
                found.append(_key(entry.path))
            elif name.split(".")[0] in _STARTUP_MODULES:
                found.append(_key(entry.path, "__init__.py") if entry.is_dir() else _key(entry.path))
    return sorted(found)


def _list_files(folder: Path) -> list[str]:
    """Return every file below a folder, and every link to a folder; compiled modules are left out."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]  # noqa: PTH114, PTH118
        found += [_key(place, name) for name in (*names, *links)]
    return sorted(found)
