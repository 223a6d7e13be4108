"""Kinds of value that a YAML file may hold, and the check of a file's tree against them.

One table of these drives the parser (``check_node``) and the JSON Schema (``schema.py``): they agree.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from provisioner.ground.yaml_tree import Branch, Entry, Kind, Leaf, Node, Problem, Table, shown

Reason = str
MAX_TEXT = 1000
_NUMBER = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,9})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """Text.

    Attributes:
        choices: The only values; empty: any.
        pattern: What the whole text matches; also in the JSON Schema.
        expected: What the pattern asks for, in words, for example ``a date like "2026-11-15"``.
        check: Returns why the text will not do, None if it will; for rules that a pattern cannot say.
        code: The error's code where ``check`` gives a reason.
    """

    description: str = ""
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    expected: str = "text"
    check: Callable[[str], Reason | None] | None = None
    code: str = "profile.bad_value"


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """``true`` or ``false``."""

    description: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    """A decimal number between ``minimum`` and ``maximum``, both included."""

    description: str = ""
    minimum: float
    maximum: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ListOf:
    """A list; with ``or_one`` a single item may stand without the list."""

    item: "Spec"
    description: str = ""
    or_one: bool = False
    min_items: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class MapOf:
    """A mapping whose keys the user chooses."""

    key: Text
    value: "Spec"
    description: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A mapping whose keys are fixed; ``required`` ones must be written."""

    fields: Mapping[str, "Spec"]
    description: str = ""
    required: tuple[str, ...] = field(default=())


Spec = Text | Flag | Number | ListOf | MapOf | Record


def check_node(node: Node, spec: Spec, problems: list[Problem], *, name: str = "the file") -> Node | None:
    """Return ``node`` with everything in it that fits ``spec``; add a problem for everything that does not.

    A single item under ``ListOf(or_one=True)`` comes back as a list of one.

    Args:
        node: A tree of ``yaml_reader``.
        spec: What is expected.
        problems: Receives the problems.
        name: The key's name for messages.
    """
    if isinstance(node, Leaf) and node.kind is Kind.REFUSED:
        return None
    match spec:
        case Record():
            return _check_record(node, spec, problems, name=name)
        case MapOf():
            return _check_map(node, spec, problems, name=name)
        case ListOf():
            return _check_list(node, spec, problems, name=name)
        case _:
            return _check_leaf(node, spec, problems, name=name)


def _check_record(node: Node, spec: Record, problems: list[Problem], *, name: str) -> Table | None:
    if not isinstance(node, Table):
        problems.append(_wrong_type(node, "a mapping", name=name))
        return None
    entries = []
    for entry in node:
        key = entry.key.text
        if key not in spec.fields:
            message = f"unknown key {shown(key)}{did_you_mean(key, spec.fields)}"
            known = f"known keys here: {', '.join(spec.fields)}"
            problems.append(
                Problem(code="profile.unknown_key", message=message, origin=entry.key.origin, hints=(known,))
            )
            continue
        value = check_node(entry.value, spec.fields[key], problems, name=key)
        if value is not None:
            entries.append(Entry(key=entry.key, value=value))
    for key in spec.required:
        if node.get(key) is None:
            message = f"key {shown(key)} is missing in {name}"
            problems.append(Problem(code="profile.missing_key", message=message, origin=node.origin))
    return Table(entries=tuple(entries), origin=node.origin)


def _check_map(node: Node, spec: MapOf, problems: list[Problem], *, name: str) -> Table | None:
    if not isinstance(node, Table):
        problems.append(_wrong_type(node, "a mapping", name=name))
        return None
    entries = []
    for entry in node:
        key = _check_leaf(entry.key, spec.key, problems, name=name)
        value = check_node(entry.value, spec.value, problems, name=entry.key.text)
        if key is not None and value is not None:
            entries.append(Entry(key=key, value=value))
    return Table(entries=tuple(entries), origin=node.origin)


