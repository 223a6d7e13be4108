"""Every error a user can see, with its code and exit code.

The exit codes are a contract with scripts (README, "Exit codes"); finer causes are the dotted ``code``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar


class ExitCode(IntEnum):
    """What the process answers to the shell."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    RESOLVE = 3
    LOCK = 4
    INSTALL = 5
    VALIDATE = 6
    UNVALIDATED = 7
    UNAVAILABLE = 8
    BUSY = 9
    HANGUP = 129
    INTERRUPTED = 130
    TERMINATED = 143


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something wrong, before it is decided which error it becomes.

    Attributes:
        code: Cause in one word, or dotted where it already is an error's code.
        message: One sentence, lower case, no final period, values in backticks.
        hints: One imperative each.
    """

    code: str
    message: str
    hints: tuple[str, ...] = ()


class ProvisionError(Exception):
    """An expected failure: what failed, on what, why, and what to do.

    Attributes:
        exit_code: The process's exit code, fixed per class.
        code: Dotted cause, for example ``lock.stale``.
        message: One sentence, lower case, no final period, values in backticks.
        hints: One imperative each.
        retryable: Whether the same command can succeed later without a change.
        context: Facts for ``--json``: names, paths, addresses without secrets.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hints: Sequence[str] = (),
        retryable: bool = False,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the facts; the sentence is the exception's text."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.hints = tuple(hints)
        self.retryable = retryable
        self.context = dict(context or {})

    def as_json(self) -> dict[str, Any]:
        """Return the error as one entry of the envelope's ``errors``."""
        return {
            "code": self.code,
            "message": self.message,
            "hints": list(self.hints),
            "retryable": self.retryable,
            "context": self.context,
        }


class InternalError(ProvisionError):
    """Our bug, or an engine that aborted."""


class UsageError(ProvisionError):
    """A wrong command line, profile or configuration."""

    exit_code = ExitCode.USAGE


class ResolveError(ProvisionError):
    """No set of packages answers the profile."""

    exit_code = ExitCode.RESOLVE


class LockError(ProvisionError):
    """The lockfile is missing, stale, damaged or for another platform."""

    exit_code = ExitCode.LOCK


class InstallError(ProvisionError):
    """The build failed, or a file is not what the lockfile says."""

    exit_code = ExitCode.INSTALL


class ValidateError(ProvisionError):
    """The environment is installed and at least one check failed."""

    exit_code = ExitCode.VALIDATE


class UnvalidatedError(ProvisionError):
    """The environment is installed, and the validation it asks for could not be made here."""

    exit_code = ExitCode.UNVALIDATED


class UnavailableError(ProvisionError):
    """An index, channel, mirror or file could not be reached or refused us."""

    exit_code = ExitCode.UNAVAILABLE


class BusyError(ProvisionError):
    """Another process holds the environment."""

    exit_code = ExitCode.BUSY


class ErrorList(ProvisionError):  # noqa: N818 - it is a list of errors, and is one only to be raised
    """Several errors of one kind, told at once, so that a file is mended once.

    The exit code and code are those of the first.
    """

    def __init__(self, errors: Sequence[ProvisionError]) -> None:
        """Join the sentences; ``errors`` holds at least one."""
        first = errors[0]
        super().__init__(first.code, "\n".join(error.message for error in errors))
        self.errors = tuple(errors)
        self.exit_code = first.exit_code  # type: ignore[misc] # per instance: that of the first error
