r"""Turn the bytes of a pasted log into text, and text into a form in which wraps and colours do not matter.

Logs reach us through terminals that cut lines at 80 columns in the middle of a word, boxes drawn by rich,
PowerShell's UTF-16, colours, and web pages that change the quotes. Instead of undoing each of these,
``squeeze`` deletes every character that they add or alter: white space, quotes, box drawing,
``- _ / \ | < > *``. Signatures are squeezed the same way (``signature``), so a message is found wherever its
line was cut.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

# One block is matched at a time; the end of a block is seen again with the next one, so that a message is
# never cut in two.
BLOCK_CHARS = 256 * 1024
OVERLAP_CHARS = 16 * 1024

_SNIFF_BYTES = 4096
_SNIFF_LINES = 100

# Terminal sequences, also as copying leaves them (`^[[0m`, or `[31m` without its escape).
_ESCAPES = re.compile(
    r"(?:\x1b|␛|\^\[)(?:\][^\x07\x1b\n]{0,2000}(?:\x07|\x1b\\)?|\[[0-?]{0,64}[ -/]{0,4}[@-~]|[ -/]{0,4}[0-~])"
)
_LOST_ESCAPES = re.compile(r"\[\d{1,3}(?:;\d{1,3}){0,9}m")
_ENTITIES = re.compile(r"&(?:quot|apos|lt|gt|nbsp|#0?39|#x27|#34);")
_CREDENTIALS = re.compile(r"(?<=://)[^/\s:@]{1,200}:[^/\s@]{1,200}@|\bhf_[A-Za-z0-9]{16,}")

# Noise beyond ASCII: spaces, quotes, hyphens, marks, arrows, mathematical signs, box drawing.
_WIDE_NOISE = re.compile(
    "[\x80-\xa0\xa9\xab\xad\xae\xb4\xb7\xbb\xd7\u1680\u2000-\u206f\u2122\u2190-\u22ff\u2500-\u25ff\u276f\u3000"
    "\ufeff\ufffd]{1,4096}"
)
_FULL_WIDTH = re.compile("[\uff01-\uff5e]")
_FOLD = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
# Stands for lines that were left out; squeezed to a line's end, which no part of a signature matches.
GAP = "\x1d"
_NOISE_BYTES = bytes(range(0x21)).replace(GAP.encode(), b"") + b"\x7f\"'`-_/\\|<>*"
_LOWER = bytes(range(256)).lower().replace(GAP.encode(), b"\n")

# A line that stood between the same neighbours before is not read again; a message wraps over fewer lines.
_NEIGHBOURS = 8
_PIECE_CHARS = 64 * 1024
_MOST_SEEN = 100_000


def squeeze(text: str) -> bytes:
    """Return ``text`` as UTF-8, in lower case, without colours, white space, quotes, boxes and separators.

    Squeezing line by line and joining gives the same as squeezing the whole. Bytes, since deleting from them
    is many times faster than from text.
    """
    text = strip_escapes(text)
    if not text.isascii():
        if _FULL_WIDTH.search(text):
            text = text.translate(_FOLD)
        text = _WIDE_NOISE.sub("", text)
    return text.encode("utf-8", "replace").translate(_LOWER, _NOISE_BYTES)


def strip_escapes(text: str) -> str:
    """Remove terminal sequences and the HTML entities of quotes and brackets."""
    if "\x1b" in text or "␛" in text or "^[" in text:
        text = _ESCAPES.sub("", text)
    text = _LOST_ESCAPES.sub("", text)
    return _ENTITIES.sub("", text) if "&" in text else text


def quote_lines(lines: Iterable[str], *, limit_chars: int = 240) -> str:
    """Return ``lines`` as one line a person can read: no colours, no boxes, no credentials, not too long."""
    words = " ".join(strip_escapes(line) for line in lines).replace("\x00", "").split()
    text = " ".join(word for word in words if word.strip("|─━│┃╭╮╰╯┌┐└┘╔╗╚╝║═+"))
    text = _CREDENTIALS.sub("***", text).encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= limit_chars else text[: limit_chars - 1] + "…"


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A piece of the log; neighbours overlap.

    Attributes:
        text: At most ``BLOCK_CHARS + OVERLAP_CHARS`` characters.
        first_line: Number of the line in which ``text`` begins, from 1.
    """

    text: str
    first_line: int


