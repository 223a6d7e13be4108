"""Why a check did not pass."""

from dataclasses import dataclass

DRIVER_HINT = "update the GPU driver"
REBUILD_HINT = "run `provision repair` to build the environment again from its lock"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One reason.

    Attributes:
        code: Cause in one word.
        reason: One sentence, lower case, no final period.
        hints: One imperative each.
        absent: True if the device is not there: nothing was proven and nothing refuted.
    """

    code: str
    reason: str
    hints: tuple[str, ...] = ()
    absent: bool = False


def name_environment(hints: tuple[str, ...], environment: str | None) -> tuple[str, ...]:
    """Return the hints with the environment's name in the commands that need one."""
    if not environment:
        return hints
    return tuple(
        hint.replace("`provision repair`", f"`provision repair {environment}`").replace(
            "`provision run`", f"`provision run {environment}`"
        )
        for hint in hints
    )


def choose_hints(hints: tuple[str, ...], device_kind: str) -> tuple[str, ...]:
    """Return the hints that fit the device: a CPU has no driver to update, its build may be damaged."""
    if device_kind != "cpu":
        return hints
    return tuple(dict.fromkeys(REBUILD_HINT if hint == DRIVER_HINT else hint for hint in hints))
