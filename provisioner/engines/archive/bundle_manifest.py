"""What a bundle holds: the list that stands first in it, and what it may say.

A manifest has one spelling only: what is read is written again and must give the same bytes. So whatever two
readers could take for two things (keys that come twice, numbers with a point) is refused without a rule of
its own.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from provisioner.engines.archive.member_rules import find_name_fault
from provisioner.errors import InstallError
from provisioner.ground.names import PLATFORMS, check_profile_name
from provisioner.lock.file import SUFFIX as LOCKFILE_SUFFIX
from provisioner.lock.mirror_tree import REQUIREMENTS, SIMPLE, WEB
from provisioner.profile.load import SUFFIX as PROFILE_SUFFIX

SCHEMA = "provision.bundle/1"
ENVS, LOCKFILES, TOOL, PYTHON = "envs", "lockfiles", "tool", "python"
README = "README.txt"
TOOL_REQUIREMENTS = f"{TOOL}/requirements.txt"
_FOLDERS = (*(f"{folder}/" for folder in (ENVS, LOCKFILES, TOOL, PYTHON, WEB, REQUIREMENTS)), f"{SIMPLE}/")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"[0-9A-Za-z.+!_-]{1,100}")
_LONGEST_FILE_BYTES = 1 << 40
_LONGEST_PATH = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class BundledFile:
    """One file of a bundle; ``path`` has ``/`` between its parts."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What a bundle holds.

    Attributes:
        tool: Version of provision that wrote it.
        profiles: Names, sorted.
        platforms: What it can be installed on, sorted.
        files: Every file but the manifest, sorted by path, in the order in which they lie in the bundle.
    """

    tool: str
    profiles: tuple[str, ...]
    platforms: tuple[str, ...]
    files: tuple[BundledFile, ...]


def profile_place(name: str) -> str:
    """Return the path of a profile or a stack."""
    return f"{ENVS}/{name}{PROFILE_SUFFIX}"


def lockfile_place(name: str) -> str:
    """Return the path of a profile's lockfile."""
    return f"{LOCKFILES}/{name}{LOCKFILE_SUFFIX}"


def refuse_bundle(name: str, why: str) -> InstallError:
    """Build the error for a bundle; ``why`` goes on from its name."""
    return InstallError(
        "install.bundle",
        f"the bundle `{name}` is refused: {why}",
        hints=[
            "copy it again, and compare its sha256 with what `provision bundle` said when it was written",
            "do not use it if they are the same: it was not written by `provision bundle`",
        ],
        context={"bundle": name},
    )


def format_manifest(manifest: Manifest) -> bytes:
    """Return a manifest's one spelling."""
    document = {"schema": SCHEMA, **asdict(manifest)}
    return (json.dumps(document, indent=1, ensure_ascii=True) + "\n").encode()


def parse_manifest(data: bytes, name: str) -> Manifest:
    """Read the manifest of the bundle ``name``.

    Raises:
        InstallError: ``install.bundle``: nothing that we write says this; or a newer version of us wrote it.
    """
    try:
        document = json.loads(data)
        if document["schema"] != SCHEMA:
            raise refuse_bundle(name, "its format is of another version of provision, which can read it")
        manifest = Manifest(
            tool=document["tool"],
            profiles=tuple(document["profiles"]),
            platforms=tuple(document["platforms"]),
            files=tuple(BundledFile(**each) for each in document["files"]),
        )
        whole = format_manifest(manifest) == data
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise refuse_bundle(name, "its manifest is damaged") from error
    if not whole:
        raise refuse_bundle(name, "its manifest is not spelled as provision spells one")
    fault = _find_head_fault(manifest) or _find_files_fault(manifest.files)
    fault = fault or _find_missing(manifest)
    if fault is not None:
        raise refuse_bundle(name, fault)
    return manifest


def _find_head_fault(manifest: Manifest) -> str | None:
    names: tuple[Any, ...] = (manifest.tool, *manifest.profiles, *manifest.platforms)
    if not all(isinstance(name, str) for name in names) or not _VERSION.fullmatch(manifest.tool):
        return "its manifest names something that is no name"
    for name in manifest.profiles:
        if reason := check_profile_name(name):
            return reason
    if not manifest.profiles or not set(manifest.platforms) <= set(PLATFORMS) or not manifest.platforms:
        return "its manifest names no profile or no platform that provision knows"
    ordered = _is_ordered(manifest.profiles) and _is_ordered(manifest.platforms)
    return None if ordered else "the names in its manifest are not sorted, or one comes twice"


def _find_files_fault(files: Sequence[BundledFile]) -> str | None:
    """Say why the list of files cannot be a bundle's: each name leads below the folder, and is one file's."""
    for file in files:
        if not isinstance(file.path, str) or not isinstance(file.sha256, str) or type(file.size) is not int:
            return "its manifest lists something that is no file"
        why = find_name_fault(file.path, portable=True)
        plain = file.path.isascii() and file.path.isprintable() and not file.path.endswith("/")
        if why is None and not (plain and len(file.path) <= _LONGEST_PATH):
            why = "is no name that provision gives"
        if why is None and not (file.path == README or file.path.startswith(_FOLDERS)):
            why = "is in no folder of a bundle"
        if why is None and not (0 <= file.size < _LONGEST_FILE_BYTES and _SHA256.fullmatch(file.sha256)):
            why = "has no such size or sha256"
        if why is not None:
            return f"member {ascii(file.path)[:200]} {why}"
    if not _is_ordered([file.path for file in files]):
        return "its members are not sorted, or one comes twice"
    seen: set[str] = set()
    folders: set[str] = set()
    for path in (file.path.casefold() for file in files):
        if path in seen:
            return f"member {ascii(path)[:200]} comes twice where capital letters do not count"
        seen.add(path)
        folders |= {path[:at] for at, letter in enumerate(path) if letter == "/"}
    both = min(seen & folders, default=None)
    return None if both is None else f"member {ascii(both)[:200]} is a file and a folder"


def _find_missing(manifest: Manifest) -> str | None:
    paths = {file.path for file in manifest.files}
    for name in manifest.profiles:
        for place in (profile_place(name), lockfile_place(name)):
            if place not in paths:
                return f"it has no `{place}`"
    return None


def _is_ordered(texts: Sequence[str]) -> bool:
    return all(one < other for one, other in pairwise(texts))
