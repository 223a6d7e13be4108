"""What is answered about a log or an environment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from provisioner.diagnose.failures.model import Confidence, Failure, General, Phase, Program, Severity


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What a log shows of the machine and the programs.

    Attributes:
        programs: The most specific first.
        versions: Version by package.
        intel: How many different signs of an Intel GPU or its software.
        other: How many different signs of other hardware.
    """

    programs: tuple[Program, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    system: str | None = None
    card: str | None = None
    intel: int = 0
    other: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """A failure recognised in a log or an environment.

    Attributes:
        stage: When it shows itself.
        cause: In words; where there are several, the likeliest first.
        line: Line of the log in which the message begins, from 1; ``None`` for an environment.
        evidence: The lines of the log, or the distributions and files, that gave it away.
    """

    id: str
    title: str
    stage: Phase
    severity: Severity
    confidence: Confidence
    cause: str
    fix: str
    line: int | None
    evidence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """What is known of a log: its failures, the root first, and its surroundings."""

    matches: tuple[Match, ...]
    surroundings: Surroundings


def make_match(
    failure: Failure, cause: str, *, line: int | None, evidence: str, programs: Sequence[Program] = ()
) -> Match:
    """Return what is answered where a failure was found, with the cure for the first program that has one."""
    special = (failure.fix_by_program[each.name] for each in programs if each.name in failure.fix_by_program)
    elsewhere = failure.fix_elsewhere if programs and programs[0].own_environment else ""
    return Match(
        id=failure.id,
        title=failure.title,
        stage=failure.phase,
        severity=failure.severity,
        confidence=failure.confidence,
        cause=cause,
        fix=next(special, elsewhere or failure.fix),
        line=line,
        evidence=evidence,
    )


def make_general_match(failure: Failure, general: General, *, line: int, evidence: str) -> Match:
    """Return what is answered where nothing shows the hardware."""
    return Match(
        id=failure.id,
        title=general.title,
        stage=failure.phase,
        severity=failure.severity,
        confidence=Confidence.LOW,
        cause=general.cause,
        fix=general.fix,
        line=line,
        evidence=evidence,
    )
