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
from .real_path import is_below, resolve
from .unrecorded import measure_unrecorded

_NAMED = 5
_COUNTED_THREADS = 8
_BYTECODE = "provision-bytecode.csv"  # as `install.file_lists` has it, which the probe cannot import


def measure_packages(context: Context, measured: dict[str, Any]) -> None:
    """Record every distribution and compare its files with its RECORD, as PEP 376 and 427 define it."""
    prefix, manifest = context.request["prefix"], context.request["manifest"]
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
    folders = {name: str(found[name].locate_file("")) for name in sorted(found)}
    measured["elsewhere"] = {
        name: folder for name, folder in folders.items() if not is_below(resolve(folder), [resolve(prefix)])
    }
    records = {name: _read_record(found[name]) for name in sorted(found)}
    wanted = context.request["locked"] or found
    files = [(name, *row) for name in records if name in wanted for row in records[name] if _is_fixed(row)]
    files += [(_owner(path), path, Path(prefix, path), digest) for path, digest in (manifest or {}).items()]
    files += _read_bytecode(prefix)
    with ThreadPoolExecutor(min(_COUNTED_THREADS, os.cpu_count() or 1)) as pool:
        problems = [problem for problem in pool.map(_find_problem, files, chunksize=64) if problem]
    measured["files"] = len(files)
    measured["damaged_count"] = len(problems)
    measured["damaged"] = problems[:_NAMED]
    measure_unrecorded(prefix, manifest, records, measured)


def _read_record(distribution: Distribution) -> list[tuple[str, Path, str]]:
    """Return (path as recorded, place, digest or nothing) of every file of a distribution."""
    record = distribution.read_text("RECORD") or ""
    return [
        (row[0], Path(str(distribution.locate_file(row[0]))), row[1])
        for row in csv.reader(record.splitlines())
        if len(row) >= 2
    ]


def _read_bytecode(prefix: str) -> list[tuple[str, str, Path, str]]:
    """Return the compiled modules that the build has put in place; whoever deletes one does no harm."""
    try:
        rows = csv.reader(Path(prefix, _BYTECODE).read_text(encoding="utf-8").splitlines())
        found = [(_BYTECODE, row[0], Path(prefix, row[0]), row[1]) for row in rows]
    except (OSError, ValueError, LookupError, csv.Error):  # the manifest knows the list's digest
        return []
    return [item for item in found if item[2].exists()]


def _owner(path: str) -> str:
    """Return whose list of files it is: that of a wheel lies in `<name>-<version>.dist-info`."""
    place = Path(path)
    return place.parent.name.split("-")[0] if place.name == "RECORD" else place.stem


def _is_fixed(row: tuple[str, Path, str]) -> bool:
    """Tell whether a file must be as recorded: Python writes compiled modules anew whenever it likes."""
    return row[2].startswith("sha256=") and not row[0].endswith(".pyc")


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
