"""What is answered about a log or an environment."""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from provisioner.diagnose.failures.model import Cause, Confidence, Failure, General, Phase, Program, Severity


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What a log shows of the machine and the programs.

    Attributes:
        programs: The most specific first.
        versions: Version by package.
        intel: How many different signs of an Intel GPU or its software.
        other: How many different signs of other hardware.
        unrelated: It shows a program that does not compute.
    """

    programs: tuple[Program, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    system: str | None = None
    card: str | None = None
    architecture: str | None = None
    intel: int = 0
    other: int = 0
    unrelated: bool = False


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """A fact about the stack that a log shows: a cause and its steps, in words (``model.Fact``)."""

    cause: str
    steps: tuple[str, ...]
    replaces: tuple[str, ...]
    proves: bool
    sole: bool


_MOST_STEPS = 4
_MOST_CAUSES = 2


_OPTIONS = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+=[\w:.]*\w|(?<![\w-])--[a-z][\w-]*\w")
_SETTINGS = re.compile(
    r"[A-Z].*|--(?:enforce-eager|lowvram|novram|(?:use|disable|skip|fp32|bf16|no-half|no-mmap)\b.*)"
)


def find_settings(step: str) -> list[str]:
    """Return the variables with their values, and the switches, that a step says to set."""
    return [each for each in _OPTIONS.findall(step) if _SETTINGS.fullmatch(each)]


def _put_done_last(steps: Iterable[str], done: Container[str]) -> list[str]:
    """Return the steps, those last whose variables and options the log shows all."""
    return sorted(steps, key=lambda step: all(each in done for each in _OPTIONS.findall(step) or [""]))


def make_symptom_match(
    failure: Failure,
    proven: Sequence[Cause],
    *,
    line: int,
    evidence: str,
    programs: Sequence[Program],
    state: Sequence[Statement],
    done: Container[str] = (),
) -> Match:
    """Return what is answered where only a symptom was found.

    Args:
        failure: The symptom.
        proven: Its causes that the log shows; without one the program's or the general cause holds.
        line: Of the log, from 1.
        evidence: That line.
        programs: Those of the log, the most specific first.
        state: What the log shows of the stack.
        done: Settings that the log shows; steps that say nothing else come last.
    """
    # One that brings no environment of its own says what is used, not what it is used in.
    names = [each.name for place, each in enumerate(programs) if place == 0 or each.own_environment]
    by_program, hints = failure.cause_by_program, failure.hints_by_program
    general = next((by_program[name] for name in names if name in by_program), failure.cause[-1].text)
    causes = [each.text for each in proven[:_MOST_CAUSES]] or [general]
    steps = next((hints[name] for name in names if name in hints), failure.hints)
    first = [each.step for each in proven[:_MOST_CAUSES] if each.step]
    if any(each.sole for each in state):
        causes, first, steps = [], [], ()
    return Match(
        id=failure.id,
        title=failure.title,
        stage=failure.phase,
        severity=failure.severity,
        confidence=Confidence.MEDIUM if any(each.proves for each in state) else failure.confidence,
        cause="\n".join([*(each.cause for each in state), *causes]),
        fix=number_steps(_order_steps(state, _put_done_last([*first, *steps], done))[:_MOST_STEPS]),
        line=line,
        evidence=evidence,
    )


def put_state_first(
    match: Match,
    failure: Failure,
    programs: Sequence[Program],
    state: Sequence[Statement],
    done: Container[str] = (),
) -> Match:
    """Return the answer of an entry after what the log shows of the stack, and steps that are done last."""
    hints = failure.hints_by_program
    own = next((hints[each.name] for each in programs if each.name in hints), failure.hints) or (match.fix,)
    if not state:
        is_whole = number_steps(own) == match.fix
        return replace(match, fix=number_steps(_put_done_last(own, done))) if is_whole else match
    causes = [match.cause]
    if any(each.sole for each in state):
        causes, own = [], ()
    return replace(
        match,
        cause="\n".join([*(each.cause for each in state), *causes]),
        fix=number_steps(_order_steps(state, _put_done_last(own, done))[:_MOST_STEPS]),
    )


def _order_steps(state: Sequence[Statement], steps: Sequence[str]) -> list[str]:
    """Return the steps of the facts, then the others; a fact without a step moves those that it names."""
    first: list[str] = []
    rest = list(steps)
    for each in state:
        first += each.steps or [step for step in rest if step in each.replaces]
        rest = [step for step in rest if step not in each.replaces]
    return list(dict.fromkeys([*first, *rest]))


def number_steps(steps: Sequence[str]) -> str:
    """Return steps as one text."""
    if len(steps) == 1:
        return steps[0]
    return " ".join(f"({number}) {step}" for number, step in enumerate(steps, start=1))


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
