"""Read YAML strictly, keeping the place of every value.

Only what a profile needs is read: one document of mappings, lists and scalars. PyYAML's loaders keep the
last of two equal keys, turn ``3.10`` into ``3.1`` and ``no`` into False, and expand aliases; so its events
are read instead of its values. Nothing is constructed, and nothing is expanded.
"""

import re
from collections.abc import Iterator

import yaml

from provisioner.ground.yaml_tree import Branch, Entry, Kind, Leaf, Node, Origin, Problem, Table, shown

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
# libyaml's parser where PyYAML was built with it (every wheel is), else the same events ten times slower.
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# PyYAML reads YAML 1.1, editors mostly 1.2; what either takes for something else than text is not text.
_BOOLEAN = re.compile(r"(?i:yes|no|true|false|on|off)")
_NOTHING = re.compile(r"(?i:null)|~|")
_INTEGER = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*(?::[0-5]?[0-9])*)")
_DECIMAL = re.compile(
    r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?i:inf)|\.(?i:nan)"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9:.]+[ \t]*(?:Z|[-+][0-9:]+)?)?")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_TAB_INDENT = re.compile(r"^ *\t[ \t]*[^\s#]", re.MULTILINE)


class _Stop(Exception):  # noqa: N818 # not an error: ends the reading of a file that cannot be read further
    """End the reading; the problem is already noted."""


def read_yaml(data: bytes, file: str) -> tuple[Table | None, list[Problem]]:
    """Return the mapping that ``data`` holds, None where it cannot be read, and every problem found.

    Args:
        data: The file's bytes; more than ``MAX_BYTES`` are refused.
        file: The file's name for messages.
    """
    reader = _Reader(file)
    try:
        return reader.read(data), reader.problems
    except _Stop:
        return None, reader.problems


