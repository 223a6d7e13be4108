"""Write to streams that may be full, closed or a terminal."""

import io
import os
from contextlib import suppress
from typing import TextIO

# What a terminal would obey: servers and packages write some of the words that we pass on.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


def printable(text: str) -> str:
    """Return ``text`` with control characters written out, so that a terminal obeys none."""
    return text.translate(_CONTROLS)


def write_text(stream: TextIO, text: str) -> str | None:
    """Write and flush; return why it failed, None where it did not and where a pipe's reader has gone."""
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        _point_nowhere(stream)
        return None if isinstance(error, BrokenPipeError) else (error.strerror or str(error)).lower()
    return None


def _point_nowhere(stream: TextIO) -> None:
    """Let what is still buffered be written without an error."""
    with suppress(OSError, ValueError, io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
