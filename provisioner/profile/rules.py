"""What the words of a profile may look like: each check returns why a text will not do, None if it will."""

import re
from collections.abc import Callable
from datetime import date
from functools import cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from provisioner.ground.names import CONDA_NAME, check_canonical_address
from provisioner.ground.text import shown
from provisioner.profile.shell_variables import find_shells

VARIABLE_NAME = r"[A-Z_][A-Z0-9_]{0,99}"
CHANNEL_NAME = r"[a-z0-9](?:[a-z0-9._/-]{0,98}[a-z0-9])?"
NameOf = Callable[[str], str]

_CONDA_SPEC = re.compile(
    rf"(?P<name>{CONDA_NAME})"
    r"(?:\s*(?:==?|!=|~=|[<>]=?)\s*[0-9A-Za-z*][0-9A-Za-z.*+!_=<>,|~ -]*|\s+[0-9*][0-9A-Za-z.*+!_=<>,|~ -]*)?"
)
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
# Variables that decide which code runs in the environment, or that belong to the tools around it.
_FORBIDDEN_NAMES = frozenset(
    {
        *("BASH_ENV", "COMSPEC", "ENV", "HOME", "IFS", "PATH", "PATHEXT", "PROMPT_COMMAND", "PS1", "PS4"),
        *(
            "SHELL",
            "SHELLOPTS",
            "SYSTEMROOT",
            "TEMP",
            "TMP",
            "TMPDIR",
            "USERPROFILE",
            "VIRTUAL_ENV",
            "WINDIR",
        ),
    }
)
_FORBIDDEN_PREFIXES = (
    *("_PROVISION_", "CONDA_", "DYLD_", "LD_", "MAMBA_", "PIP_", "PROVISION_", "PYTHON", "UV_"),
)
_ALLOWED_NAMES = frozenset(
    ("LD_LIBRARY_PATH", "PYTHONHASHSEED", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "PYTHONUTF8")
)
# What people write from habit in place of a requirement, and what to write instead; the first match counts.
_NO_REQUIREMENTS = (
    (
        re.compile(r"(?:^|\s)--no-deps\b"),
        "leaves out what a package needs; say under `pip.overrides` which requirement wins, and why",
    ),
    (re.compile(r"^-"), "is an option, not a package"),
    (
        re.compile(
            r"\.(?:whl|zip|tar\.\w+|tgz)(?:[\[#?;\s]|$)|^\.{0,2}[/\\]|^\.{1,2}$|^~[/\\]|^[A-Za-z]:[/\\]|file:"
        ),
        "names a file; files are locked from indexes only: write `name==version`, routed under `pip.routes`",
    ),
    (re.compile(r"://|@"), "names an address; a package is named by version here: `name==version`"),
)
_SECRET_NAME = re.compile(r"(?:.*_)?(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|CREDENTIALS?)")


@cache
def _parse_requirement(text: str) -> Requirement:
    """Parse a requirement once; a profile and its stacks are looked at per platform."""
    return Requirement(text)


def find_habit(text: str) -> str | None:
    """Return what something is that pip takes and a profile does not, as a predicate: ``names a file …``."""
    return next((reason for pattern, reason in _NO_REQUIREMENTS if pattern.search(text)), None)


def check_requirement(text: str) -> str | None:
    """Say why ``text`` is not a name with extras and versions (PEP 508 without addresses and markers)."""
    if reason := find_habit(text):
        return f"{shown(text)} {reason}"
    try:
        requirement = _parse_requirement(text)
    except InvalidRequirement as error:
        return f"{shown(text)} is not a requirement: {str(error).splitlines()[0]}"
    if requirement.marker:
        return f"{shown(text)} has a marker; write the package under `linux-64` or `win-64` instead"
    return None


def check_exact_requirement(text: str) -> str | None:
    """Say why ``text`` is not a requirement of exactly one version."""
    if reason := check_requirement(text):
        return reason
    if exact_version(text) is None:
        return f"{shown(text)} does not name one version: write `name==version`"
    return None


