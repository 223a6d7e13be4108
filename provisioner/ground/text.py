"""Make text from outside fit for a message: nothing that a terminal obeys, nothing too long."""

import difflib
from collections.abc import Iterable

MAX_SHOWN = 60


def escape_controls(text: str, *, keep: str = "") -> str:
    r"""Return ``text`` with what cannot be printed written out (``\x1b``), except the characters ``keep``."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii") for c in text
    )


def replace_controls(text: str, replacement: str = " ", *, keep: str = "") -> str:
    """Return ``text`` with ``replacement`` for what cannot be printed, except the characters ``keep``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else replacement for c in text)


def shorten(text: str, max_chars: int) -> str:
    """Return ``text`` on one line without control characters; of a long one the first and the last part."""
    line = " ".join(replace_controls(text).split())
    return line if len(line) <= max_chars else f"{line[: max_chars // 2]} … {line[-max_chars // 2 :]}"


def shown(text: str) -> str:
    """Return ``text`` in backticks for a message: cut to ``MAX_SHOWN`` characters, and escaped."""
    cut = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    return f"`{escape_controls(cut)}`"


def as_word(path: str) -> str:
    """Return a path as one word of a command: in quotes, which all shells know, where it has spaces."""
    return f'"{path}"' if " " in path else path


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 file``, ``2 files``, ``3 advisories``."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean `x`?)`` for the known word that is nearest to ``word``, else nothing."""
    nearest = find_nearest(word, known)
    return f" (did you mean `{nearest}`?)" if nearest else ""


def find_nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that ``word`` was probably meant to be; None where none is near."""
    return next(iter(difflib.get_close_matches(word[:100].lower(), list(known), n=1, cutoff=0.6)), None)