class _Reader:
    """The problems and the position while one file is read."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def read(self, data: bytes) -> Table:
        text = self._decode(data)
        events = self._events(text)
        next(events)  # the stream's start
        event = next(events)
        if not isinstance(event, yaml.DocumentStartEvent):
            raise self._stop("empty", "the file is empty", event)
        if event.version or event.tags:
            self._note(
                "syntax", "YAML directives are not read here", event, "remove the lines that begin with `%`"
            )
        root = self._node(next(events), events, depth=1)
        next(events)  # the document's end
        event = next(events)
        if isinstance(event, yaml.DocumentStartEvent):
            raise self._stop(
                "documents", "a second YAML document begins here", event, "keep one document in a file"
            )
        if isinstance(root, Table):
            return root
        if isinstance(root, Leaf) and root.kind is Kind.REFUSED:
            raise _Stop
        raise self._stop("wrong_type", "the file holds no mapping of keys to values", root.origin)

    def _decode(self, data: bytes) -> str:
        """Return the text, or stop at the first byte or character that a profile cannot hold."""
        start = Origin(file=self.file, line=1, column=1)
        if len(data) > MAX_BYTES:
            raise self._stop("too_large", f"the file is larger than {MAX_BYTES // 1024} KiB", start)
        if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
            name = "UTF-8 byte order mark" if data.startswith(b"\xef") else "UTF-16 byte order mark"
            raise self._stop(
                "encoding",
                f"the file begins with a {name}",
                start,
                "save it as UTF-8 without a byte order mark",
            )
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            place = self._origin_at(data[: error.start].decode("utf-8"))
            raise self._stop(
                "encoding", f"byte 0x{data[error.start]:02x} is not UTF-8", place, "save the file as UTF-8"
            ) from error
        if found := _CONTROL.search(text):
            place = self._origin_at(text[: found.start()])
            raise self._stop("encoding", f"character U+{ord(found[0]):04X} has no place in a profile", place)
        return text

    def _origin_at(self, before: str) -> Origin:
        line_start = max(before.rfind("\n"), before.rfind("\r")) + 1
        lines = before.count("\n") + before.replace("\r\n", "").count("\r")
        return Origin(file=self.file, line=lines + 1, column=len(before) - line_start + 1)

    def _events(self, text: str) -> Iterator[yaml.Event]:
        """Yield PyYAML's events; a syntax error becomes a problem that ends the reading."""
        try:
            yield from yaml.parse(text, Loader=LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            tab = _TAB_INDENT.search(text)
            if tab and text.count("\n", 0, tab.start()) < line:
                place = self._origin_at(text[: tab.start() + tab[0].index("\t")])
                raise self._stop(
                    "syntax", "a tab stands in the indentation", place, "indent by spaces"
                ) from error
            place = Origin(file=self.file, line=line, column=column)
            said = ", ".join(part for part in (error.context, error.problem) if part)
            hint = "text with any of `: # [ ] { } , & * ! | > % @` may need quotes"
            raise self._stop("syntax", f"this is not YAML: {said}", place, hint) from error

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], *, depth: int) -> Node:
        """Build the node that ``event`` begins."""
        if isinstance(event, yaml.AliasEvent):
            self._note(
                "alias", f"alias {shown(f'*{event.anchor}')} is not read here", event, "write the value out"
            )
            return self._refused(event)
        if depth > MAX_DEPTH:
            raise self._stop("too_deep", f"values are nested more than {MAX_DEPTH} deep", event)
        if not isinstance(event, yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent):
            raise self._stop("syntax", "a value is missing here", event)
        refused = self._refuse_properties(event)
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(child := next(events), yaml.SequenceEndEvent):
                items.append(self._node(child, events, depth=depth + 1))
            return self._refused(event) if refused else Branch(items=tuple(items), origin=self._origin(event))
        if isinstance(event, yaml.MappingStartEvent):
            table = self._table(event, events, depth=depth)
            return self._refused(event) if refused else table
        if refused:
            return self._refused(event)
        # An unquoted scalar's style is None from the one parser and empty from the other.
        kind = Kind.TEXT if event.style else _plain_kind(event.value)
        return Leaf(text=event.value, kind=kind, origin=self._origin(event))

    def _refuse_properties(self, event: yaml.NodeEvent) -> bool:
        """Note a tag or an anchor; return whether the value behind it is to be left out."""
        tag = getattr(event, "tag", None)
        if event.anchor is not None:
            self._note("alias", f"anchor {shown('&' + event.anchor)} is not read here", event, "remove it")
        if tag is not None:
            self._note(
                "tag", f"tag {shown(tag)} is not read here", event, "remove it and write the plain value"
            )
        return tag is not None

    def _table(self, start: yaml.MappingStartEvent, events: Iterator[yaml.Event], *, depth: int) -> Table:
        """Build a mapping; of equal keys the first counts and each other is a problem."""
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._node(event, events, depth=depth + 1)
            value = self._node(next(events), events, depth=depth + 1)
            if not isinstance(key, Leaf):
                self._note("wrong_type", "a key is a list or a mapping here", key.origin, "use a word as key")
            elif key.kind is Kind.REFUSED:
                continue
            elif key.kind is not Kind.TEXT:
                self._note(
                    "wrong_type",
                    f"key {shown(key.text)} is {key.kind} to YAML, not text",
                    key.origin,
                    f'write it in quotes: "{key.text}"',
                )
            elif key.text == "<<":
                self._note("alias", "merge key `<<` is not read here", key.origin, "use `extends`")
            elif first := entries.get(key.text):
                self._note(
                    "duplicate_key",
                    f"key {shown(key.text)} is already given at {first.key.origin}",
                    key.origin,
                    "keep one of the two",
                )
            else:
                entries[key.text] = Entry(key=key, value=value)
        return Table(entries=tuple(entries.values()), origin=self._origin(start))

    def _refused(self, event: yaml.Event) -> Leaf:
        return Leaf(text="", kind=Kind.REFUSED, origin=self._origin(event))

    def _origin(self, event: yaml.Event) -> Origin:
        mark = event.start_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        return Origin(file=self.file, line=line + 1, column=column + 1)

    def _note(self, code: str, message: str, at: yaml.Event | Origin, *hints: str) -> None:
        origin = at if isinstance(at, Origin) else self._origin(at)
        self.problems.append(Problem(code=f"profile.{code}", message=message, origin=origin, hints=hints))

    def _stop(self, code: str, message: str, at: yaml.Event | Origin, *hints: str) -> _Stop:
        self._note(code, message, at, *hints)
        return _Stop(message)


def _plain_kind(text: str) -> Kind:
    """Return what an unquoted scalar is to YAML 1.1 or 1.2, whichever takes it for more than text."""
    for kind, pattern in (
        (Kind.NOTHING, _NOTHING),
        (Kind.BOOLEAN, _BOOLEAN),
        (Kind.INTEGER, _INTEGER),
        (Kind.DECIMAL, _DECIMAL),
        (Kind.DATE, _DATE),
    ):
        if pattern.fullmatch(text):
            return kind
    return Kind.TEXT
