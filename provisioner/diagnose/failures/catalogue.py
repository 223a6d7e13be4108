"""Read the catalogue of known failures.

The catalogue travels with the package, so a mistake in it is a mistake of ours: the error names the entry.
The types are strict about keys and words; tests of the catalogue check the rest.
"""

import importlib.resources
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from provisioner.diagnose.failures.model import (
    Catalogue,
    Cause,
    Condition,
    Confidence,
    Evidence,
    Failure,
    FileCount,
    Installed,
    Phase,
    Severity,
    System,
)
from provisioner.diagnose.failures.signature import parse_signature
from provisioner.errors import InternalError
from provisioner.ground.yaml_reader import read_document
from provisioner.ground.yaml_tree import Branch, plain

_Item = TypeVar("_Item")


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
    root, problems = read_document(text.encode(), "failures.yaml")
    if problems:
        raise _mistake(f"{problems[0].origin}: {problems[0].message}")
    if not isinstance(root, Branch):
        raise _mistake("the catalogue of failures is no list of entries")
    entries = plain(root)
    failures: dict[str, Failure] = {}
    for number, entry in enumerate(entries, start=1):
        name = entry.get("id", f"#{number}") if isinstance(entry, dict) else f"#{number}"
        if name in failures:
            raise _mistake(f"catalogue entry `{name}`: the id is taken")
        try:
            failures[name] = _parse_failure(entry)
        except (ValueError, TypeError, AttributeError) as error:
            raise _mistake(f"catalogue entry `{name}`: {error}") from error
    for failure in failures.values():
        for cause_id in failure.caused_by:
            if cause_id not in failures or cause_id == failure.id:
                raise _mistake(
                    f"catalogue entry `{failure.id}`: `caused_by` names `{cause_id}`, no other entry"
                )
    return Catalogue(failures=failures)


def _mistake(message: str) -> InternalError:
    return InternalError("catalogue.invalid", message)


def _parse_failure(entry: Any) -> Failure:
    """Return one entry; a ``ValueError``, ``TypeError`` or ``AttributeError`` says what is wrong."""
    values = {
        **_each(entry, "systems", System),
        **_each(entry, "signatures", parse_signature),
        **_each(entry, "requires", parse_signature),
        **_each(entry, "unless", parse_signature),
        **_each(entry, "conditions", _parse_condition),
        **{name: tuple(entry[name]) for name in ("caused_by", "examples", "sources") if name in entry},
        "phase": Phase(entry.get("phase")),
        "severity": Severity(entry.get("severity")),
        "confidence": Confidence(entry.get("confidence")),
    }
    if isinstance(entry.get("cause"), str):
        values["cause"] = (Cause(text=entry["cause"]),)
    else:
        values |= _each(entry, "cause", _parse_cause)
    if isinstance(entry.get("fix"), list):
        values["hints"] = tuple(entry["fix"])
        steps = (f"({number}) {hint}" for number, hint in enumerate(entry["fix"], start=1))
        values["fix"] = " ".join(steps)
    return Failure(**entry | values)


def _parse_cause(value: Any) -> Cause:
    return Cause(**value | _each(value, "evidence", _parse_evidence))


def _parse_evidence(value: Any) -> Evidence:
    """Read a signature, or a list of signatures in which `!` marks those that the log must not hold."""
    parts = [value] if isinstance(value, str) else value
    return Evidence(
        present=tuple(parse_signature(part) for part in parts if not part.startswith("!")),
        absent=tuple(parse_signature(part[1:]) for part in parts if part.startswith("!")),
    )


def _parse_condition(value: Any) -> Condition:
    return Condition(
        **value
        | _each(value, "systems", System)
        | _each(value, "installed", _parse_installed)
        | _each(value, "absent", canonicalize_name)
        | _each(value, "minor_differs", canonicalize_name)
        | _each(value, "files", lambda part: FileCount(**part))
    )


def _parse_installed(value: Any) -> Installed:
    return Installed(
        **value
        | {"name": canonicalize_name(value["name"]), "version": SpecifierSet(value.get("version", ""))}
        | _each(value, "local", str)
        | _each(value, "local_not", str)
    )


def _each(entry: Mapping[str, Any], key: str, parse: Callable[[Any], _Item]) -> dict[str, tuple[_Item, ...]]:
    """Return the parsed items of a list under its key, nothing where the entry has none."""
    return {key: tuple(parse(item) for item in entry[key])} if key in entry else {}