def split_blocks(chunks: Iterable[str]) -> Iterator[Block]:
    """Yield the log as overlapping blocks, in constant memory whatever the size of the log.

    A block ends at a line's end where it can; a longer line is cut, and the overlap holds the cut.
    """
    pending: list[str] = []
    size = 0
    line = 1
    overlap = ""
    for chunk in chunks:
        for start in range(0, len(chunk), BLOCK_CHARS):
            piece = chunk[start : start + BLOCK_CHARS]
            pending.append(piece)
            size += len(piece)
            while size >= BLOCK_CHARS:
                joined = "".join(pending)
                cut = joined.rfind("\n", 0, BLOCK_CHARS) + 1 or BLOCK_CHARS
                text = overlap + joined[:cut]
                yield Block(text=text, first_line=line)
                overlap = text[-OVERLAP_CHARS:]
                line += text.count("\n") - overlap.count("\n")
                pending = [joined[cut:]]
                size = len(pending[0])
    if size or overlap:
        yield Block(text=overlap + "".join(pending), first_line=line)


def blank_repeats(chunks: Iterable[str]) -> Iterator[str]:
    """Yield the log with a gap for every run of lines that stood there before, in constant memory.

    Long logs repeat themselves; the lines stay in number. What is too short to gain from it is left as it is.
    """
    seen: set[int] = set()
    rest = ""
    for chunk in chunks:
        text = rest + chunk
        cut = text.rfind("\n") + 1
        if len(text) < _PIECE_CHARS or not cut:
            yield from [text] if len(text) >= _PIECE_CHARS else []
            rest = "" if len(text) >= _PIECE_CHARS else text
            continue
        yield _blank_lines(text[:cut], seen)
        rest = text[cut:]
    yield rest


def _blank_lines(text: str, seen: set[int]) -> str:
    lines = text.split("\n")
    hashes = [hash(line) for line in lines]
    kept = []
    was_seen = False
    for at, line in enumerate(lines):
        key = hash(tuple(hashes[max(0, at - _NEIGHBOURS) : at + _NEIGHBOURS + 1]))
        is_seen = key in seen
        if not is_seen and len(seen) < _MOST_SEEN:
            seen.add(key)
        kept.append(line if not is_seen else "" if was_seen else GAP)
        was_seen = is_seen
    return "\n".join(kept)


def decode_stream(chunks: Iterable[bytes]) -> Iterator[str]:
    """Decode a log of unknown encoding: UTF-16 or UTF-32, UTF-8, else GB18030 line by line.

    Never fails: of a line that no encoding explains the ASCII is kept. NUL characters (UTF-16 appended to a
    plain file) are dropped.
    """
    stream = iter(chunks)
    head = b""
    for chunk in stream:
        head += chunk
        if len(head) >= _SNIFF_BYTES:
            break
    encoding = _sniff(head)
    if encoding is None:
        yield from _decode_lines(_rejoin(head, stream))
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for chunk in _rejoin(head, stream):
        yield decoder.decode(chunk).replace("\x00", "")
    yield decoder.decode(b"", final=True)


def _rejoin(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def _sniff(head: bytes) -> str | None:
    """Return the UTF-16 or UTF-32 encoding that ``head`` shows, or ``None`` for encodings of single bytes."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    sample = head[:_SNIFF_BYTES]
    half = len(sample) // 2
    if half and sample[1::2].count(0) > half * 0.4 > sample[::2].count(0):
        return "utf-16-le"
    if half and sample[::2].count(0) > half * 0.4 > sample[1::2].count(0):
        return "utf-16-be"
    return None


def _decode_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Decode UTF-8; lines that are not UTF-8 are tried as GB18030, since one log may hold both."""
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        cut = data.rfind(b"\n") + 1
        if not cut and len(data) >= BLOCK_CHARS:
            cut = _end_of_utf8(data)
        yield _decode_piece(data[:cut])
        rest = data[cut:]
    yield _decode_piece(rest)


def _end_of_utf8(data: bytes) -> int:
    """Return the length without a character that is cut at the end, where ``data`` is UTF-8."""
    try:
        return codecs.utf_8_decode(data, "strict", False)[1]  # noqa: FBT003 # takes no keywords
    except UnicodeDecodeError:
        return len(data)


def _decode_piece(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        lines = data.splitlines(keepends=True)
        wide = [line for line in islice(lines, _SNIFF_LINES) if not line.isascii()]
        try:
            # Line by line is slow: where the first lines are all GB18030, the piece is.
            text = "" if not wide or any(map(_is_utf8, wide)) else data.decode("gb18030")
        except UnicodeDecodeError:
            text = ""
        text = text or "".join(map(_decode_line, lines))
    return text.replace("\x00", "").removeprefix("\ufeff")


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _decode_line(line: bytes) -> str:
    for encoding in ("utf-8", "gb18030"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            continue
    return line.decode("ascii", "ignore")
