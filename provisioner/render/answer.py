"""The end of every command: data to stdout, errors to stderr, and the exit code."""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from provisioner.errors import ExitCode, ProvisionError

SCHEMA = "provision.result/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Prints one command's outcome, as words or as exactly one JSON document."""

    command: str
    as_json: bool

    def finish(
        self, data: Mapping[str, Any], *, text: str, code: int, errors: Iterable[ProvisionError] = ()
    ) -> int:
        """Print what a verb returned and pass its code on."""
        found = list(errors)
        if self.as_json:
            self._document(data, code=code, errors=found)
        elif text:
            sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
            sys.stdout.flush()
        self._say(found)
        return code

    def fail(self, *errors: ProvisionError) -> int:
        """Print errors and return the first one's exit code."""
        code = int(errors[0].exit_code)
        if self.as_json:
            self._document({}, code=code, errors=errors)
        self._say(errors)
        return code

    def stopped(self, code: ExitCode, why: str) -> int:
        """Print that a signal ended the command."""
        error = ProvisionError(f"signal.{code.name.lower()}", why)
        if self.as_json:
            self._document({}, code=int(code), errors=[error])
        sys.stderr.write(f"{why}\n")
        return int(code)

    def _document(self, data: Mapping[str, Any], *, code: int, errors: Iterable[ProvisionError]) -> None:
        document = {
            "schema": SCHEMA,
            "command": self.command,
            "exit_code": code,
            "data": dict(data),
            "errors": [error.as_json() for error in errors],
        }
        sys.stdout.write(
            json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False, default=str) + "\n"
        )
        sys.stdout.flush()

    @staticmethod
    def _say(errors: Iterable[ProvisionError]) -> None:
        for error in errors:
            sys.stderr.write(f"error: {error.message}\n")
            for hint in error.hints:
                sys.stderr.write(f"hint: {hint}\n")
        sys.stderr.flush()
