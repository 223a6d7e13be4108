"""What is cheap to see of an environment's code, as one digest that a build leaves.

Seen are name, permissions, size, times and inode of every file that may run. Where one of them is another,
the inventory tells whether its content is; a file that was only touched is as it was built. Headers and
stubs, half of the files of an environment with torch, do not run: `provision verify` reads them.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from provisioner.errors import InstallError
from provisioner.ground.files import list_folder, write_atomically
from provisioner.install.receipt import INVENTORY_NAME, SNAPSHOT_NAME
from provisioner.install.verify import compare_with_inventory

# Not `share` and `var`, where programs keep caches of their own.
_FOLDERS = ("DLLs", "Lib", "Library/bin", "Scripts", "bin", "etc", "lib")
_FILES = ("pyvenv.cfg", "python.exe")
_BYTECODE = "__pycache__"  # Python writes it when a module is first imported
_INERT = (".h", ".hpp", ".cuh", ".pyi")


def take_snapshot(prefix: Path) -> str:
    """Return the snapshot's text."""
    seen = sorted(_see_files(str(prefix)))
    digest = hashlib.blake2b("\n".join(seen).encode(errors="backslashreplace"), digest_size=16)
    return json.dumps({"schema": "provision.snapshot/3", "digest": digest.hexdigest()}) + "\n"


def keep_snapshot(prefix: Path) -> None:
    """Write the snapshot that later ones are compared with.

    Raises:
        OSError: It could not be written.
    """
    write_atomically(prefix / SNAPSHOT_NAME, take_snapshot(prefix))


def is_untouched(prefix: Path) -> bool:
    """Tell whether all is as it was when the snapshot was kept."""
    return _read(prefix) == take_snapshot(prefix)


def find_changed(prefix: Path) -> tuple[str, ...]:
    """Return the files of code that are not as they were built, by their path in the environment.

    What was only touched is remembered, so that it is read once.
    """
    now = take_snapshot(prefix)
    if _read(prefix) == now:
        return ()

    try:
        differences = compare_with_inventory(prefix, fast=True).differences
    except InstallError:
        return (INVENTORY_NAME,)
    changed = tuple(each.file for each in differences if _is_code(each.file))
    if not changed:
        with suppress(OSError):  # somebody else's folder
            write_atomically(prefix / SNAPSHOT_NAME, now)
    return changed


def _read(prefix: Path) -> str:
    try:
        return (prefix / SNAPSHOT_NAME).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _see_files(prefix: str) -> Iterator[str]:
    waiting = []
    for name in (*_FOLDERS, *_FILES):
        place = os.path.join(prefix, name)  # noqa: PTH118 - as below
        with suppress(OSError):
            if name in _FOLDERS:
                waiting.append(place)
            else:
                yield _see(place, os.lstat(place))
    while waiting:
        folder = waiting.pop()
        with suppress(OSError):
            for entry in list_folder(folder):
                name = entry.name
                if name.endswith(_INERT) and entry.is_file(follow_symlinks=False):
                    continue
                path = f"{folder}{os.sep}{name}"  # text: 20,000 paths as objects take 0.1 s more
                if not entry.is_dir(follow_symlinks=False):
                    yield _see(path, entry.stat(follow_symlinks=False))
                elif name != _BYTECODE:
                    waiting.append(path)


def _see(path: str, status: os.stat_result) -> str:
    size, modified, changed, inode = status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
    return f"{path} {status.st_mode} {size} {modified} {changed} {inode}"


def _is_code(file: str) -> bool:
    return file in _FILES or (
        file.startswith(tuple(f"{folder}/" for folder in _FOLDERS)) and not file.endswith(_INERT)
    )
