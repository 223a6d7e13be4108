"""Which names an archive may carry: rules, on text alone."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

_RESERVED = re.compile(
    r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\..*)?", re.IGNORECASE
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_INTERPRETER = re.compile(
    r"pythonw?[0-9.]*(?:\.exe)?|python[0-9]*\.dll|(?:de)?activate(?:[._].*)?", re.IGNORECASE
)
_ENTRY_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.+ -]*")
_ENTRY_TARGET = re.compile(r"[A-Za-z_][\w.]*\s*(?::\s*[A-Za-z_][\w.]*\s*)?(?:\[[\w\s,.-]*\])?")
_DEEPEST, _LONGEST_PART_BYTES = 64, 255


def find_name_fault(name: str, *, portable: bool) -> str | None:
    """Say why a member of that name must not be unpacked; None when it may be.

    Args:
        name: As the archive spells it, ``/`` between parts.
        portable: Whether the name has to be one on Windows too.
    """
    stem = name.removesuffix("/")
    parts = stem.split("/")
    if stem == "" or stem.startswith("/") or "" in parts:
        return "is empty or absolute"
    if ".." in parts or "." in parts:
        return "leaves its place"
    if "\\" in name or _CONTROL.search(name):
        return "has a backslash or a control character"
    if len(parts) > _DEEPEST or any(
        len(part.encode("utf-8", "replace")) > _LONGEST_PART_BYTES for part in parts
    ):
        return "is too deep or too long"
    if portable and (":" in name or any(_RESERVED.fullmatch(part) or part[-1] in ". " for part in parts)):
        return "is not a file's name on Windows"
    return None


def find_link_fault(member: str, target: str) -> str | None:
    """Say why a symbolic link must not be unpacked: its target has to stay inside."""
    if target == "" or target.startswith("/") or "\\" in target or ":" in target or _CONTROL.search(target):
        return "is a link to an absolute or strange place"
    depth = len(PurePosixPath(member).parent.parts)
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in {"", "."}:
            depth += 1
        if depth < 0:
            return "is a link that leaves the package"
    return None


def find_twins(names: Iterable[str], *, portable: bool) -> str | None:
    """Return a name that comes twice; with ``portable``, names that differ in case or accents are one."""
    seen: set[str] = set()
    for name in names:
        key = name.rstrip("/")
        if portable:
            key = unicodedata.normalize("NFC", key).casefold()
        if key in seen:
            return name
        seen.add(key)
    return None


def find_entry_point_fault(name: str, target: str) -> str | None:
    """Say why an entry point must not become a script."""
    if _ENTRY_NAME.fullmatch(name) is None or ".." in name or name.startswith("-"):
        return "is no script's name"
    if is_interpreter(name):
        return "would replace the environment's own"
    if _ENTRY_TARGET.fullmatch(target.strip()) is None:
        return "does not name a function"
    return None


def is_interpreter(name: str) -> bool:
    """Tell whether a file of that name beside the interpreter would replace it or its activation."""
    return _INTERPRETER.fullmatch(name) is not None


def runs_at_start(name: str) -> bool:
    """Tell whether Python reads such a file in ``site-packages`` at every start (``.start``: PEP 829)."""
    return name.endswith((".pth", ".start"))


def hijacks_start(name: str) -> bool:
    """Tell whether a module of that name is imported by Python at every start."""
    return name.partition(".")[0] in {"sitecustomize", "usercustomize"}
