import codecs
import tracemalloc
from collections.abc import Iterator

import pytest

from provisioner.diagnose.failures.catalogue import load_catalogue
from provisioner.diagnose.failures.explain import explain_text
from provisioner.diagnose.failures.logtext import (
    blank_repeats,
    decode_stream,
    quote_lines,
    split_blocks,
    squeeze,
)


def decoded(data: bytes, size: int = 7) -> str:
    return "".join(decode_stream(data[at : at + size] for at in range(0, len(data), size)))


TEXT = "模型 loading 失败\r\nsecond line ©\n" + "x" * 5000


@pytest.mark.parametrize("size", [1, 7, 4096, 1_000_000])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030"]
)
def test_the_encoding_of_a_log_is_found(encoding: str, size: int) -> None:
    """UTF-8, UTF-16 and UTF-32 with and without mark, and GB18030 are read, however the bytes are cut."""
    assert decoded(TEXT.encode(encoding), size) == TEXT


def test_a_log_may_change_its_encoding() -> None:
    """GB18030 lines between UTF-8 lines are read, and UTF-16 appended to a plain file keeps its letters."""
    data = "输出\n".encode() + "错误\n".encode("gb18030") + "end\n".encode("utf-16-le")
    assert decoded(data) == "输出\n错误\nend\n"


def test_bytes_of_no_encoding_keep_their_ascii() -> None:
    """What cannot be decoded is dropped, what is ASCII beside it stays."""
    assert decoded(b"caf\xff\xff: RuntimeError\n") == "caf: RuntimeError\n"


def test_a_long_line_of_utf8_is_not_cut_within_a_character() -> None:
    """A log of one long line of Chinese stays UTF-8."""
    text = "错误" * 400_000 + "x"
    assert decoded(text.encode(), 65_536) == text


def test_a_mark_alone_is_an_empty_log() -> None:
    """A byte order mark without text is no text."""
    assert decoded(codecs.BOM_UTF16_LE) == decoded(codecs.BOM_UTF8) == decoded(b"") == ""


def test_squeezing_lines_is_squeezing_the_text() -> None:
    """The squeezed text is that of its lines, so a place in it has a line."""
    text = "\x1b[31m│ 'A-b' \x1b[0m|\n\x1b]0;title\x07C\uff1a“\uff24”\r\n"
    text += "&quot;e&quot; [1;32mf\n\x1b[2K^[[0mg \u0391Σ\nh"
    assert b"".join(map(squeeze, text.split("\n"))) == squeeze(text)
    assert squeeze(text).decode() == "abc:defg\u0391Σh"


def test_blocks_hold_the_whole_log_and_overlap() -> None:
    """Every character is in a block, and neighbours share their seam."""
    text = "".join(f"line {number}\n" for number in range(100_000)) + "y" * 700_000
    blocks = list(split_blocks(text[at : at + 1234] for at in range(0, len(text), 1234)))
    position = 0
    for block in blocks:
        start = text.find(block.text, max(0, position - 16 * 1024))
        assert start >= 0
        assert start <= position
        assert block.first_line == text.count("\n", 0, start) + 1
        position = start + len(block.text)
    assert position == len(text)


def test_a_quote_is_one_readable_line() -> None:
    """Boxes and colours are gone, long quotes are cut, half characters do not break printing."""
    assert quote_lines(["│ \x1b[31merror:\x1b[0m │", "╰────╯", "  bad\ud800 "]) == "error: bad?"
    assert len(quote_lines(["word " * 200])) == 240


@pytest.mark.slow
def test_repeated_lines_are_read_once_and_stay_in_number() -> None:
    """What stood between the same lines before is blank; the first of it, and every new line, is there."""
    lines = [f"step {number % 50} of 50" for number in range(20_000)]
    lines[15_000] = "RuntimeError: No XPU devices are available."
    text = "".join(blank_repeats(["\n".join(lines)]))
    found = text.split("\n")
    assert len(found) == len(lines)
    assert found[:50] == lines[:50]
    assert found[14_992:15_009] == lines[14_992:15_009]
    assert sum(map(bool, found)) < 500


def test_a_log_of_100_mb_takes_constant_memory() -> None:
    """The memory for 100 MB is that of a few blocks, and the failure at its end is found with its line."""

    def chunks() -> Iterator[bytes]:
        for _ in range(1600):
            yield b"2026-01-01 INFO a line like any other in this log\n" * 1310
        yield b"RuntimeError: No XPU devices are available.\n"

    catalogue = load_catalogue()
    tracemalloc.start()
    try:
        (match,) = explain_text(decode_stream(chunks()), catalogue)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert match.line == 1600 * 1310 + 1
    assert peak < 16 * 1024 * 1024
