"""The job of `provision explain`: the cause and the cure of a failure in a log, or of an environment."""

from collections.abc import Iterable
from dataclasses import dataclass

from provisioner.diagnose.failures import explain
from provisioner.diagnose.failures.answer import Explanation, Match
from provisioner.diagnose.failures.catalogue import load_catalogue
from provisioner.diagnose.failures.installed import explain_environment
from provisioner.diagnose.failures.logtext import decode_stream
from provisioner.diagnose.failures.model import Language, System
from provisioner.diagnose.machine.layers.environment import find_problems
from provisioner.engines.machine.environment import gather_built, list_files
from provisioner.errors import Problem
from provisioner.install.generations import EnvironmentHome, find_environment
from provisioner.pipeline.reports import read_report
from provisioner.pipeline.settings import Settings
from provisioner.validate.checks.finding import name_environment
from provisioner.validate.model import Report, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """What is known to be wrong with an environment.

    Attributes:
        matches: Known failures that its packages show.
        damage: What `doctor` finds wrong with its files today.
        failure: Why the last validation did not pass, its stage as ``code``; else None.
        passed_at: When the last validation passed, ISO 8601 in UTC; None where it did not, or there was none.
    """

    matches: tuple[Match, ...]
    damage: tuple[str, ...]
    failure: Problem | None
    passed_at: str | None


def explain_log(chunks: Iterable[bytes], language: Language) -> Explanation:
    """Return the known failures in a log, the root cause first, and what it shows of its surroundings."""
    return explain.explain_log(decode_stream(chunks), load_catalogue(language))


def explain_built(settings: Settings, name: str, language: Language) -> Explained | None:
    """Return what is wrong with an environment; None where there is no such environment."""
    generation = find_environment(EnvironmentHome(data=settings.data), name)
    if generation is None:
        return None
    facts = gather_built(generation)
    windows = generation.receipt.platform == "win-64"
    matches = explain_environment(
        facts.distributions or {},
        load_catalogue(language),
        system=System.WINDOWS if windows else System.LINUX,
        files=list(list_files(generation.prefix)),
    )
    report = read_report(generation)
    return Explained(
        matches=matches,
        damage=tuple(find_problems(facts, settings.load_profile_of(generation).torch)),
        failure=_find_failure(report),
        passed_at=report.created_at if report is not None and report.verdict is Verdict.PASSED else None,
    )


def _find_failure(report: Report | None) -> Problem | None:
    """Return stage, reason and hints of a report that did not pass."""
    if report is None or report.verdict is Verdict.PASSED:
        return None
    hints = name_environment(report.hints, report.environment)
    if report.verdict is Verdict.FAILED and not any("provision repair" in hint for hint in hints):
        hints = (*hints, f"run `provision repair {report.environment}` to put back what its lock says")
    return Problem(code=str(report.stage), message=str(report.reason), hints=hints)
