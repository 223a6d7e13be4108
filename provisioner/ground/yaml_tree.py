"""What a YAML file says, with the place of every value: the reader builds this tree, and parsers read it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from provisioner.errors import ErrorList, Problem, UsageError

MAX_PROBLEMS = 100


class Kind(StrEnum):
    """What a scalar is to YAML; the value is the word for messages. Quoted text is always ``TEXT``."""

    TEXT = "text"
    INTEGER = "a whole number"
    DECIMAL = "a number"
    BOOLEAN = "true or false"
    DATE = "a date"
    NOTHING = "empty"
    MERGE = "a merge key"
    REFUSED = "refused"


# Tuples where a large lockfile makes tens of thousands of them: they are built twice as fast as dataclasses.
class Origin(NamedTuple):
    """Where a value was written; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """Return ``file:line:column``, which editors open."""
        return f"{self.file}:{self.line}:{self.column}"


class Leaf(NamedTuple):
    """One scalar. ``REFUSED`` leaves take the place of values for which the reader has noted a problem.

    ``mark`` is PyYAML's: an ``Origin`` for each scalar would make reading a lockfile a quarter slower.
    """

    text: str
    kind: Kind
    file: str
    mark: Any

    @property
    def origin(self) -> Origin:
        """Return where the scalar begins."""
        return Origin(self.file, self.mark.line + 1, self.mark.column + 1)


@dataclass(frozen=True, slots=True)
class Branch:
    """One list."""

    origin: Origin
    items: list["Node"] = field(default_factory=list)


class Entry(NamedTuple):
    """One key of a mapping with its value."""

    key: Leaf
    value: "Node"


@dataclass(frozen=True, slots=True)
class Table:
    """One mapping of text to nodes, in the order of the file."""

    origin: Origin
    entries: dict[str, Entry] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries as written."""
        return iter(self.entries.values())

    def get(self, key: str) -> "Node | None":
        """Return the value of ``key``, None where it is not written."""
        entry = self.entries.get(key)
        return entry.value if entry else None


Node = Leaf | Branch | Table


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedProblem(Problem):
    """Something wrong in a file; ``message`` is a sentence without the place."""

    origin: Origin

    def as_error(self, area: str) -> UsageError:
        """Return the error whose message starts with ``file:line:column``, whose code with ``area``."""
        return UsageError(
            f"{area}.{self.code}",
            f"{self.origin}: {self.message}",
            hints=self.hints,
            context=self.origin._asdict(),
        )


def raise_problems(problems: Iterable[PlacedProblem], *, area: str) -> None:
    """Raise every problem at once, in the order of the files' lines; return where there is none.

    Args:
        problems: Of the reader and the checks.
        area: First part of the errors' codes: ``profile``, ``config``.

    Raises:
        ErrorList: Of ``UsageError``; of more than ``MAX_PROBLEMS`` the rest is left out.
    """
    unique = list(dict.fromkeys(problems))
    if not unique:
        return
    files = {file: i for i, file in enumerate(dict.fromkeys(problem.origin.file for problem in unique))}
    unique.sort(key=lambda p: (files[p.origin.file], p.origin.line, p.origin.column))
    errors = [problem.as_error(area) for problem in unique[:MAX_PROBLEMS]]
    if len(unique) > MAX_PROBLEMS:
        errors.append(UsageError(f"{area}.more", "and more problems"))
    raise ErrorList(errors)


def plain(node: Node) -> Any:
    """Return the node as Python values: dict, list, str, int, float, bool.

    For nodes that passed ``yaml_fields.check_node``; a scalar that is not a number or a flag stays text.
    """
    if isinstance(node, Leaf):
        match node.kind:
            case Kind.BOOLEAN:
                return node.text == "true"
            case Kind.INTEGER:
                return int(node.text)
            case Kind.DECIMAL:
                return float(node.text)
            case _:
                return node.text
    if isinstance(node, Table):
        return {key: plain(entry.value) for key, entry in node.entries.items()}
    return [plain(item) for item in node.items]


def find_node(node: Node | None, *path: str) -> Node | None:
    """Return what lies under nested keys, None where one is absent."""
    for key in path:
        node = node.get(key) if isinstance(node, Table) else None
    return node


def find_items(node: Node | None, *path: str) -> Sequence[Node]:
    """Return the items of the list under nested keys; nothing for what is absent or not a list."""
    found = find_node(node, *path)
    return found.items if isinstance(found, Branch) else ()


def find_leaves(node: Node | None, *path: str) -> list[Leaf]:
    """Return the scalars of the list under nested keys."""
    return [item for item in find_items(node, *path) if isinstance(item, Leaf)]


def find_texts(node: Node | None, *path: str) -> list[tuple[Leaf, Leaf]]:
    """Return the keys of the mapping under nested keys whose values are scalars, with these."""
    table = find_node(node, *path)
    entries = table if isinstance(table, Table) else ()
    return [(entry.key, entry.value) for entry in entries if isinstance(entry.value, Leaf)]


def find_origin(node: Node, *path: str) -> Origin:
    """Return the place of what lies under nested keys, or of the mapping in which a key is absent."""
    for key in path:
        below = find_node(node, key)
        if below is None:
            break
        node = below
    return node.origin
