"""Read YAML strictly, keeping the place of every value.

Only what our files need is read: one document of mappings, lists and scalars. PyYAML's loaders keep the
last of two equal keys, turn ``3.10`` into ``3.1`` and ``no`` into False, expand aliases, and recurse in C
until 200 kB of ``[`` crash them; so its events are read instead of its values. Nothing is constructed, and
nothing is expanded.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from typing import Any

import yaml

from provisioner.ground.text import shown
from provisioner.ground.yaml_tree import (
    MAX_PROBLEMS,
    Branch,
    Entry,
    Kind,
    Leaf,
    Node,
    Origin,
    PlacedProblem,
    Table,
)

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
# libyaml's parser where PyYAML was built with it (every wheel is), else the same events ten times slower.
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# PyYAML reads YAML 1.1, editors mostly 1.2; what either takes for something else than text is not text.
_WORDS = {
    **dict.fromkeys(("yes", "no", "true", "false", "on", "off"), Kind.BOOLEAN),
    **dict.fromkeys(("null", "~", ""), Kind.NOTHING),
    "<<": Kind.MERGE,
}
_NUMBERS = (
    (
        Kind.INTEGER,
        re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*(?::[0-5]?[0-9])*)"),
    ),
    (
        Kind.DECIMAL,
        re.compile(
            r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?i:inf)|\.(?i:nan)"
        ),
    ),
    (
        Kind.DATE,
        re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9:.]+[ \t]*(?:Z|[-+][0-9:]+)?)?"),
    ),
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_TAB_INDENT = re.compile(r"^ *\t[ \t]*[^\s#]", re.MULTILINE)
# Quoted text and comments, whose brackets open nothing, and the brackets that do.
_BRACKET = re.compile(r""""(?:[^"\\]|\\.)*"?|'[^']*'?|#[^\n]*|([\[{])|[]}]""", re.DOTALL)


def read_yaml(
    data: bytes, file: str, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH
) -> tuple[Table | None, list[PlacedProblem]]:
    """Return the mapping that ``data`` holds, None where it cannot be read, and every problem found.

    Args:
        data: The file's bytes.
        file: The file's name for messages.
        max_bytes: Longer data are refused.
        max_depth: Values nested deeper are refused.
    """
    root, problems = read_document(data, file, max_bytes=max_bytes, max_depth=max_depth)
    if isinstance(root, Table | None):
        return root, problems
    if not (isinstance(root, Leaf) and root.kind is Kind.REFUSED):
        message = "the file is not a mapping of keys to values"
        problems.append(PlacedProblem(code="wrong_type", message=message, origin=root.origin))
    return None, problems


def read_document(
    data: bytes, file: str, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH
) -> tuple[Node | None, list[PlacedProblem]]:
    """Return what ``data`` holds, mapping or not; the rest as for ``read_yaml``."""
    reader = _Reader(file, max_depth=max_depth)
    try:
        return reader.build(reader.decode(data, max_bytes)), reader.problems
    except _Stop:
        return None, reader.problems


class _Stop(Exception):  # noqa: N818 # not an error: ends the reading of a file that cannot be read further
    """End the reading; the problem is already noted."""


class _Open:
    """A list or mapping whose end is not reached; in a mapping, ``key`` is None or waits for its value."""

    __slots__ = ("has_key", "key", "node")

    def __init__(self, node: Branch | Table) -> None:
        self.node = node
        self.has_key = False
        self.key: Leaf | None = None


