"""Read and write lockfiles on disk."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from provisioner.errors import LockError, UsageError
from provisioner.ground.files import read_file, write_atomically
from provisioner.ground.names import check_profile_name
from provisioner.ground.text import escape_controls
from provisioner.ground.yaml_reader import read_yaml
from provisioner.ground.yaml_tree import Table
from provisioner.lock.conda_lock_v1 import MAX_BYTES, MAX_DEPTH, dump_lock, parse_lock
from provisioner.lock.header import DamageError, NewerError, parse_head
from provisioner.lock.model import Lock, LockHead

SUFFIX = ".conda-lock.yml"
_MAX_REASON = 500
_CONFLICT = re.compile(rb"^(?:<<<<<<<|=======|>>>>>>>)", re.MULTILINE)
_PACKAGES = b"\npackage:"
_Parsed = TypeVar("_Parsed")


def lockfile_path(folder: Path, profile: str) -> Path:
    """Return the path of a profile's lockfile.

    Raises:
        UsageError: The name could lead out of the folder.
    """
    if reason := check_profile_name(profile):
        raise UsageError(
            "usage.profile_name", reason, hints=["name the profile as `provision list` shows it"]
        )
    return folder / f"{profile}{SUFFIX}"


def read_lock(path: Path) -> Lock:
    """Read a whole lockfile.

    Raises:
        LockError: It is missing, damaged or newer than this version of the tool.
    """
    return _parse(path, _read_content(path), parse_lock)


def read_lock_head(path: Path) -> LockHead:
    """Read what comes before the packages, and check that none of them was lost.

    Raises:
        LockError: It is missing, damaged or newer than this version of the tool.
    """
    content = _read_content(path)
    head, _, rest = content.partition(_PACKAGES)
    parsed = _parse(path, head, parse_head)
    count = rest.count(b"\n- name: ")
    if count != parsed.count:
        raise _damaged(
            path, content.count(b"\n"), f"the head counts {parsed.count} entries, and {count} follow"
        )
    if not rest.endswith((b"optional: false\n", b"optional: true\n", b" []\n")):
        raise _damaged(path, content.count(b"\n"), "the file is cut off")
    return parsed.head


def write_lock(path: Path, lock: Lock) -> bool:
    """Write a lockfile at once or not at all; return whether it changed.

    A file that says the same already (line ends aside, git may have made them) is not touched.

    Raises:
        InternalError: The lock breaks a rule of the format.
        LockError: The file could not be written.
    """
    content = dump_lock(lock).encode()
    try:
        if path.is_file() and _normalised(path.read_bytes()) == content:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content, mode=0o644)
    except OSError as error:
        raise LockError(
            "lock.unwritable",
            f"`{path}` could not be written: {error.strerror or error}",
            hints=[f"make `{path.parent}` writable, or name another folder with `--lockfiles`"],
            context={"path": str(path)},
        ) from error
    return True


def _read_content(path: Path) -> bytes:
    profile = path.name.removesuffix(SUFFIX)
    try:
        content = read_file(path, max_bytes=MAX_BYTES)
    except FileNotFoundError as error:
        raise LockError(
            "lock.missing",
            f"there is no lockfile `{path}`",
            hints=[f"run `provision lock {profile}`"],
            context={"path": str(path), "profile": profile},
        ) from error
    except OSError as error:
        raise LockError(
            "lock.unreadable",
            f"`{path}` could not be read: {error.strerror or error}",
            hints=[f"make `{path}` a readable file"],
            context={"path": str(path)},
        ) from error
    if len(content) > MAX_BYTES:
        raise _damaged(path, 1, f"the file is larger than {MAX_BYTES // 2**20} MiB")
    content = _normalised(content)
    if conflict := _CONFLICT.search(content):
        raise _damaged(
            path, content.count(b"\n", 0, conflict.start()) + 1, "a git conflict was left in the file"
        )
    return content


def _normalised(content: bytes) -> bytes:
    return content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")


def _parse(path: Path, content: bytes, parse: Callable[[Table], _Parsed]) -> _Parsed:
    root, problems = read_yaml(content, path.name, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    if root is None or problems:
        raise _damaged(path, problems[0].origin.line, problems[0].message)
    try:
        return parse(root)
    except NewerError as error:
        raise LockError(
            "lock.newer",
            f"`{path}:{error.origin.line}`: {error.reason}",
            hints=[
                "update `provision`",
                f"or run `provision lock {path.name.removesuffix(SUFFIX)}` to write it anew",
            ],
            context={"path": str(path), "line": error.origin.line},
        ) from error
    except DamageError as error:
        raise _damaged(path, error.origin.line, error.reason) from error


def _damaged(path: Path, line: int, reason: str) -> LockError:
    # The reason quotes the file: what a terminal would obey is shown, not sent.
    return LockError(
        "lock.damaged",
        f"`{path}:{line}`: {escape_controls(reason[:_MAX_REASON])}",
        hints=[
            f"restore the file, for example with `git checkout -- {path.name}` in its folder",
            f"or run `provision lock {path.name.removesuffix(SUFFIX)}` to write it anew",
        ],
        context={"path": str(path), "line": line},
    )
