"""The end of every command: data to stdout, errors to stderr, and the exit code."""

import io
import json
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, TextIO

from provisioner.errors import ExitCode, ProvisionError

SCHEMA = "provision.result/1"

# What a terminal would obey: servers and packages write some of the words that we pass on.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


class Answer:
    """Prints one command's outcome, as words or as exactly one JSON document."""

    def __init__(self, *, command: str, as_json: bool) -> None:
        """Print nothing yet."""
        self._command = command
        self._as_json = as_json
        self._document_is_out = False

    def finish(
        self, data: Mapping[str, Any], *, text: str, code: int, errors: Iterable[ProvisionError] = ()
    ) -> int:
        """Print what a verb returned and pass its code on; success that nobody could be told is none."""
        found = list(errors)
        if self._as_json:
            problem = self._document(data, code=code, errors=found)
        else:
            problem = _write(sys.stdout, printable(text if text.endswith("\n") or not text else f"{text}\n"))
        self._say(found)
        if problem:
            _write(sys.stderr, f"error: standard output cannot be written: {problem}\n")
            return code or int(ExitCode.INTERNAL)
        return code

    def fail(self, *errors: ProvisionError) -> int:
        """Print errors and return the first one's exit code."""
        code = int(errors[0].exit_code)
        if self._as_json:
            self._document({}, code=code, errors=errors)
        self._say(errors)
        return code

    def _document(
        self, data: Mapping[str, Any], *, code: int, errors: Iterable[ProvisionError]
    ) -> str | None:
        if self._document_is_out:
            return None
        document = {
            "schema": SCHEMA,
            "command": self._command,
            "exit_code": code,
            "data": dict(data),
            "errors": [error.as_json() for error in errors],
        }
        text = json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False, default=str)
        self._document_is_out = True
        return _write(sys.stdout, f"{text}\n")

    @staticmethod
    def _say(errors: Iterable[ProvisionError]) -> None:
        for error in errors:
            hints = "".join(f"hint: {hint}\n" for hint in error.hints)
            _write(sys.stderr, printable(f"error: {error.message}\n{hints}"))


def printable(text: str) -> str:
    """Return ``text`` with control characters written out, so that a terminal obeys none."""
    return text.translate(_CONTROLS)


def _write(stream: TextIO, text: str) -> str | None:
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
