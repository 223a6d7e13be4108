"""Rows in columns and words under each other, as wide as the terminal; elsewhere no line is broken."""

import os
import re
import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

_TOKEN = re.compile(
    r"(?:^|(?<=: ))provision [a-z].*"  # a command that ends the line
    r"|`[^`\n]*`[!-~]*[，。；：、）]*"  # noqa: RUF001 # what stands in backticks
    r"|[!-~…]+[，。；：、）]*|\s+"  # noqa: RUF001 # a word, a gap
    r"|.[，。；：、）]*"  # noqa: RUF001 # one wide character
)
_FEWEST = 16  # cells beside a head in which words can still be read
_INDENT = "      "


def find_width(stream: TextIO | None = None) -> int | None:
    """Return the cells of a line of the terminal that a stream is, by default standard output; None: none."""
    stream = stream or sys.stdout
    if not stream.isatty():
        return None
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        size = os.terminal_size((80, 24))
    return shutil.get_terminal_size(size).columns


def fill_lines(text: str, width: int | None) -> str:
    """Return ``text`` with long lines filled to ``width`` cells, the rest two cells in; None: as it is."""
    if width is None:
        return text
    lines = []
    for line in text.split("\n"):
        words = line.lstrip(" ")
        indent = " " * (len(line) - len(words))
        fits = _count_cells(line) <= width
        lines.append(line if fits else fill(words, width, first=indent, rest=f"{indent}  "))
    return "\n".join(lines)


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows with their cells in columns, two spaces before and after each.

    On a terminal a row may be several lines: its last cell goes on under itself, see `hang`.
    """
    heads = [row[:-1] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*heads, strict=True)]
    beside = [
        "  " + "".join(f"{cell:<{width}}  " for cell, width in zip(head, widths, strict=True))
        for head in heads
    ]
    return [hang(head, row[-1]) for head, row in zip(beside, rows, strict=True)]


def hang(head: str, text: str) -> str:
    """Return ``text`` beside ``head``; on a terminal its words are filled, further lines under the first.

    Where the head leaves too few cells, the text stands on indented lines of its own.
    """
    line, width = f"{head}{text}".rstrip(), find_width()
    if width is None or not text or _count_cells(line) <= width:
        return line
    if width - len(head) >= _FEWEST:
        return fill(text, width, first=head, rest=" " * len(head))
    return f"{head.rstrip()}\n{fill(text, width, first=_INDENT, rest=_INDENT)}"


def fill(text: str, width: int, *, first: str, rest: str = "    ") -> str:
    """Fill to ``width`` cells; words, commands, addresses and options stay whole, Chinese breaks anywhere."""
    lines, line, gap, is_new = [], first, "", True
    for token in _TOKEN.findall(text):
        if token.isspace():
            gap = "" if is_new else " " if "\n" in token else token
            continue
        if not is_new and _count_cells(line + gap + token) > width:
            lines.append(line)
            line, gap = rest, ""
        line, gap, is_new = line + gap + token, "", False
    return "\n".join([*lines, line])


def _count_cells(text: str) -> int:
    from rich.cells import cell_len  # noqa: PLC0415 - 15 ms that programs which read our output need not wait

    return cell_len(text)
