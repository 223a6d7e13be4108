"""Kinds of value that a YAML file may hold, and the check of a file's tree against them.

One table of these drives the parser (``check_node``) and the JSON Schema (``schema.py``): they agree.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from provisioner.ground.text import did_you_mean, shown
from provisioner.ground.yaml_tree import MAX_PROBLEMS, Branch, Entry, Kind, Leaf, Node, PlacedProblem, Table

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
        free: Whether it may be of any length and hold characters that cannot be printed (``ANY_TEXT``).
    """

    description: str = ""
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    expected: str = "text"
    check: Callable[[str], Reason | None] | None = None
    code: str = "bad_value"
    free: bool = False


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
    """A list; with ``or_one`` a single item may be written without the list."""

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


ANY_TEXT = Text(free=True)
Spec = Text | Flag | Number | ListOf | MapOf | Record
_WORDS = {Text: "text", Flag: "`true` or `false`", Number: "a number"}


def check_node(node: Node, spec: Spec, problems: list[PlacedProblem], *, name: str) -> Node | None:
    """Return ``node`` with everything in it that fits ``spec``; add a problem for everything that does not.

    A single item under ``ListOf(or_one=True)`` comes back as a list of one. After ``MAX_PROBLEMS`` nothing
    more is looked at, so that a file of a hundred thousand mistakes is answered soon.

    Args:
        node: A tree of ``yaml_reader``.
        spec: What is expected.
        problems: Receives the problems.
        name: The key's name for messages.
    """
    # The commonest case first: a large lockfile has thousands of texts of which nothing more is asked.
    if spec is ANY_TEXT and isinstance(node, Leaf) and node.kind is Kind.TEXT:
        return node
    if len(problems) > MAX_PROBLEMS:
        return None
    match spec:
        case Text() | Flag() | Number():
            return _check_leaf(node, spec, problems, name=name)
        case ListOf():
            return _check_list(node, spec, problems, name=name)
        case Record():
            return _check_record(node, spec, problems, name=name)
        case MapOf():
            return _check_map(node, spec, problems, name=name)


def _check_record(node: Node, spec: Record, problems: list[PlacedProblem], *, name: str) -> Table | None:
    if not isinstance(node, Table):
        _note_wrong_type(node, "a mapping", problems, name=name)
        return None
    checked = Table(node.origin)
    for key, entry in node.entries.items():
        field_spec = spec.fields.get(key)
        if field_spec is None:
            message = f"unknown key {shown(key)}{did_you_mean(key, spec.fields)}"
            _note(problems, "unknown_key", message, entry.key, f"known keys here: {', '.join(spec.fields)}")
            continue
        value = check_node(entry.value, field_spec, problems, name=key)
        if value is not None:
            checked.entries[key] = entry if value is entry.value else Entry(entry.key, value)
    for key in spec.required:
        if key not in node.entries:
            _note(problems, "missing_key", f"key {shown(key)} is missing in {name}", node)
    return checked


def _check_map(node: Node, spec: MapOf, problems: list[PlacedProblem], *, name: str) -> Table | None:
    if not isinstance(node, Table):
        _note_wrong_type(node, "a mapping", problems, name=name)
        return None
    checked = Table(node.origin)
    for key, entry in node.entries.items():
        key_leaf = check_node(entry.key, spec.key, problems, name=name)
        value = check_node(entry.value, spec.value, problems, name=key)
        if key_leaf is not None and value is not None:
            checked.entries[key] = entry if value is entry.value else Entry(entry.key, value)
    return checked


def _check_list(node: Node, spec: ListOf, problems: list[PlacedProblem], *, name: str) -> Branch | None:
    if spec.or_one and isinstance(node, Leaf) and node.kind is Kind.TEXT:
        node = Branch(node.origin, [node])
    if not isinstance(node, Branch):
        _note_wrong_type(node, "a list", problems, name=name)
        return None
    if len(node.items) < spec.min_items:
        _note_wrong_type(node, "a list that is not empty", problems, name=name)
        return None
    item_name = f"an item of {name}"
    checked = [check_node(item, spec.item, problems, name=item_name) for item in node.items]
    return Branch(node.origin, [item for item in checked if item is not None])


def _check_leaf(
    node: Node, spec: Text | Flag | Number, problems: list[PlacedProblem], *, name: str
) -> Leaf | None:
    """Return the leaf if it is of the type and its value will do."""
    if not isinstance(node, Leaf):
        _note_wrong_type(node, _WORDS[type(spec)], problems, name=name)
        return None
    fits, found = False, None
    match spec:
        case Text() if node.kind is Kind.TEXT:
            fits, found = True, _check_text(node.text, spec)
        case Flag() if node.kind is Kind.BOOLEAN:
            fits = node.text in {"true", "false"}
        case Number() if node.kind in {Kind.INTEGER, Kind.DECIMAL} and _NUMBER.fullmatch(node.text):
            fits, found = True, _check_number(node.text, spec)
    if not fits:
        _note_wrong_type(node, _WORDS[type(spec)], problems, name=name)
        return None
    if found:
        _note(problems, found[0], f"{name}: {found[1]}", node)
        return None
    return node


def _check_number(text: str, spec: Number) -> tuple[str, Reason] | None:
    if spec.minimum <= float(text) <= spec.maximum:
        return None
    return "bad_value", f"{shown(text)} is not between {spec.minimum:g} and {spec.maximum:g}"


def _check_text(text: str, spec: Text) -> tuple[str, Reason] | None:
    """Return the code and reason against a text: its choices, length, pattern or meaning, in this order."""
    if spec.choices and text not in spec.choices:
        known = ", ".join(spec.choices)
        return "bad_value", f"{shown(text)} is not one of {known}{did_you_mean(text, spec.choices)}"
    if len(text) > MAX_TEXT and not spec.free:
        return "bad_value", f"{shown(text)} has more than {MAX_TEXT} characters"
    if spec.pattern and not re.fullmatch(spec.pattern, text):
        return "bad_value", f"{shown(text)} is not {spec.expected}"
    if not (spec.free or text.isprintable()):
        return "unprintable", f"{shown(text)} holds characters that cannot be printed"
    reason = spec.check(text) if spec.check else None
    return (spec.code, reason) if reason else None


def _note_wrong_type(node: Node, wanted: str, problems: list[PlacedProblem], *, name: str) -> None:
    """Note a value of another type; where quotes would mend it, the hint has them."""
    hints: tuple[str, ...] = ()
    if isinstance(node, Table):
        found = "a mapping"
    elif isinstance(node, Branch):
        found = "a list" if node.items else "an empty list"
    elif node.kind is Kind.REFUSED:
        return  # the reader has noted it
    elif node.kind is Kind.NOTHING:
        found, hints = "empty", (f"write {wanted}, or remove the key",)
    elif node.kind is Kind.TEXT:
        found = f"the text {shown(node.text)}"
    else:
        found = f"{shown(node.text)}, which is {node.kind} to YAML"
        hints = (f'write it in quotes: "{node.text}"',) if wanted == "text" else ()
    _note(problems, "wrong_type", f"{name} is {found}; {wanted} is expected", node, *hints)


def _note(problems: list[PlacedProblem], code: str, message: str, node: Node, *hints: str) -> None:
    problems.append(PlacedProblem(code=code, message=message, origin=node.origin, hints=hints))
