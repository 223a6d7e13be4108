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
    r"(?P<one>\\[dwDW]|\[\^?(?:\\.|[^\]\\])+\]|\.)|(?P<group>\((?:\?(?:[:=!]|<[=!]))?|\)|\|)"
    r"|(?P<repeat>\{\d+,(?P<most>\d+)\}\??|\?)|\\?(?P<literal>.)",
    re.DOTALL,
)
_ALTERNATIVES = re.compile(r"\(\?:([^()]*)\)(?!\?)")
_SINGLE_NUMBER = re.compile(r"(?<!\\)\{(\d+)\}")
_MIN_ANCHOR_CHARS = 4
_BREAK = b"\0"  # is in no squeezed text

# Bytes read around one anchor.
_WINDOW_CHARS = 512


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

    def find(
        self, squeezed: bytes, start_at: int = 0, *, anchor_at: int | None = None, most_bytes: int
    ) -> tuple[int, int] | None:
        """Return the start and end of the first match in ``squeezed`` from ``start_at``, or ``None``.

        Args:
            squeezed: Squeezed text.
            start_at: Where to begin.
            anchor_at: Where the first anchor from there is, if that is known.
            most_bytes: After so many bytes around anchors the search ends.
        """
        regex = _compile(self.pattern)
        at = squeezed.find(self.anchor, start_at) if anchor_at is None else anchor_at
        seen = start_at
        budget = most_bytes
        while at >= 0:
            start = max(start_at, seen - self.span_chars, at - self.span_chars)
            seen = at + self.span_chars + _WINDOW_CHARS
            if hit := regex.search(squeezed, start, seen):
                return hit.span()
            budget -= min(seen, len(squeezed)) - start
            if budget <= 0:
                break
            at = squeezed.find(self.anchor, at + _WINDOW_CHARS + 1)
        return None


@functools.cache
def _compile(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern)


def parse_signatures(source: str) -> tuple[Signature, ...]:
    """Translate one signature; where its literal text stands in a group, one for each alternative of it.

    Raises:
        ValueError: An alternative has no literal part to look for.
    """
    group = _ALTERNATIVES.search(source)
    try:
        return (parse_signature(source),)
    except ValueError:
        if group is None:
            raise
    head, tail = source[: group.start()], source[group.end() :]
    return tuple(
        signature for each in group[1].split("|") for signature in parse_signatures(head + each + tail)
    )


def parse_signature(source: str) -> Signature:
    """Translate one signature.

    Raises:
        ValueError: It has no literal part to look for, or a repeat with one number, which is no token.
    """
    if number := _SINGLE_NUMBER.search(source):
        raise ValueError(f"signature `{source}`: write `{{{number[1]},{number[1]}}}` for `{number[0]}`")
    parts: list[bytes] = []
    literals: list[bytes] = []  # a part outside groups that is there in every match, else a break
    depth = span_chars = 0
    is_noise = False
    for token in _TOKENS.finditer(source):
        kind, text = token.lastgroup, token.group()
        if kind == "repeat" and is_noise:
            continue
        part = squeeze(text[-1]) if kind == "literal" else text.encode()
        is_noise = not part or squeeze(text) == b"[]"
        if is_noise:
            continue
        if kind == "repeat":
            literals[-1] = _BREAK
            span_chars += int(token["most"] or 1)
        elif kind == "group":
            depth += text.startswith("(") - (text == ")")
        else:
            span_chars += len(part) if kind == "literal" else 1
        parts.append(re.escape(part) if kind == "literal" else part)
        literals.append(part if kind == "literal" and not depth else _BREAK)
    anchor = max(b"".join(literals).split(_BREAK), key=len)
    if len(anchor) < _MIN_ANCHOR_CHARS:
        raise ValueError(f"signature `{source}` has no literal part of {_MIN_ANCHOR_CHARS} characters")
    return Signature(source=source, pattern=b"".join(parts), anchor=anchor, span_chars=span_chars + 64)