def exact_version(text: str) -> str | None:
    """Return the version of a checked requirement ``name==version``, None where it leaves a choice."""
    specifiers = list(_parse_requirement(text).specifier)
    if len(specifiers) != 1 or specifiers[0].operator not in {"==", "==="} or "*" in specifiers[0].version:
        return None
    return specifiers[0].version


def allows(text: str, version: str) -> bool:
    """Say whether a checked requirement takes ``version``, pre-release or not."""
    return _parse_requirement(text).specifier.contains(version, prereleases=True)


def requirement_name(text: str) -> str:
    """Return the normalised package name (PEP 503) of a checked requirement."""
    return canonicalize_name(_parse_requirement(text).name)


def canonical_requirement(text: str) -> str:
    """Return a checked requirement as it is always written: normalised names, sorted, no spaces."""
    requirement = _parse_requirement(text)
    extras = ",".join(sorted(canonicalize_name(extra) for extra in requirement.extras))
    return f"{canonicalize_name(requirement.name)}{f'[{extras}]' if extras else ''}{requirement.specifier}"


def check_specifier(text: str) -> str | None:
    """Say why ``text`` is not a version specifier such as ``>=4.37,<4.38``."""
    try:
        specifiers = SpecifierSet(text)
    except InvalidSpecifier:
        specifiers = SpecifierSet()
    return None if len(specifiers) else f'{shown(text)} is not a version specifier such as "==4.37.0"'


def check_conda_spec(text: str) -> str | None:
    """Say why ``text`` is not a conda package with versions; match specs' channels and brackets are out."""
    found = _CONDA_SPEC.fullmatch(text)
    if found is None:
        return f"{shown(text)} is not a conda package such as `libuv` or `libuv >=1.48,<2`"
    if found["name"] == "python":
        return "python's version is said by the key `python`"
    return None


def conda_name(text: str) -> str:
    """Return the package name of a checked conda spec."""
    found = _CONDA_SPEC.fullmatch(text)
    return found["name"] if found else text


def check_channel(text: str) -> str | None:
    """Say why ``text`` is neither a channel's name nor an address."""
    if "://" in text:
        return check_canonical_address(text)
    if not re.fullmatch(CHANNEL_NAME, text) or ".." in text or "//" in text:
        return f"{shown(text)} is not a channel such as `conda-forge`"
    return None


def check_variable(name: str) -> str | None:
    """Say why a profile must not set the variable ``name``."""
    if _SECRET_NAME.fullmatch(name):
        return f"`{name}` looks like a secret, and a profile is public"
    if name in _ALLOWED_NAMES:
        return None
    if name in _FORBIDDEN_NAMES or name.startswith(_FORBIDDEN_PREFIXES):
        return f"`{name}` would break the environment's isolation"
    if shells := find_shells(name):
        return f"`{name}` has a meaning of its own in {', '.join(shells)}"
    return None


def check_variable_value(text: str) -> str | None:
    """Say why ``text`` cannot be a variable's value: ``{prefix}`` is replaced, a shell finds nothing."""
    unknown = next((p for p in _PLACEHOLDER.findall(text) if p != "{prefix}"), None)
    if unknown:
        return f"{shown(unknown)} is not known; `{{prefix}}` is the only placeholder"
    if found := re.search(r"[$`%\n]", text):
        return f"{shown(found[0])} would be read by a shell; values are taken literally"
    return None


def check_library_path(text: str) -> str | None:
    """Say why ``text`` cannot be the value of ``LD_LIBRARY_PATH``: every folder lies in the environment."""
    for folder in text.split(":"):
        if not re.fullmatch(r"\{prefix\}(?:/[A-Za-z0-9._+-]+)*", folder) or ".." in folder.split("/"):
            return f"{shown(folder)} in `LD_LIBRARY_PATH` is not a folder below `{{prefix}}`"
    return None


def check_date(text: str) -> str | None:
    """Say why ``text``, written like an ISO date, is not a date."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return f"{shown(text)} is in no calendar"
    return None


def check_module(text: str) -> str | None:
    """Say why ``text`` is not a module's dotted name."""
    return None if all(p.isidentifier() for p in text.split(".")) else f"{shown(text)} is not a module's name"
