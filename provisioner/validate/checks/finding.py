"""Why a check did not pass."""

from dataclasses import dataclass


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
