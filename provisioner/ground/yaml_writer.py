"""Write values as block YAML.

Hand-written, since the bytes are a promise: a lock must not look different after an update of a library.
"""

import re
from collections.abc import Mapping, Sequence

Scalar = str | int
Item = Scalar | Mapping[str, "Value"]
Value = Item | Sequence[Item]

# Text that no YAML reader takes for anything else: it starts with a letter, and `: ` and ` #` do not occur.
_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9_./+@%~=()*-]|:(?=[^\s:])|[ ,](?=[A-Za-z0-9(]))*")
_RESERVED = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_PRINTABLE_LINE = re.compile(r"[!-~](?:[ -~]*[!-~])?|[ -~]*[!-~]")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def write_yaml(value: Mapping[str, Value], *, indent: str = "") -> list[str]:
    """Return a mapping as lines of block YAML, ASCII only, in the mapping's order."""
    lines: list[str] = []
    for key, item in value.items():
        lines += _write_item(f"{indent}{_scalar(key)}:", item, indent)
    return lines


def _write_item(head: str, value: Value, indent: str) -> list[str]:
    if isinstance(value, Mapping):
        return [head, *write_yaml(value, indent=indent + "  ")] if value else [f"{head} {{}}"]
    if isinstance(value, str) and _is_literal(value):
        return [f"{head} |-", *(f"{indent}  {line}" for line in value.split("\n"))]
    if isinstance(value, str | int):
        return [f"{head} {_scalar(value)}"]
    return [head, *_write_list(value, indent)] if value else [f"{head} []"]


def _write_list(items: Sequence[Item], indent: str) -> list[str]:
    lines: list[str] = []
    for item in items:
        if isinstance(item, Mapping) and item:
            first, *rest = write_yaml(item, indent=indent + "  ")
            lines += [f"{indent}- {first.lstrip()}", *rest]
        else:
            lines += _write_item(f"{indent}-", item, indent)
    return lines


def _is_literal(text: str) -> bool:
    lines = text.split("\n")
    return (
        len(lines) > 1
        and not text.startswith(" ")
        and all(_PRINTABLE_LINE.fullmatch(line) is not None for line in lines)
    )


def _scalar(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
        return value
    if all(" " <= character <= "~" for character in value):
        return "'" + value.replace("'", "''") + "'"
    return '"' + "".join(_escape(character) for character in value) + '"'


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if " " <= character <= "~":
        return character
    code = ord(character)
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"
