r"""The small pattern language of the catalogue's signatures.

A signature is written like the message it finds: ``Could not run 'torch_ipex::\w{1,60}?' with arguments``.
It is a regular expression for squeezed text (``logtext.squeeze``), so white space, quotes, case and
``- _ / \ | < > *`` do not count. Repeats are bounded (``{0,80}``, ``?``) and never on groups: no log can make
a signature slow. Each has a literal part outside groups, its anchor; text without the anchor never meets the
regular expression.
"""

import functools
import re
from dataclasses import dataclass

from provisioner.diagnose.failures.logtext import squeeze

_TOKENS = re.compile(
    r"(?P<escape>\\.)|(?P<set>\[\^?(?:\\.|[^\]\\])+\])|(?P<open>\((?:\?(?:[:=!]|<[=!]))?)|(?P<close>\))"
    r"|(?P<repeat>\{\d+,\d+\}\??|\?)|(?P<bar>\|)|(?P<refused>[*+^$\]{}])|(?P<any>\.)|(?P<plain>.)",
    re.DOTALL,
)
_MAX_REPEAT = 600
_MAX_WORK = 300_000  # product of a signature's repeats: what one failing try may cost, in steps
_MIN_ANCHOR_CHARS = 4

# Bytes read around one anchor, and in one block: a hostile log can hold an anchor many thousands of times.
_WINDOW_CHARS = 512
_READ_PER_BLOCK = 16 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """A compiled signature.

    Attributes:
        source: As written in the catalogue.
        pattern: Regular expression for squeezed text.
        anchor: Literal text that every match contains.
        span_chars: No match is longer than this.
    """

    source: str
    pattern: bytes
    anchor: bytes
    span_chars: int

    def find(self, squeezed: bytes) -> tuple[int, int] | None:
        """Return the start and end of the first match in ``squeezed``, or ``None``."""
        regex = _compile(self.pattern)
        at = squeezed.find(self.anchor)
        seen = 0
        budget = _READ_PER_BLOCK
        while at >= 0 and budget > 0:
            start = max(0, seen - self.span_chars, at - self.span_chars)
            seen = at + self.span_chars + _WINDOW_CHARS
            if hit := regex.search(squeezed, start, seen):
                return hit.span()
            budget -= min(seen, len(squeezed)) - start
            at = squeezed.find(self.anchor, at + _WINDOW_CHARS + 1)
        return None


@functools.cache
def _compile(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern)


def parse_signature(source: str) -> Signature:
    """Check and translate one signature.

    Raises:
        ValueError: The signature uses something that the language does not have; the text says what.
    """
    translation = _Translation()
    for token in _TOKENS.finditer(source):
        translation.take(token.lastgroup or "", token.group())
    if translation.depth:
        raise ValueError("has an unclosed group")
    anchor = max(translation.runs, key=len)
    if len(anchor) < _MIN_ANCHOR_CHARS:
        raise ValueError(f"has no literal part of {_MIN_ANCHOR_CHARS} characters outside groups")
    pattern = b"".join(translation.parts)
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    return Signature(source=source, pattern=pattern, anchor=anchor, span_chars=translation.span_chars + 64)


class _Translation:
    """What is known of a signature after some of its tokens."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.runs: list[bytes] = [b""]
        self.depth = 0
        self.span_chars = 0
        self.work = 1
        self.last = (
            "start"  # kind of the last token: literal, one (a single character), open, close, repeat, dropped
        )

    def take(self, kind: str, text: str) -> None:
        """Add one token."""
        match kind:
            case "plain":
                self._literal(text)
            case "escape" if text[1] in "dwDW":
                self._single(text)
            case "escape" if not text[1].isalnum():
                self._literal(text[1])
            case "any":
                self._single(text)
            case "set":
                self._set(text)
            case "repeat":
                self._repeat(text)
            case "open" if text != "(":
                self._structure(text, "open", depth=1)
            case "close":
                self._structure(text, "close", depth=-1)
            case "bar" if self.depth:
                self._structure(text, "open", depth=0)
            case _:
                raise ValueError(
                    f"may not use `{text}` here; repeats are bounded, alternatives stand in `(?:…)`"
                )

    def _literal(self, char: str) -> None:
        plain = squeeze(char)
        if not plain:
            self.last = "dropped"
            return
        self.parts.append(re.escape(plain))
        self.span_chars += len(plain)
        self.last = "literal"
        if not self.depth:
            self.runs[-1] += plain

    def _single(self, text: str) -> None:
        self.parts.append(text.encode())
        self.span_chars += 1
        self.last = "one"
        self.runs.append(b"")

    def _set(self, text: str) -> None:
        if text.lower() != text or not text.isascii():
            raise ValueError(f"has capitals or characters beyond ASCII in `{text}`")
        if text[1] != "^" and not re.search(r"\\[dw]", text) and not squeeze(text[1:-1]):
            self.last = "dropped"
            return
        self._single(text)

    def _repeat(self, text: str) -> None:
        if self.last == "dropped":
            return
        if self.last == "literal" and not self.parts[-1].isascii():
            raise ValueError(f"may not repeat a character beyond ASCII with `{text}`")
        limit = 1 if text == "?" else int(text.strip("{}?").split(",")[1])
        if self.last not in {"literal", "one", "close"} or (self.last == "close" and text != "?"):
            raise ValueError(f"may not repeat with `{text}` here; only single characters are repeated")
        if limit > _MAX_REPEAT:
            raise ValueError(f"repeats `{text}` more than {_MAX_REPEAT} times")
        self.work *= limit + 1
        if self.work > _MAX_WORK:
            raise ValueError("has repeats within repeats that take too long; make them shorter or fewer")
        if self.last == "literal" and not self.depth:
            self.runs[-1] = self.runs[-1][:-1]
        self.runs.append(b"")
        self.parts.append(text.encode())
        self.span_chars += limit
        self.last = "repeat"

    def _structure(self, text: str, last: str, *, depth: int) -> None:
        self.depth += depth
        if self.depth < 0:
            raise ValueError("closes a group that is not open")
        if depth <= 0 and self.parts[-1].startswith((b"(?", b"|")):
            raise ValueError("has a group or an alternative in which nothing counts")
        self.parts.append(text.encode())
        self.runs.append(b"")
        self.last = last
