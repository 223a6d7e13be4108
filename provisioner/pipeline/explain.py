"""The job of `provision explain`: the cause and the cure of a failure in a log, or of an environment."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from provisioner.diagnose.failures import explain
from provisioner.diagnose.failures.answer import Explanation, Match
from provisioner.diagnose.failures.catalogue import load_catalogue
from provisioner.diagnose.failures.installed import explain_environment
from provisioner.diagnose.failures.logtext import decode_stream
from provisioner.diagnose.failures.model import Language, System
from provisioner.diagnose.machine.layers.environment import find_problems
from provisioner.engines.machine.environment import gather_built, list_files
from provisioner.install.generations import EnvironmentHome, find_environment
from provisioner.pipeline.reports import list_reports
from provisioner.pipeline.settings import Settings
from provisioner.pipeline.validate import recognise_report
from provisioner.validate.model import Report


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """What is known to be wrong with an environment.

    Attributes:
        matches: Known failures in the reports that did not pass, and those that its packages and files show.
        damage: What `doctor` finds wrong with its files today.
        reports: Of its validations, the newest first.
        device: Kind of device that its profile is for.
    """

    matches: tuple[Match, ...]
    damage: tuple[str, ...]
    reports: tuple[Report, ...]
    device: str


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
    catalogue = load_catalogue(language)
    reports = list_reports(generation)
    said = [match for report in reports for match in recognise_report(report, catalogue)]
    shown = explain_environment(
        facts.distributions or {},
        catalogue,
        system=System.WINDOWS if windows else System.LINUX,
        files=list(list_files(generation.prefix)),
    )
    profile = settings.load_profile_of(generation)
    # a line in a report is one of no file that is there
    matches = [replace(match, line=None) for match in (*said, *shown)]
    return Explained(
        matches=explain.rank_matches(matches, catalogue),
        damage=tuple(find_problems(facts, profile.torch)),
        reports=reports,
        device=profile.device.value,
    )
