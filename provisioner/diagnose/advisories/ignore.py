"""What the user's settings say of advisories; every command reads them, so this loads nothing else."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignore:
    """What the user has decided to live with, why, and up to which day (it included)."""

    reason: str
    until: date
