"""Read and write lockfiles on disk."""

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from provisioner.errors import LockError, UsageError
from provisioner.lock.conda_lock_v1 import dump_lock, parse_lock
from provisioner.lock.document import DamageError, Node, Scalar, Sequence, Table
from provisioner.lock.head import NewerError, parse_head
from provisioner.lock.model import Lock, LockHead
from provisioner.lock.rules import refuse_profile_name

SUFFIX = ".conda-lock.yml"
_MAX_BYTES = 32 * 1024 * 1024
# A lockfile is five levels deep. PyYAML's own composer recurses in C, and 200 kB of `[` crash it.
_MAX_DEPTH = 8
_MAX_REASON = 500
_CONFLICT = re.compile(r"^(?:<<<<<<<|=======|>>>>>>>)", re.MULTILINE)
_PACKAGES = "\npackage:"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Any = yaml.SafeLoader("")
_Parsed = TypeVar("_Parsed")


def lockfile_path(folder: Path, profile: str) -> Path:
    """Return where the lockfile of a profile stands.

    Raises:
        UsageError: The name could lead out of the folder.
    """
    if reason := refuse_profile_name(profile):
        raise UsageError(
            "usage.profile_name", reason, hints=["name the profile as `provision list` shows it"]
        )
    return folder / f"{profile}{SUFFIX}"


def read_lock(path: Path) -> Lock:
    """Read a whole lockfile.

    Raises:
        LockError: It is missing, damaged or newer than this version of the tool.
    """
    text = _read_text(path)
    return _parse(path, lambda: parse_lock(_compose(text)))


def read_lock_head(path: Path) -> LockHead:
    """Read what stands before the packages, and see that none of them was lost.

    Raises:
        LockError: It is missing, damaged or newer than this version of the tool.
    """
    text = _read_text(path)
    head, found, rest = text.partition(_PACKAGES)
    parsed = _parse(path, lambda: parse_head(_compose(head)))
    expected = sum(parsed.counts.values())
    entries = rest.count("\n- name: ")
    if (
        not found
        or entries != expected
        or not rest.endswith(("optional: false\n", "optional: true\n", " []\n"))
    ):
        reason = f"the head counts {expected} entries, and {entries} follow"
        raise _damaged(path, text.count("\n"), reason if entries != expected else "the file is cut off")
    return parsed.head


def write_lock(path: Path, lock: Lock) -> bool:
    """Write a lockfile at once or not at all; return whether it changed.

    A file that says the same already (line ends aside, git may have made them) is not touched.

    Raises:
        InternalError: The lock breaks a rule of the format.
        LockError: The file could not be written.
    """
    text = dump_lock(lock)
    try:
        if path.is_file() and _normalised(path.read_bytes()) == text.encode():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise LockError(
            "lock.unwritable",
            f"`{path}` could not be written: {error.strerror or error}",
            hints=[f"make `{path.parent}` writable, or name another folder with `--lockfiles`"],
            context={"path": str(path)},
        ) from error
    return True


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        profile = path.name.removesuffix(SUFFIX)
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
    if len(content) > _MAX_BYTES:
        raise _damaged(path, 1, f"the file is larger than {_MAX_BYTES // 1024 // 1024} MiB")
    try:
        text = _normalised(content).decode()
    except UnicodeDecodeError as error:
        raise _damaged(path, content.count(b"\n", 0, error.start) + 1, "the file is not UTF-8") from error
    if not text.strip():
        raise _damaged(path, 1, "the file is empty")
    if conflict := _CONFLICT.search(text):
        raise _damaged(path, text.count("\n", 0, conflict.start()) + 1, "a git conflict was left in the file")
    return text


def _normalised(content: bytes) -> bytes:
    return content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")


def _parse(path: Path, parse: Callable[[], _Parsed]) -> _Parsed:
    try:
        return parse()
    except NewerError as error:
        raise LockError(
            "lock.newer",
            f"`{path}:{error.line}`: {error.reason}",
            hints=[
                "update `provision`",
                f"or run `provision lock {path.name.removesuffix(SUFFIX)}` to write it anew",
            ],
            context={"path": str(path), "line": error.line},
        ) from error
    except DamageError as error:
        raise _damaged(path, error.line, error.reason) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it holds a character that YAML forbids"
        raise _damaged(path, mark.line + 1 if mark else 1, f"not YAML: {problem}") from error


def _damaged(path: Path, line: int, reason: str) -> LockError:
    # The reason quotes the file: what a terminal would obey is shown, not sent.
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in reason[:_MAX_REASON]
    )
    return LockError(
        "lock.damaged",
        f"`{path}:{line}`: {shown}",
        hints=[
            f"restore the file, for example with `git checkout -- {path.name}` in its folder",
            f"or run `provision lock {path.name.removesuffix(SUFFIX)}` to write it anew",
        ],
        context={"path": str(path), "line": line},
    )


def _compose(text: str) -> Table:
    """Return the document as nodes: no anchors, no tags, no key twice, nothing deep."""
    stack: list[Sequence | Table] = []
    keys: list[str | None] = []
    root: Node | None = None
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
            keys.pop()
        elif isinstance(event, yaml.DocumentStartEvent) and root is not None:
            raise DamageError(_line(event), "a lockfile is one YAML document")
        elif isinstance(event, yaml.NodeEvent):
            node = _make_node(event)
            root = node if root is None else root
            if stack:
                _place(stack[-1], keys, node)
            if not isinstance(node, Scalar):
                stack.append(node)
                keys.append(None)
            if len(stack) > _MAX_DEPTH:
                raise DamageError(node.line, "nothing in a lockfile is nested that deep")
    if not isinstance(root, Table):
        raise DamageError(1, "a lockfile is a mapping")
    return root


def _make_node(event: yaml.NodeEvent) -> Node:
    line = _line(event)
    if event.anchor or getattr(event, "tag", None):
        raise DamageError(line, "anchors, aliases and tags have no place in a lockfile")
    if isinstance(event, yaml.ScalarEvent):
        return Scalar(line, event.value, _kind(event.value) if event.implicit[0] else "str")
    return Table(line) if isinstance(event, yaml.MappingStartEvent) else Sequence(line)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _kind(text: str) -> str:
    """Return what a plain scalar is to YAML 1.1, which conda-lock reads: ``str``, ``int``, ``bool``."""
    tag: str = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))
    return tag.rpartition(":")[2]


def _place(parent: Sequence | Table, keys: list[str | None], node: Node) -> None:
    if isinstance(parent, Sequence):
        parent.items.append(node)
        return
    key = keys[-1]
    if key is not None:
        parent.entries[key] = node
        keys[-1] = None
        return
    if not isinstance(node, Scalar):
        raise DamageError(node.line, "a key must be a single value")
    if node.text in parent.entries:
        raise DamageError(node.line, f"`{node.text}` is there twice")
    keys[-1] = node.text
