"""Which names, links and places an archive's members may have: rules, on text alone.

A *place* is where a member will be installed, relative to the environment's folder. Some parts of an
environment are nobody's to bring: its interpreter, its settings, its activation, and our own files.
"""

import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePosixPath

# Not possible, or a device, on Windows; a backslash separates folders there.
_NOT_ON_WINDOWS = re.compile(
    r".*[\\:].*|.*[. ]|(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\..*)?",
    re.IGNORECASE | re.DOTALL,
)
# pyvenv.cfg counts beside the interpreter, too.
_OWN = re.compile(
    r"(?:(?:bin|scripts)/)?(?:pyvenv\.cfg|pythonw?[0-9.]*t?(?:\.exe)?|python[0-9]*t?\.dll|[^/]*\._pth)"
    r"|(?:bin|scripts)/(?:de)?activate(?:[._].*)?"
    r"|provision-.*|conda-meta/(?:history|.*\.json)",
    re.IGNORECASE | re.DOTALL,
)
_PYTHON = r"lib(?:64)?/python3\.\d+t?"
_SITE = rf"(?:{_PYTHON}|lib)/site-packages"
# The folder itself is one that Windows' Python looks into; PEP 829 for `.start`.
_AT_START = re.compile(
    rf"(?:{_SITE}/)?[^/]+\.(?:pth|start)"
    rf"|(?:{_SITE}/|{_PYTHON}/(?:lib-dynload/)?|(?:bin|scripts|dlls|lib)/)?(?:site|user)customize[./].*"
    r"|(?:lib(?:64)?/)?python3\d+t?\.zip",
    re.IGNORECASE | re.DOTALL,
)
_KNOWN_AT_START = frozenset({("setuptools", "distutils-precedence.pth")})
_MODULE = re.compile(
    rf"(?:{_PYTHON}|lib)/(?:lib-dynload/)?(?P<name>\w+)[./](?:.*/)?[^/]*(?:py|pyc|pyd|so)",
    re.IGNORECASE | re.DOTALL,
)
_DIST_INFO = re.compile(rf"{_SITE}/(?P<folder>[^/]+\.(?:dist|egg)-info)/.*", re.IGNORECASE | re.DOTALL)
_OWN_RECORDS = ("provision-", "conda-meta/")
_OWNERS = frozenset({"python", "conda"})
_MOST_LINKS = 40  # as Linux follows


def find_name_fault(name: str, *, portable: bool) -> str | None:
    """Say why a member of that name must not be unpacked; None when it may be.

    Args:
        name: As the archive spells it, ``/`` between parts.
        portable: Whether it has to be possible on Windows too.
    """
    parts = name.removesuffix("/").split("/")
    if "" in parts:
        return "is empty or absolute"
    if ".." in parts or "." in parts:
        return "leaves its place"
    if portable and not all(map(_can_be_on_windows, parts)):
        return "is not a file's name on Windows"
    return None


@lru_cache(maxsize=10_000)  # most parts are folders that many members share
def _can_be_on_windows(part: str) -> bool:
    return _NOT_ON_WINDOWS.fullmatch(part) is None


def find_link_fault(member: str, links: Mapping[str, str], *, portable: bool) -> str | None:
    """Say why a symbolic link must not be unpacked: its target has to stay inside, over other links too.

    Args:
        member: The link's path.
        links: Path to target, for all links of the archive.
        portable: Whether it may be unpacked on Windows.
    """
    inside = list(PurePosixPath(member).parent.parts)
    ahead = links[member].split("/")[::-1]
    if ahead[-1] == "" or (portable and set(links[member]) & {"\\", ":"}):
        return "is a link to an absolute place"
    followed = 0
    while ahead:
        part = ahead.pop()
        if part == "..":
            if not inside:
                return "is a link that leaves the package"
            inside.pop()
        elif part not in {"", "."}:
            inside.append(part)
            target = links.get("/".join(inside))
            if target is not None:
                inside.pop()
                ahead += target.split("/")[::-1]
                followed += 1
        if followed > _MOST_LINKS:
            return "is a link that leads back to itself"
    return None


def find_place_fault(place: str, *, package: str) -> str | None:
    """Say why a package must not install a file there: it is a part of the environment itself.

    Conda's own ``python`` brings the interpreter; nobody brings what records and receipts are read from.
    """
    if _OWN.fullmatch(place) is None:
        return None
    if package in _OWNERS and not place.lower().startswith(_OWN_RECORDS):
        return None
    return "would replace a part of the environment"


def find_foreign_fault(place: str, *, metadata: str) -> str | None:
    """Say why a wheel must not install a file there: it is Python's own, or another package's.

    Args:
        place: The place.
        metadata: The wheel's own ``.dist-info`` folder.
    """
    module = _MODULE.fullmatch(place)
    if module is not None and module["name"] in sys.stdlib_module_names:
        return "would replace a module of Python"
    found = _DIST_INFO.fullmatch(place)
    if found is not None and found["folder"] != metadata:
        return "is another package's"
    return None


def runs_at_start(place: str, *, package: str) -> bool:
    """Tell whether Python runs a file in that place at every start, but for the one that everybody has."""
    if _AT_START.fullmatch(place) is None:
        return False
    return (package, PurePosixPath(place).name) not in _KNOWN_AT_START
