"""Read the catalogue of known failures, strictly.

The catalogue travels with the package, so a mistake in it is a mistake of ours: the error names the entry.
"""

import importlib.resources
import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import yaml
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from provisioner.diagnose.failures.model import (
    Catalogue,
    Cause,
    Confidence,
    Evidence,
    Failure,
    FileCount,
    Installed,
    Platform,
    Probe,
    Severity,
    Stage,
)
from provisioner.diagnose.failures.signature import Signature, parse_signature
from provisioner.errors import InternalError

_REQUIRED = {"id", "title", "stage", "platforms", "severity", "confidence", "cause", "fix"} | {
    "signatures",
    "examples",
    "sources",
}
_OPTIONAL = {"code", "requires", "unless", "caused_by", "probes"}
_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_Item = TypeVar("_Item")
# libyaml's parser where PyYAML was built with it (every wheel is).
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_LOADER):  # type: ignore[misc,valid-type] # chosen at run time
    """PyYAML keeps the last of two equal keys; here they are an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 # PyYAML's signature
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key `{key}` is given twice", node.start_mark
                )
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


class _EntryError(ValueError):
    """What is wrong with the entry being read."""


def load_catalogue() -> Catalogue:
    """Return the catalogue that ships with the package.

    Raises:
        InternalError: The file is damaged; the message names the entry.
    """
    text = (
        importlib.resources.files("provisioner.diagnose.failures")
        .joinpath("failures.yaml")
        .read_text("utf-8")
    )
    return parse_catalogue(text)


def parse_catalogue(text: str) -> Catalogue:
    """Check ``text`` and return the catalogue that it holds.

    Raises:
        InternalError: ``catalogue.invalid``; the message names the entry and what is wrong with it.
    """
    try:
        entries = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 # derived from SafeLoader
    except yaml.YAMLError as error:
        raise InternalError("catalogue.invalid", f"the catalogue of failures is no YAML: {error}") from error
    if not isinstance(entries, list):
        raise InternalError("catalogue.invalid", "the catalogue of failures is no list of entries")
    failures: dict[str, Failure] = {}
    for number, entry in enumerate(entries, start=1):
        name = entry.get("id", f"#{number}") if isinstance(entry, dict) else f"#{number}"
        try:
            failure = _parse_failure(_mapping(entry, "an entry", _REQUIRED, _OPTIONAL))
            if failure.id in failures:
                raise _EntryError("the id is taken")
        except ValueError as error:
            raise InternalError("catalogue.invalid", f"catalogue entry `{name}`: {error}") from error
        failures[failure.id] = failure
    for failure in failures.values():
        for cause_id in failure.caused_by:
            if cause_id not in failures or cause_id == failure.id:
                raise InternalError(
                    "catalogue.invalid",
                    f"catalogue entry `{failure.id}`: `caused_by` names `{cause_id}`, no other entry",
                )
    return Catalogue(failures=failures)


def _parse_failure(entry: Mapping[str, Any]) -> Failure:
    """Return one checked entry; ``ValueError`` says what is wrong."""
    name = _text(entry["id"], "id")
    if not _ID.fullmatch(name):
        raise _EntryError("`id` is not made of lower-case words and hyphens")
    causes, fix = entry["cause"], entry["fix"]
    hints = () if isinstance(fix, str) else _list(fix, "fix", str)
    return Failure(
        id=name,
        title=_text(entry["title"], "title"),
        stage=Stage(_text(entry["stage"], "stage")),
        platforms=_list(entry["platforms"], "platforms", Platform),
        severity=Severity(_text(entry["severity"], "severity")),
        confidence=Confidence(_text(entry["confidence"], "confidence")),
        causes=(Cause(text=_text(causes, "cause")),)
        if isinstance(causes, str)
        else _list(causes, "cause", _parse_cause),
        fix=_text(fix, "fix") if isinstance(fix, str) else _join_steps(hints),
        hints=hints,
        code=_text(entry["code"], "code") if "code" in entry else None,
        signatures=_list(entry["signatures"], "signatures", _signature),
        requires=_list(entry.get("requires", ()), "requires", _signature, empty=True),
        unless=_list(entry.get("unless", ()), "unless", _signature, empty=True),
        caused_by=_list(entry.get("caused_by", ()), "caused_by", str, empty=True),
        examples=_list(entry["examples"], "examples", str),
        probes=_list(entry.get("probes", ()), "probes", _parse_probe, empty=True),
        sources=_list(entry["sources"], "sources", str),
    )


def _join_steps(hints: tuple[str, ...]) -> str:
    return " ".join(f"({number}) {hint}" for number, hint in enumerate(hints, start=1))


def _parse_cause(value: Any) -> Cause:
    cause = _mapping(value, "a cause", {"text"}, {"evidence"})
    evidence = _list(cause.get("evidence", ()), "evidence", _parse_evidence, empty=True)
    return Cause(text=_text(cause["text"], "text"), evidence=evidence)


def _parse_evidence(value: Any) -> Evidence:
    """Read a signature, or a list of signatures in which `!` marks those that the log must not hold."""
    parts = _list([value] if isinstance(value, str) else value, "evidence", str)
    present = tuple(_signature(part) for part in parts if not part.startswith("!"))
    if not present:
        raise _EntryError("`evidence` names nothing that the log holds")
    return Evidence(
        present=present, absent=tuple(_signature(part[1:]) for part in parts if part.startswith("!"))
    )


def _parse_probe(value: Any) -> Probe:
    probe = _mapping(value, "a probe", set(), {"platforms", "installed", "absent", "minor_differs", "files"})
    differs = _list(probe.get("minor_differs", ()), "minor_differs", canonicalize_name, empty=True)
    if not probe.keys() - {"platforms", "absent"} or len(differs) not in {0, 2}:
        raise _EntryError("a probe names something installed, two distributions that differ, or files")
    return Probe(
        platforms=_list(probe.get("platforms", ()), "platforms", Platform, empty=True),
        installed=_list(probe.get("installed", ()), "installed", _parse_installed, empty=True),
        absent=_list(probe.get("absent", ()), "absent", canonicalize_name, empty=True),
        minor_differs=(differs[0], differs[1]) if differs else None,
        files=_list(probe.get("files", ()), "files", _parse_file_count, empty=True),
    )


def _parse_installed(value: Any) -> Installed:
    part = _mapping(value, "a distribution", {"name"}, {"version", "local", "local_not"})
    try:
        version = SpecifierSet(part.get("version", ""), prereleases=True)
    except InvalidSpecifier as error:
        raise _EntryError(f"`version`: {error}") from error
    return Installed(
        name=canonicalize_name(_text(part["name"], "name")),
        version=version,
        local=_list(part.get("local", ()), "local", str, empty=True),
        local_not=_list(part.get("local_not", ()), "local_not", str, empty=True),
    )


def _parse_file_count(value: Any) -> FileCount:
    part = _mapping(value, "a file count", {"glob"}, {"at_least", "at_most"})
    at_least, at_most = part.get("at_least", 0), part.get("at_most")
    if (
        not isinstance(at_least, int)
        or not isinstance(at_most, int | None)
        or (not at_least and at_most is None)
    ):
        raise _EntryError("a file count has a whole number as `at_least` or `at_most`")
    return FileCount(glob=_text(part["glob"], "glob").lower(), at_least=at_least, at_most=at_most)


def _signature(value: Any) -> Signature:
    text = _text(value, "a signature")
    try:
        return parse_signature(text)
    except ValueError as error:
        raise _EntryError(f"signature `{text}` {error}") from error


def _mapping(value: Any, what: str, required: set[str], optional: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _EntryError(f"{what} is no mapping")
    if missing := sorted(required - value.keys()):
        raise _EntryError(f"{what} lacks `{missing[0]}`")
    if unknown := sorted(map(str, value.keys() - required - optional)):
        raise _EntryError(f"{what} has an unknown key `{unknown[0]}`")
    return value


def _list(value: Any, what: str, item: Callable[[Any], _Item], *, empty: bool = False) -> tuple[_Item, ...]:
    if not isinstance(value, list | tuple) or not (value or empty):
        raise _EntryError(f"`{what}` is no list of at least one item")
    if item is str and not all(isinstance(part, str) and part.strip() for part in value):
        raise _EntryError(f"`{what}` holds something that is no text")
    return tuple(item(part) for part in value)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _EntryError(f"`{what}` is no text")
    return value.strip()
