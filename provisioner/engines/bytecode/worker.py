"""Compile modules of wheels: a JSON task on stdin, an archive of compiled modules for each wheel.

It is run as a script by the Python of an environment, isolated and without its packages, and imported by
nothing. What it makes depends on the wheel's bytes and on that Python alone, so it is the same every time.
"""

import base64
import csv
import hashlib
import importlib.util
import io
import json
import marshal
import os
import sys
import warnings
import zipfile
from concurrent.futures import ProcessPoolExecutor

_CHUNK = 64
# PEP 552: Python compares the digest of the source at every import, so an edited module is never ignored.
_CHECKED_HASH = (0b11).to_bytes(4, "little")


def main() -> None:
    """Do the task."""
    task = json.load(sys.stdin)
    chunks = [
        (wheel["wheel"], wheel["modules"][start : start + _CHUNK])
        for wheel in task["wheels"]
        for start in range(0, len(wheel["modules"]), _CHUNK)
    ]
    made: dict[str, list[tuple[str, bytes]]] = {wheel["wheel"]: [] for wheel in task["wheels"]}
    with ProcessPoolExecutor(min(task["processes"], len(chunks) or 1)) as pool:
        for (wheel, _), compiled in zip(chunks, pool.map(_compile_chunk, chunks), strict=True):
            made[wheel] += compiled
    for wheel in task["wheels"]:
        _write_archive(wheel["archive"], sorted(made[wheel["wheel"]]))


def _compile_chunk(chunk: tuple[str, list[str]]) -> list[tuple[str, bytes]]:
    """Return place and content of each compiled module; one that does not compile is left out."""
    warnings.simplefilter("ignore")
    path, modules = chunk
    compiled = []
    with zipfile.ZipFile(path) as wheel:
        for module in modules:
            source = wheel.read(module)
            try:
                # Python writes the real path into the code when it loads it
                code = compile(source, module, "exec", dont_inherit=True, optimize=0)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            head = importlib.util.MAGIC_NUMBER + _CHECKED_HASH + importlib.util.source_hash(source)
            place = importlib.util.cache_from_source(module, optimization="").replace(os.sep, "/")
            compiled.append((place, head + marshal.dumps(code)))
    return compiled


def _write_archive(path: str, modules: list[tuple[str, bytes]]) -> None:
    """Write modules and their RECORD into a zip without compression: it is read far more often."""
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    with zipfile.ZipFile(path, "x") as archive:
        for place, content in modules:
            archive.writestr(zipfile.ZipInfo(place), content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.writerow((place, f"sha256={digest}", len(content)))
        archive.writestr(zipfile.ZipInfo("RECORD"), record.getvalue())


if __name__ == "__main__":
    main()