def _check_list(node: Node, spec: ListOf, problems: list[Problem], *, name: str) -> Branch | None:
    if spec.or_one and isinstance(node, Leaf) and node.kind is Kind.TEXT:
        node = Branch(items=(node,), origin=node.origin)
    if not isinstance(node, Branch):
        problems.append(_wrong_type(node, "a list", name=name))
        return None
    if len(node.items) < spec.min_items:
        problems.append(_wrong_type(node, "a list that is not empty", name=name))
        return None
    checked = (check_node(item, spec.item, problems, name=f"an item of {name}") for item in node.items)
    return Branch(items=tuple(item for item in checked if item is not None), origin=node.origin)


def _check_leaf(node: Node, spec: Text | Flag | Number, problems: list[Problem], *, name: str) -> Leaf | None:
    """Return the leaf if it is of the type and its value will do."""
    match spec:
        case Text():
            problem = _check_text(node, spec, name=name)
        case Flag():
            fits = isinstance(node, Leaf) and node.kind is Kind.BOOLEAN and node.text in {"true", "false"}
            problem = None if fits else _wrong_type(node, "`true` or `false`", name=name)
        case Number():
            problem = _check_number(node, spec, name=name)
    if problem:
        problems.append(problem)
    return node if problem is None and isinstance(node, Leaf) else None


def _check_number(node: Node, spec: Number, *, name: str) -> Problem | None:
    number = isinstance(node, Leaf) and node.kind in {Kind.INTEGER, Kind.DECIMAL}
    if not isinstance(node, Leaf) or not number or not _NUMBER.fullmatch(node.text):
        return _wrong_type(node, "a number", name=name)
    if spec.minimum <= float(node.text) <= spec.maximum:
        return None
    message = f"{name} is {shown(node.text)}, not between {spec.minimum:g} and {spec.maximum:g}"
    return Problem(code="profile.bad_value", message=message, origin=node.origin)


def _check_text(node: Node, spec: Text, *, name: str) -> Problem | None:
    """Return what is wrong with a text's type, choice, pattern or meaning, in this order."""
    if not isinstance(node, Leaf) or node.kind is not Kind.TEXT:
        return _wrong_type(node, "text", name=name)
    code, reason = "profile.bad_value", None
    if spec.choices and node.text not in spec.choices:
        known = ", ".join(spec.choices)
        reason = f"{shown(node.text)} is not one of {known}{did_you_mean(node.text, spec.choices)}"
    elif len(node.text) > MAX_TEXT:
        reason = f"{shown(node.text)} has more than {MAX_TEXT} characters"
    elif spec.pattern and not re.fullmatch(spec.pattern, node.text):
        reason = f"{shown(node.text)} is not {spec.expected}"
    elif not all(c.isprintable() for c in node.text):
        code, reason = "profile.unprintable", f"{shown(node.text)} holds characters that cannot be printed"
    elif spec.check:
        code, reason = spec.code, spec.check(node.text)
    return Problem(code=code, message=f"{name}: {reason}", origin=node.origin) if reason else None


def _wrong_type(node: Node, wanted: str, *, name: str) -> Problem:
    """Return the problem of a value of another type; where quotes would mend it, the hint has them."""
    hints: tuple[str, ...] = ()
    if isinstance(node, Table):
        found = "a mapping"
    elif isinstance(node, Branch):
        found = "a list" if node.items else "an empty list"
    elif node.kind is Kind.NOTHING:
        found, hints = "empty", (f"write {wanted}, or remove the key",)
    elif node.kind is Kind.TEXT:
        found = f"the text {shown(node.text)}"
    else:
        found = f"{shown(node.text)}, which is {node.kind} to YAML"
        hints = (f'write it in quotes: "{node.text}"',) if wanted == "text" else ()
    message = f"{name} is {found}; {wanted} is expected"
    return Problem(code="profile.wrong_type", message=message, origin=node.origin, hints=hints)


def did_you_mean(word: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    """Return `` (did you mean `x`?)`` for the known word next to ``word``, else nothing."""
    close = difflib.get_close_matches(word[:100].lower(), list(known), n=1, cutoff=0.6)
    return f" (did you mean `{close[0]}`?)" if close else ""
