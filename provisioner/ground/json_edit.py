"""Change one value in the text of a JSON file with comments and leave every other byte as it is.

VS Code's settings have comments and commas before a closing brace. The libraries that keep both (json-five,
jsonc-edit) are young and little used or stand still; what is needed here is one key of the outermost object,
and what is written is read again.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from provisioner.ground.yaml_edit import UneditableError

_TOKEN = re.compile(
    r"(?P<gap>\s+|//[^\n]*|/\*.*?\*/)"
    r'|(?P<text>"(?:[^"\\\x00-\x1f]|\\.)*"|[-+.\w]+)'
    r"|(?P<mark>[{}\[\],:])",
    re.DOTALL,
)
_INDENT = "    "


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Member:
    """A key of the outermost object; ``comma`` is the end of the comma after its value, if there is one."""

    key: str
    start: int
    value: int
    end: int
    comma: int | None


def read_json(text: str) -> dict[str, Any]:
    """Return the object that a JSON text with comments holds; an empty text is an empty object.

    Raises:
        UneditableError: It is none.
    """
    tokens = [token for token in _split(text) if token.kind != "gap"]
    if not tokens:
        return {}
    kept = [
        token.text
        for token, after in zip(tokens, [*tokens[1:], None], strict=True)
        if not (token.text == "," and after and after.text in {"}", "]"})
    ]
    try:
        value = json.loads(" ".join(kept))
    except ValueError as error:
        raise UneditableError("it is not JSON with comments") from error
    if not isinstance(value, dict):
        raise UneditableError("it holds no object")
    return value


def set_key(text: str, key: str, value: str) -> str:
    """Give a key of the outermost object a value: in its place, else after the last.

    Raises:
        UneditableError: The text is no JSON object.
    """
    before = read_json(text)
    if before.get(key) == value:
        return text
    entry = json.dumps(value, ensure_ascii=False)
    members = _find_members(text)
    found = [member for member in members if member.key == key]
    if found:  # of several the last counts
        after = text[: found[-1].value] + entry + text[found[-1].end :]
    else:
        after = _insert(text, members, f"{json.dumps(key)}: {entry}")
    if read_json(after) != before | {key: value}:
        raise UneditableError("its layout is out of the ordinary")
    return after


def remove_key(text: str, key: str) -> str:
    """Take a key out of the outermost object, with the rest of its line where nothing else stands there.

    Raises:
        UneditableError: The text is no JSON object.
    """
    before = read_json(text)
    while key in read_json(text):
        members = _find_members(text)
        number = next(number for number, member in enumerate(members) if member.key == key)
        text = _cut(text, members, number)
    if read_json(text) != {name: value for name, value in before.items() if name != key}:
        raise UneditableError("its layout is out of the ordinary")
    return text


def _split(text: str) -> Iterator[_Token]:
    position = 1 if text.startswith("\ufeff") else 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            line = text.count("\n", 0, position) + 1
            raise UneditableError(f"line {line} is not JSON with comments")
        yield _Token(str(found.lastgroup), found[0], found.start(), found.end())
        position = found.end()


def _find_members(text: str) -> list[_Member]:
    """Return the members of the outermost object of a text that was read without a problem."""
    tokens = [token for token in _split(text) if token.kind != "gap"]
    members: list[_Member] = []
    depth, start = 0, 0  # ``start`` is the number of the token that begins a member
    for number, token in enumerate(tokens):
        depth += token.text in {"{", "["} if token.kind == "mark" else 0
        if depth == 1 and token.text in {"{", ",", "}"} and number:
            if start < number:
                key, value, last = tokens[start], tokens[start + 2], tokens[number - 1]
                comma = token.end if token.text == "," else None
                members.append(_Member(json.loads(key.text), key.start, value.start, last.end, comma))
            start = number + 1
        elif not number:
            start = 1
        depth -= token.text in {"}", "]"} if token.kind == "mark" else 0
    return members


def _insert(text: str, members: list[_Member], entry: str) -> str:
    line_end = "\r\n" if "\r\n" in text else "\n"
    if not members:
        brace = next((token for token in _split(text) if token.text == "}"), None)
        if brace is None:  # nothing, or comments only
            gap = line_end if text.strip("\ufeff") and not text.endswith("\n") else ""
            return f"{text}{gap}{{{line_end}{_INDENT}{entry}{line_end}}}{line_end}"
        head = text[: brace.start].rstrip(" \t\r\n")
        return f"{head}{line_end}{_INDENT}{entry}{line_end}{text[brace.start :]}"
    last = members[-1]
    begin = text.rfind("\n", 0, last.start) + 1
    indent = text[begin : last.start]
    if indent.strip() or not begin:  # it shares its line
        end = last.comma or last.end
        return f"{text[:end]}{'' if last.comma else ','} {entry}{text[end:]}"
    text = text if last.comma else f"{text[: last.end]},{text[last.end :]}"
    end = _end_of_line(text, last.comma or last.end + 1)
    return f"{text[:end]}{line_end}{indent}{entry}{text[end:]}"


def _end_of_line(text: str, position: int) -> int:
    """Return where the comments after a position end that begin on its line; a brace may come before."""
    for token in _split_from(text, position):
        newline = token.text.find("\n")
        if token.kind != "gap":
            return position
        if newline >= 0 and not token.text.startswith("/"):
            at = token.start + newline
            return at - 1 if text[at - 1] == "\r" else at
        position = token.end
    return position


def _split_from(text: str, position: int) -> Iterator[_Token]:
    return (token for token in _split(text) if token.start >= position)


def _cut(text: str, members: list[_Member], number: int) -> str:
    member = members[number]
    start, end = member.start, member.comma or member.end
    begin = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", end)
    alone = not text[begin:start].strip() and stop >= 0 and not text[end:stop].strip()
    if alone:
        start, end = begin, stop + 1
    elif member.comma:
        end += len(text[end:]) - len(text[end:].lstrip(" \t"))
    rest = text[end:]
    before = members[number - 1] if number else None
    if member.comma is None and before is not None and before.comma:
        return text[: before.comma - 1] + text[before.comma : start].rstrip(" \t") + rest
    return text[:start] + rest
