"""What a YAML file says, with the place of every value: the reader writes this tree, the parser reads it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from provisioner.errors import ErrorList, UsageError

MAX_SHOWN = 60
MAX_PROBLEMS = 100


class Kind(StrEnum):
    """What a scalar is to YAML; the value is the word for messages. Quoted text is always ``TEXT``."""

    TEXT = "text"
    INTEGER = "a whole number"
    DECIMAL = "a number"
    BOOLEAN = "true or false"
    DATE = "a date"
    NOTHING = "empty"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a value was written; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """Return ``file:line:column``, which editors open."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """One scalar. ``REFUSED`` leaves stand for values that the reader has already complained about."""

    text: str
    kind: Kind
    origin: Origin


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """One list."""

    items: tuple["Node", ...]
    origin: Origin


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One key of a mapping with its value."""

    key: Leaf
    value: "Node"


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One mapping; its keys are distinct."""

    entries: tuple[Entry, ...]
    origin: Origin

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries as written."""
        return iter(self.entries)

    def get(self, key: str) -> "Node | None":
        """Return the value of ``key``, None where it is not written."""
        return next((entry.value for entry in self.entries if entry.key.text == key), None)


Node = Leaf | Branch | Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something wrong in a file; ``message`` is a sentence without the place."""

    code: str
    message: str
    origin: Origin
    hints: tuple[str, ...] = ()

    def as_error(self, area: str) -> UsageError:
        """Return the error whose message starts with ``file:line:column``, whose code with ``area``."""
        code = self.code.replace("profile.", f"{area}.", 1)
        place = {"file": self.origin.file, "line": self.origin.line, "column": self.origin.column}
        return UsageError(code, f"{self.origin}: {self.message}", hints=self.hints, context=place)


def raise_problems(problems: list[Problem], *, area: str = "profile") -> None:
    """Raise every problem at once, in the order of the files' lines; return where there is none.

    Args:
        problems: Of the reader and the checks.
        area: First part of the errors' codes, for files that are no profiles.

    Raises:
        ErrorList: Of ``UsageError``; beyond ``MAX_PROBLEMS`` only their number is told.
    """
    if not problems:
        return
    files = {file: i for i, file in enumerate(dict.fromkeys(problem.origin.file for problem in problems))}
    ordered = sorted(
        dict.fromkeys(problems), key=lambda p: (files[p.origin.file], p.origin.line, p.origin.column)
    )
    errors = [problem.as_error(area) for problem in ordered[:MAX_PROBLEMS]]
    if len(ordered) > MAX_PROBLEMS:
        errors.append(UsageError(f"{area}.more", f"and {len(ordered) - MAX_PROBLEMS} more problems"))
    raise ErrorList(errors)


def shown(text: str) -> str:
    """Return ``text`` in backticks for a message: cut to a line's length, nothing that a terminal obeys."""
    cut = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
    return f"`{safe}`"


def plain(node: Node) -> Any:
    """Return the node as Python values: dict, list, str, int, float, bool.

    For nodes that passed ``fields.check_node``; a scalar that is not a number or a flag stays text.
    """
    if isinstance(node, Table):
        return {entry.key.text: plain(entry.value) for entry in node}
    if isinstance(node, Branch):
        return [plain(item) for item in node.items]
    if node.kind is Kind.BOOLEAN:
        return node.text == "true"
    if node.kind is Kind.INTEGER:
        return int(node.text)
    if node.kind is Kind.DECIMAL:
        return float(node.text)
    return node.text
