"""Compare an environment with what was built, file by file."""

import os
import posixpath
import re
import stat
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from pathlib import Path

from packaging.utils import canonicalize_name

from provisioner.install.inventory import (
    BuiltFile,
    digest_file,
    is_bytecode,
    is_executable,
    load_inventory,
    state_of,
    walk_files,
)

# Hashing lets other threads run, opening a file does not: more threads were slower.
_THREADS = 2
_AT_ONCE = 64
_WHEEL = re.compile(r"(?:.*/)?(?P<name>[^/]+?)-(?P<version>[^/-]+)\.dist-info/RECORD")
_CONDA = re.compile(r"conda-meta/(?P<name>.+)-(?P<version>[^-]+)-[^-]+\.json")


class Change(StrEnum):
    """What happened to a file."""

    CHANGED = "changed"
    MISSING = "missing"
    ADDED = "added"
    LINK = "link"
    MODE = "mode"


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One file that is not as it was built.

    Attributes:
        file: Its path in the environment, with ``/``.
        change: What happened to it; ``link``: it leads elsewhere, ``mode``: it became executable or stopped.
        detail: What is seen, in words.
        package: Whose it is; of an added file, whose folder it lies in; None where no package's is near.
        version: That package's.
        origin: The list that names it: ``RECORD``, ``paths.json``, or our own of compiled modules; of the
            environment's own files ``environment``; None for an added one.
    """

    file: str
    change: Change
    detail: str
    package: str | None = None
    version: str | None = None
    origin: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What came of a comparison; ``hashed`` counts the files that were read."""

    differences: tuple[Difference, ...]
    files: int
    hashed: int


def compare_with_inventory(prefix: Path, *, fast: bool) -> Comparison:
    """Do `compare_files` with the environment's own inventory.

    Raises:
        InstallError: There is no inventory, or it cannot be read.
    """
    return compare_files(prefix, load_inventory(prefix), fast=fast)


def compare_files(prefix: Path, inventory: Mapping[str, BuiltFile], *, fast: bool) -> Comparison:
    """Compare every file with its digest, and look for files that were added.

    Args:
        prefix: The environment.
        inventory: What was built.
        fast: Read only files whose size, times or inode are not as they were; a change that leaves all of
            them is not seen then.
    """
    seen = dict(walk_files(prefix))
    found: dict[str, tuple[Change, str]] = {}
    wanted = []
    for name, built in inventory.items():
        status = seen.get(name)
        if status is None and is_bytecode(name):
            continue  # Python makes it again
        if status is None:
            found[name] = (Change.MISSING, "it is gone")
        elif (change := _compare_kind(prefix, name, built, status)) is not None:
            found[name] = change
        elif not built.content.startswith("link:"):
            if built.executable != is_executable(status) and os.name == "posix":
                can = "is not executable any more" if built.executable else "was made executable"
                found[name] = (Change.MODE, f"it {can}")
            if not fast or built.seen != state_of(status):
                wanted.append(name)
    for name, content in zip(wanted, _hash_files(prefix, wanted), strict=True):
        if content != inventory[name].content:
            found[name] = (Change.CHANGED, content if content[:7] != "sha256=" else "its content is another")
    added = [name for name in seen if name not in inventory and not is_bytecode(name)]
    owners = _find_folders(inventory) if added else {}
    differences = [_describe(name, *found[name], owner=inventory[name].owner) for name in found]
    differences += [
        _describe(name, Change.ADDED, "nothing that was built has it", owner=_find_owner(name, owners))
        for name in added
    ]
    return Comparison(
        differences=tuple(sorted(differences, key=lambda each: each.file)),
        files=len(inventory),
        hashed=len(wanted),
    )


def name_package(owner: str) -> tuple[str | None, str | None, str]:
    """Return name, version and kind of list (``RECORD``, ``paths.json``) of a list's path."""
    if found := _WHEEL.fullmatch(owner):
        return canonicalize_name(found["name"]), found["version"], "RECORD"
    if found := _CONDA.fullmatch(owner):
        return found["name"], found["version"], "paths.json"
    return None, None, owner or "environment"


def _compare_kind(
    prefix: Path, name: str, built: BuiltFile, status: os.stat_result
) -> tuple[Change, str] | None:
    """Say what is there in place of a file or of a link; None where it is of its kind."""
    linked = built.content.removeprefix("link:") if built.content.startswith("link:") else None
    if stat.S_ISLNK(status.st_mode):
        target = (prefix / name).readlink().as_posix()
        if linked is None:
            return Change.LINK, f"it was replaced by a link to `{target}`"
        return None if target == linked else (Change.LINK, f"it leads to `{target}`, not to `{linked}`")
    if linked is not None:
        return Change.LINK, f"it was a link to `{linked}`"
    return None if stat.S_ISREG(status.st_mode) else (Change.CHANGED, "it is a pipe or a device")


def _hash_files(prefix: Path, names: Sequence[str]) -> list[str]:
    """Return the digests of files, or why one could not be read."""
    root = str(prefix)

    def hash_some(some: Sequence[str]) -> list[str]:
        return [_hash_file(f"{root}/{name}") for name in some]

    parts = [names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE)]
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(chain.from_iterable(pool.map(hash_some, parts)))


def _hash_file(path: str) -> str:
    try:
        return digest_file(path)
    except OSError as error:
        return f"it cannot be read: {(error.strerror or str(error)).lower()}"


def _describe(file: str, change: Change, detail: str, *, owner: str) -> Difference:
    package, version, origin = name_package(owner)
    return Difference(
        file=file,
        change=change,
        detail=detail,
        package=package,
        version=version,
        origin=None if change is Change.ADDED else origin,
    )


def _find_folders(inventory: Mapping[str, BuiltFile]) -> dict[str, str]:
    """Return folder to the list of the only package that has files in it, or in folders below it."""
    found: dict[str, str] = {}
    for name, built in inventory.items():
        folder = posixpath.dirname(name)
        while folder and found.get(folder) != "":
            if found.setdefault(folder, built.owner) != built.owner:
                found[folder] = ""
            folder = posixpath.dirname(folder)
    return found


def _find_owner(name: str, owners: Mapping[str, str]) -> str:
    """Return the list of the package in whose folder an added file lies; empty where it lies elsewhere."""
    folder = posixpath.dirname(name)
    while folder and folder not in owners:
        folder = posixpath.dirname(folder)
    return owners.get(folder, "")
