"""Why a check did not pass."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.errors import Problem
from provisioner.validate.model import JSON, CheckRecord, Status

DRIVER_HINT = "update the GPU driver"
REBUILD_HINT = "run `provision repair` to put back what its lock says"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding(Problem):
    """One reason; ``absent`` if the device is not there: nothing was proven and nothing refuted."""

    absent: bool = False

    def as_record(self, stage: str, *, seconds: float, measured: Mapping[str, JSON]) -> CheckRecord:
        """Return the record of the check that it is about."""
        return CheckRecord(
            name=stage,
            status=Status.ERROR if self.absent else Status.FAILED,
            seconds=seconds,
            measured=measured,
            reason=self.message,
            hints=self.hints,
            code=self.code,
        )


def name_environment(hints: tuple[str, ...], environment: str | None) -> tuple[str, ...]:
    """Return the hints with the environment's name in the commands that need one."""
    if not environment:
        return hints
    named = rf"`provision \1 {environment}`"
    return tuple(re.sub("`provision (repair|run|validate|explain)`", named, hint) for hint in hints)


def choose_hints(hints: tuple[str, ...], device_kind: str) -> tuple[str, ...]:
    """Return the hints that fit the device: a CPU has no driver to update, its build may be damaged."""
    if device_kind != "cpu":
        return hints
    return tuple(dict.fromkeys(REBUILD_HINT if hint == DRIVER_HINT else hint for hint in hints))
