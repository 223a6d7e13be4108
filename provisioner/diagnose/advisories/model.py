"""Questions to the advisory service, its answers, and what follows for a lock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from provisioner.diagnose.advisories.ignore import Ignore


class Severity(StrEnum):
    """How grave an advisory is, as GitHub's reviewers say it; the worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MODERATE = "moderate"
    LOW = "low"
    UNKNOWN = "unknown"


class State(StrEnum):
    """The life of a project or a release."""

    ARCHIVED = "archived"
    ENDED = "ended"
    ENDS = "ends"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Question:
    """One version of one package of the Python Package Index.

    ``version`` is the public one, without a local part: advisories know ``2.6.0`` and no ``2.6.0+xpu``.
    """

    name: str
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Which advisories name a version, and on which day it was asked (ISO date)."""

    asked: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What the service said; ``advisories`` maps an id to the document in OSV's format."""

    answers: Mapping[Question, Answer] = field(default_factory=dict)
    advisories: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Vulnerability:
    """One known vulnerability of one locked package.

    Attributes:
        package: Its name in the lock; ``version`` with the local part.
        id: Of the advisory; ``aliases`` are its other names, sorted.
        summary: One line; empty where no advisory has one.
        fixed: First version that is mended; None where none is known.
        platforms: On which of the lock's.
        ignored: Why it does not count.
    """

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    severity: Severity
    summary: str
    fixed: str | None
    platforms: tuple[str, ...]
    ignored: Ignore | None = None

    @property
    def address(self) -> str:
        """Return the page that describes it."""
        return f"https://osv.dev/vulnerability/{self.id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """A locked package, or the Python, that nobody maintains any more or soon.

    Attributes:
        date: ISO date since which, or on which.
        note: What it means; ``instead`` what to do, one imperative.
    """

    package: str
    version: str
    id: str
    state: State
    date: str
    note: str
    instead: str
    source: str
    platforms: tuple[str, ...]
    ignored: Ignore | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Audited:
    """What is known against one profile's lock.

    Attributes:
        lockfile: Its path; ``lines`` are the first lines of the packages that were found in it, from 1.
        platforms: Those that were looked at.
        packages: How many versions of packages OSV was asked for.
        unknown: Conda packages of which OSV knows nothing, sorted.
        asked: ISO date of the oldest answer.
        unused: Ids that are ignored and were not found.
    """

    profile: str
    lockfile: Path
    platforms: tuple[str, ...]
    packages: int
    unknown: tuple[str, ...]
    asked: str
    vulnerabilities: tuple[Vulnerability, ...]
    endings: tuple[Ending, ...]
    lines: Mapping[str, int]
    unused: tuple[str, ...]