class _Reader:
    """The problems and the position while one file is read."""

    def __init__(self, file: str, *, max_depth: int) -> None:
        self.file = file
        self.max_depth = max_depth
        self.problems: list[PlacedProblem] = []

    def decode(self, data: bytes, max_bytes: int) -> str:
        """Return the text, or stop at the first byte or character that no file of ours can hold."""
        start = Origin(self.file, 1, 1)
        if len(data) > max_bytes:
            raise self._stop("too_large", f"the file is larger than {max_bytes // 1024} KiB", start)
        if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
            name = "UTF-8 byte order mark" if data.startswith(b"\xef") else "UTF-16 byte order mark"
            message = f"the file begins with a {name}"
            raise self._stop("encoding", message, start, "save it as UTF-8 without a byte order mark")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            place = self._origin_at(data[: error.start].decode("utf-8"))
            message = f"byte 0x{data[error.start]:02x} is not UTF-8"
            raise self._stop("encoding", message, place, "save the file as UTF-8") from error
        if found := _CONTROL.search(text):
            place = self._origin_at(text[: found.start()])
            raise self._stop("encoding", f"character U+{ord(found[0]):04X} is not allowed here", place)
        return text

    def _origin_at(self, before: str) -> Origin:
        line_start = max(before.rfind("\n"), before.rfind("\r")) + 1
        lines = before.count("\n") + before.replace("\r\n", "").count("\r")
        return Origin(self.file, lines + 1, len(before) - line_start + 1)

    def build(self, text: str) -> Node:
        """Return the document's root; without recursion, so that no nesting can exhaust the stack."""
        root: Node | None = None
        opened: list[_Open] = []
        for event in self._events(text, opened):
            if isinstance(event, yaml.NodeEvent):
                node = self._make_node(event)
                if len(opened) >= self.max_depth:
                    raise self._stop_too_deep(node.origin)
                # An alias, which cannot have a tag, is known by its anchor.
                bare = event.anchor is None and event.tag is None  # type: ignore[attr-defined]
                value = node if bare else self._refuse(event, node)
                if opened:
                    self._place(opened[-1], value)
                else:
                    root = value
                if not isinstance(node, Leaf):
                    opened.append(_Open(node))
            elif isinstance(event, yaml.CollectionEndEvent):
                opened.pop()
            elif isinstance(event, yaml.DocumentStartEvent):
                self._start_document(event, first=root is None)
        if root is None:
            raise self._stop("empty", "the file is empty", self._origin_at(text))
        return root

    def _start_document(self, event: yaml.DocumentStartEvent, *, first: bool) -> None:
        if not first:
            message = "a second YAML document begins here"
            raise self._stop(
                "documents", message, self._origin(event.start_mark), "keep one document in a file"
            )
        if event.version or event.tags:
            message, hint = "YAML directives are not read here", "remove the lines that begin with `%`"
            self._note("syntax", message, self._origin(event.start_mark), hint)

    def _events(self, text: str, opened: list[_Open]) -> Iterator[Any]:
        """Yield PyYAML's events; a syntax error becomes a problem that ends the reading."""
        loader = LOADER(text)
        last = None
        try:
            while not isinstance(last, yaml.StreamEndEvent):
                last = loader.get_event()  # type: ignore[no-untyped-call]
                yield last
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
            after = last.end_mark.index if last else 0
            raise self._stop_syntax(text, error, mark, after=after, depth=len(opened)) from error
        finally:
            loader.dispose()

    def _stop_syntax(self, text: str, error: Exception, mark: Any, *, after: int, depth: int) -> _Stop:
        """Note what the parser refused; it has given out everything before the character ``after``."""
        place = self._origin(mark)
        end = mark.index if mark else after
        # The parser reads a line of brackets to its end, or to a limit of its own, before it gives out one.
        brackets = [found for found in _BRACKET.finditer(text, after, end + 1) if found[0] in "[]{}"]
        depths = accumulate((1 if found[1] else -1 for found in brackets), initial=depth)
        for found, opened in zip(brackets, depths, strict=False):
            if found[1] and opened >= self.max_depth:
                return self._stop_too_deep(self._origin_at(text[: found.start()]))
        tab = _TAB_INDENT.search(text)
        if tab and text.count("\n", 0, tab.start()) < place.line:
            place = self._origin_at(text[: tab.start() + tab[0].index("\t")])
            return self._stop("syntax", "there is a tab in the indentation", place, "indent by spaces")
        said = ", ".join(
            part for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part
        )
        hint = "text with any of `: # [ ] { } , & * ! | > % @` may need quotes"
        return self._stop("syntax", f"this is not YAML: {said}", place, hint)

    def _make_node(self, event: Any) -> Node:
        """Return the value that an event begins; a list or mapping is filled by the events that follow."""
        mark = event.start_mark
        if isinstance(event, yaml.ScalarEvent):
            # An unquoted scalar's style is None from the one parser and empty from the other.
            kind = Kind.TEXT if event.style else _plain_kind(event.value)
            return Leaf(event.value, kind, self.file, mark)
        if isinstance(event, yaml.CollectionStartEvent):
            origin = self._origin(mark)
            return Table(origin) if isinstance(event, yaml.MappingStartEvent) else Branch(origin)
        return Leaf("", Kind.REFUSED, self.file, mark)

    def _refuse(self, event: Any, node: Node) -> Node:
        """Note an alias, an anchor or a tag; return the value, without what a tag would make of it."""
        if isinstance(event, yaml.AliasEvent):
            message = f"alias {shown(f'*{event.anchor}')} is not read here"
            self._note("alias", message, node.origin, "write the value out")
            return node
        if event.anchor is not None:
            message = f"anchor {shown('&' + event.anchor)} is not read here"
            self._note("alias", message, node.origin, "remove it")
        if event.tag is None:
            return node
        hint = "remove it and write the plain value"
        self._note("tag", f"tag {shown(event.tag)} is not read here", node.origin, hint)
        return Leaf("", Kind.REFUSED, self.file, event.start_mark)

    def _place(self, opened: _Open, value: Node) -> None:
        """Put a value where it belongs: into a list, or into a mapping as a key or behind one."""
        if isinstance(opened.node, Branch):
            opened.node.items.append(value)
        elif not opened.has_key:
            opened.has_key, opened.key = True, self._check_key(value, opened.node)
        else:
            opened.has_key = False
            if opened.key is not None:
                opened.node.entries[opened.key.text] = Entry(opened.key, value)

    def _check_key(self, key: Node, table: Table) -> Leaf | None:
        """Return the key if it is text; of equal keys the first counts and each other is a problem."""
        if not isinstance(key, Leaf):
            self._note("wrong_type", "a key is a list or a mapping here", key.origin, "use a word as key")
        elif key.kind is Kind.MERGE:
            self._note("alias", "merge key `<<` is not read here", key.origin, "write the values out")
        elif key.kind is Kind.TEXT:
            first = table.entries.get(key.text)
            if first is None:
                return key
            message = f"key {shown(key.text)} is already given at {first.key.origin}"
            self._note("duplicate_key", message, key.origin, "keep one of the two")
        elif key.kind is not Kind.REFUSED:
            message = f"key {shown(key.text)} is {key.kind} to YAML, not text"
            self._note("wrong_type", message, key.origin, f'write it in quotes: "{key.text}"')
        return None

    def _origin(self, mark: Any) -> Origin:
        return Origin(self.file, mark.line + 1, mark.column + 1) if mark else Origin(self.file, 1, 1)

    def _note(self, code: str, message: str, origin: Origin, *hints: str) -> None:
        self._stop(code, message, origin, *hints)
        if len(self.problems) > MAX_PROBLEMS:
            raise _Stop

    def _stop(self, code: str, message: str, origin: Origin, *hints: str) -> _Stop:
        self.problems.append(PlacedProblem(code=code, message=message, origin=origin, hints=hints))
        return _Stop(message)

    def _stop_too_deep(self, origin: Origin) -> _Stop:
        return self._stop("too_deep", f"values are nested more than {self.max_depth} deep", origin)


@lru_cache(maxsize=4096)  # the keys of a lockfile's entries return by the thousand
def _plain_kind(text: str) -> Kind:
    """Return what an unquoted scalar is to YAML 1.1 or 1.2, whichever takes it for more than text."""
    if text[:1] in "0123456789+-." and text:
        return next((kind for kind, pattern in _NUMBERS if pattern.fullmatch(text)), Kind.TEXT)
    return _WORDS.get(text.lower(), Kind.TEXT)
