"""Every file of an environment as it was built: its digest, whose it is, and what is cheap to see of it.

Digests are those of the packages' own lists (RECORD, ``conda-meta``): their archives were compared with the
lock on the way here. Only what no list names, or two lists name differently, is hashed by a build.
"""

import base64
import csv
import hashlib
import json
import os
import posixpath
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.errors import InstallError
from provisioner.ground.files import is_temporary, list_folder
from provisioner.install.file_lists import BYTECODE_NAME, find_lists, is_list
from provisioner.install.receipt import (
    INVENTORY_NAME,
    OTHER_REPORT_NAME,
    RECEIPT_NAME,
    REPORT_NAME,
    SNAPSHOT_NAME,
)

SCHEMA = "provision.inventory/1"
# Written after the inventory, or anew later.
_LATER = frozenset({INVENTORY_NAME, SNAPSHOT_NAME, RECEIPT_NAME, REPORT_NAME, OTHER_REPORT_NAME})


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """One file or link.

    Attributes:
        owner: Path of the list that names it; empty where none does.
        content: ``sha256=…`` as RECORD writes it (PEP 427), or ``link:`` and the target.
        executable: Whether its owner may run it; always False on Windows.
        seen: Size, time of its content, time of its last change, inode: equal ones spare us reading it.
    """

    owner: str
    content: str
    executable: bool
    seen: tuple[int, int, int, int]


def make_inventory(prefix: Path) -> dict[str, BuiltFile]:
    """Return what is in an environment, by its path in there, with ``/``."""
    owners: dict[str, str] = {}
    digests: dict[str, set[str]] = {}
    lists = find_lists(prefix)
    windows = any(map(_is_windows_list, lists))  # where letters have no case
    for path in lists:
        for name, digest in read_list(prefix, path):
            key = name.lower() if windows else name
            owners[key] = path
            digests.setdefault(key, set()).add(digest)
    found = {}
    for name, status in walk_files(prefix):
        key = name.lower() if windows else name
        owner = name if name in lists else owners.get(key, "")
        if is_bytecode(name) and owner != BYTECODE_NAME:
            continue
        known = digests.get(key, set())
        if stat.S_ISLNK(status.st_mode):
            content = f"link:{(prefix / name).readlink().as_posix()}"
        elif len(known) == 1 and "" not in known:
            content = next(iter(known))
        else:
            content = digest_file(prefix / name)
        found[name] = BuiltFile(owner, content, is_executable(status), state_of(status))
    return found


def read_list(prefix: Path, path: str) -> Iterator[tuple[str, str]]:
    """Yield the files that a package's list names, by their path in the environment, with digests or nothing.

    Args:
        prefix: The environment.
        path: The list: a RECORD (PEP 376, 427), our own of compiled modules, or a record of ``conda-meta``.
    """
    text = (prefix / path).read_text(encoding="utf-8", errors="replace")
    if path.startswith("conda-meta/"):
        yield from _read_conda_meta(text)
        return
    folder = posixpath.dirname(posixpath.dirname(path))
    windows = _is_windows_list(path)
    for row in csv.reader(text.splitlines()):
        if not row:
            continue
        name = row[0].replace("\\", "/") if windows else row[0]
        digest = row[1] if len(row) > 1 and row[1].startswith("sha256=") else ""
        inside = f"{folder}/{name}" if folder else name
        yield posixpath.normpath(inside) if ".." in name else inside, digest


def walk_files(prefix: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every file and link by its path in an environment, with ``/``, without our own later files."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        for entry in list_folder(prefix / folder):
            name = folder + entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.append(f"{name}/")
            elif name not in _LATER and not is_temporary(name):
                yield name, entry.stat(follow_symlinks=False)


def is_bytecode(name: str) -> bool:
    """Tell whether Python may write a file whenever it imports a module."""
    return "__pycache__/" in name and name.endswith(".pyc")


def state_of(status: os.stat_result) -> tuple[int, int, int, int]:
    """Return what changes when a file does, unless somebody takes pains."""
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def is_executable(status: os.stat_result) -> bool:
    """Tell whether a file's owner may run it; Windows has no such bit."""
    return os.name == "posix" and stat.S_ISREG(status.st_mode) and bool(status.st_mode & stat.S_IXUSR)


def digest_file(path: str | Path) -> str:
    """Return a file's digest as RECORD writes it."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - 20,000 paths as text take 0.3 s less
        return digest_text(hashlib.file_digest(file, "sha256").digest())


def digest_text(digest: bytes) -> str:
    """Return a sha256 as RECORD writes it: URL-safe base64 without padding (PEP 427)."""
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def format_inventory(inventory: Mapping[str, BuiltFile]) -> str:
    """Return the inventory's text."""
    owners = sorted({file.owner for file in inventory.values()})
    places = {owner: place for place, owner in enumerate(owners)}
    files = {
        name: [places[file.owner], file.content, int(file.executable), *file.seen]
        for name, file in sorted(inventory.items())
    }
    document = {"schema": SCHEMA, "owners": owners, "files": files}
    return json.dumps(document, separators=(",", ":")) + "\n"


def load_inventory(prefix: Path) -> dict[str, BuiltFile]:
    """Return an environment's inventory.

    Raises:
        InstallError: ``install.inventory``: there is none, or it cannot be read.
    """
    path = prefix / INVENTORY_NAME
    try:
        value = json.loads(path.read_bytes())
        if value["schema"] == SCHEMA:
            return {name: _parse_file(name, row, value["owners"]) for name, row in value["files"].items()}
        why = f"its schema is `{value['schema']}`, not `{SCHEMA}`"
    except FileNotFoundError:
        why = "it is not there: it was deleted, or an older version built the environment"
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        why = str(error)
    raise InstallError(
        "install.inventory",
        f"the files that were built cannot be told from `{path}`: {why}",
        hints=["run `provision repair` to put back what its lock says"],
        context={"path": str(path)},
    )


def find_list_digests(inventory: Mapping[str, BuiltFile]) -> dict[str, str]:
    """Return the digest of every list of files as it was built, by its path."""
    return {name: file.content for name, file in inventory.items() if is_list(name)}


def _parse_file(name: str, row: Sequence[Any], owners: Sequence[str]) -> BuiltFile:
    """Read one file's row; a place outside of the environment is none: a repair would write there."""
    if name.startswith("/") or ":" in name.partition("/")[0] or ".." in name.replace("\\", "/").split("/"):
        raise ValueError(f"`{name}` lies outside of the environment")
    owner, content, executable, *seen = row
    size, modified, changed, inode = map(int, seen)
    return BuiltFile(owners[owner], str(content), bool(executable), (size, modified, changed, inode))


def _is_windows_list(path: str) -> bool:
    return path.startswith("Lib/")


def _read_conda_meta(text: str) -> Iterator[tuple[str, str]]:
    try:
        paths = json.loads(text)["paths_data"]["paths"]
        rows = [
            (str(row["_path"]), row.get("sha256_in_prefix") or row.get("sha256"), row.get("path_type"))
            for row in paths
        ]
    except (ValueError, TypeError, LookupError, AttributeError):
        return
    for name, digest, kind in rows:
        hashed = isinstance(digest, str) and len(digest) == 64 and kind != "softlink"
        yield name.replace("\\", "/"), digest_text(bytes.fromhex(str(digest))) if hashed else ""
