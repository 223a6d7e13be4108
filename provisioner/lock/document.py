"""YAML nodes with their lines, and strict readers for them; ``store`` makes the nodes out of text."""

from dataclasses import dataclass, field


class DamageError(Exception):
    """A lockfile says something it must not; the file's name is added where it is known.

    Attributes:
        line: Line in the file, from 1.
        reason: What is wrong there.
    """

    def __init__(self, line: int, reason: str) -> None:
        """Keep both."""
        super().__init__(reason)
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Scalar:
    """One scalar; ``kind`` is YAML's type: ``str``, ``int``, ``bool``, ``null``, ``float``, ``timestamp``."""

    line: int
    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list of nodes."""

    line: int
    items: list["Node"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping with text keys, none of them twice."""

    line: int
    entries: dict[str, "Node"] = field(default_factory=dict)


Node = Scalar | Sequence | Table


def read_table(node: Node, name: str) -> Table:
    """Return a mapping.

    Raises:
        DamageError: It is none.
    """
    if not isinstance(node, Table):
        raise DamageError(node.line, f"`{name}` must be a mapping")
    return node


def read_items(node: Node, name: str) -> list[Node]:
    """Return the items of a list.

    Raises:
        DamageError: It is none.
    """
    if not isinstance(node, Sequence):
        raise DamageError(node.line, f"`{name}` must be a list")
    return node.items


def read_text(node: Node, name: str, *, kind: str = "str") -> str:
    """Return a scalar's text.

    Raises:
        DamageError: It is no scalar, or YAML takes it for another type (``1.10`` must be quoted).
    """
    if not isinstance(node, Scalar):
        raise DamageError(node.line, f"`{name}` must be a single value")
    if node.kind != kind:
        wanted = "quoted text" if kind == "str" else f"of type {kind}"
        raise DamageError(node.line, f"`{name}` must be {wanted}, not `{node.text}`")
    return node.text


def read_text_table(node: Node, name: str) -> dict[str, str]:
    """Return a mapping of text to text.

    Raises:
        DamageError: It is something else.
    """
    return {key: read_text(value, key) for key, value in read_table(node, name).entries.items()}


def check_keys(table: Table, name: str, *, required: frozenset[str], allowed: frozenset[str]) -> None:
    """Refuse unknown and missing keys.

    Raises:
        DamageError: There is one.
    """
    for key, value in table.entries.items():
        if key not in allowed:
            raise DamageError(value.line, f"`{key}` is not a key of {name}")
    if missing := sorted(required - table.entries.keys()):
        raise DamageError(table.line, f"{name} has no `{missing[0]}`")
