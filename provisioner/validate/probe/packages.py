"""What is installed, and whether its files are those that were installed."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import platform
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from .context import Context

_NAMED = 5
_COUNTED_THREADS = 8


def measure_packages(context: Context, measured: dict[str, Any]) -> None:
    """Record every distribution and compare its files with its RECORD, as PEP 376 and 427 define it."""
    measured["python"] = platform.python_version()
    measured["executable"] = sys.executable
    measured["prefix"] = sys.prefix
    found: dict[str, Distribution] = {}
    doubles = []
    for distribution in distributions():
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
        if name in found:
            doubles.append(name)
        elif name:
            found[name] = distribution
    measured["installed"] = {name: found[name].version for name in sorted(found)}
    measured["doubled"] = sorted(set(doubles))
    measured["elsewhere"] = {
        name: folder
        for name, folder in _folders(found).items()
        if not _is_below(folder, context.request["prefix"])
    }
    wanted = context.request["locked"] or found
    files = [item for name in sorted(found) if name in wanted for item in _recorded_files(name, found[name])]
    with ThreadPoolExecutor(min(_COUNTED_THREADS, os.cpu_count() or 1)) as pool:
        problems = [problem for problem in pool.map(_find_problem, files, chunksize=64) if problem]
    measured["files"] = len(files)
    measured["damaged_count"] = len(problems)
    measured["damaged"] = problems[:_NAMED]


def _folders(found: dict[str, Distribution]) -> dict[str, str]:
    return {name: str(found[name].locate_file("")) for name in sorted(found)}


def _is_below(path: str, folder: str) -> bool:
    inner, outer = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    return inner == outer or outer in inner.parents


def _recorded_files(name: str, distribution: Distribution) -> list[tuple[str, str, Path, str]]:
    """Return (distribution, path as recorded, place, digest) of every file that has a digest.

    Compiled modules are left out, although some wheels record theirs: Python writes them anew whenever it
    likes.
    """
    record = distribution.read_text("RECORD")
    if record is None:
        return []
    return [
        (name, row[0], Path(str(distribution.locate_file(row[0]))), row[1])
        for row in csv.reader(record.splitlines())
        if len(row) >= 2 and row[1].startswith("sha256=") and not row[0].endswith(".pyc")
    ]


def _find_problem(item: tuple[str, str, Path, str]) -> dict[str, Any] | None:
    name, recorded, path, digest = item
    try:
        with path.open("rb") as file:
            seen = hashlib.sha256()
            while block := file.read(1 << 20):
                seen.update(block)
    except OSError as error:
        problem = "missing" if isinstance(error, FileNotFoundError) else error.strerror or "unreadable"
        return {"package": name, "file": recorded, "problem": problem}
    value = base64.urlsafe_b64encode(seen.digest()).rstrip(b"=").decode()
    return None if f"sha256={value}" == digest else {"package": name, "file": recorded, "problem": "changed"}
