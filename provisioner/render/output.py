"""The end of every command: data to stdout, errors to stderr, and the exit code."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from provisioner.errors import ExitCode, ProvisionError
from provisioner.render.columns import fill_lines, find_width
from provisioner.render.streams import printable, write_text

SCHEMA = "provision.result/1"


class Answer:
    """Prints one command's outcome, as words or as exactly one JSON document."""

    def __init__(self, *, command: str, as_json: bool) -> None:
        """Print nothing yet."""
        self._command = command
        self._as_json = as_json
        self._document_is_out = False

    def finish(
        self,
        data: Mapping[str, Any],
        *,
        text: str,
        code: int,
        errors: Iterable[ProvisionError] = (),
        verbatim: bool = False,
    ) -> int:
        """Print what a verb returned and pass its code on; success that nobody could be told is none.

        On a terminal ``text`` is filled to its width, unless it is ``verbatim``.
        """
        found = list(errors)
        if self._as_json:
            problem = self._document(data, code=code, errors=found)
        else:
            words = printable(text if text.endswith("\n") or not text else f"{text}\n")
            problem = write_text(sys.stdout, words if verbatim else fill_lines(words, find_width()))
        self._say(found)
        if problem:
            write_text(sys.stderr, f"error: standard output cannot be written: {problem}\n")
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
        return write_text(sys.stdout, f"{text}\n")

    @staticmethod
    def _say(errors: Iterable[ProvisionError]) -> None:
        for error in errors:
            hints = "".join(f"hint: {hint}\n" for hint in error.hints)
            words = printable(f"error: {error.message}\n{hints}")
            write_text(sys.stderr, fill_lines(words, find_width(sys.stderr)))
