"""What a verb returns: facts for programs, words for people, and the exit code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provisioner.errors import ExitCode, ProvisionError


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One verb's outcome.

    Attributes:
        data: The envelope's ``data``.
        text: What stdout shows without ``--json``.
        exit_code: The process's answer; errors of a verb that finished its work stand in ``errors``.
        errors: Failures that were found, not suffered: a failed validation, a stale lockfile.
        verbatim: Whether the text is a script or a file: a terminal gets its lines as they are, too.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    exit_code: ExitCode | int = ExitCode.OK
    errors: tuple[ProvisionError, ...] = ()
    verbatim: bool = False
