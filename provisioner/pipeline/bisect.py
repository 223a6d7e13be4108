"""The job of `provision bisect`: which change between two locks turned good into bad.

two locks -> what changed, in groups -> builds of mixtures, each judged and deleted -> the culprit
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from provisioner.engines.conda.constraints import allows_conda
from provisioner.errors import UsageError
from provisioner.events import Listener, Notice
from provisioner.lock.bisect_mix import Mixture, Package, allows, index_packages, make_mixture
from provisioner.lock.bisect_search import Culprit, NotBadError, NotGoodError, find_culprit
from provisioner.lock.diff import LockDiff, diff_locks
from provisioner.lock.model import Lock
from provisioner.pipeline.bisect_bench import Bench, BisectChoices, Judged
from provisioner.pipeline.bisect_locks import choose_profile, load_end
from provisioner.pipeline.create import CreateChoices, find_variables, pass_gate
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.settings import Settings, host_platform
from provisioner.resolve.model import CondaPackage


@dataclass(frozen=True, kw_only=True, slots=True)
class Bisected:
    """What was found.

    Attributes:
        profile: The profile's name.
        mixture: What lies between the two locks.
        judged: Every build, in its order; those of an earlier run are marked.
        culprit: The groups of changes.
        difference: The culprit as a lock diff.
        pins: Requirements that keep the old packages: for the profile, by manager.
    """

    profile: str
    mixture: Mixture
    judged: tuple[Judged, ...]
    culprit: Culprit
    difference: LockDiff
    pins: tuple[tuple[str, str], ...]


def bisect(
    settings: Settings, good: str, bad: str, choices: BisectChoices, *, on_event: Listener
) -> Bisected:
    """Find the smallest set of package changes between two locks that turns good into bad.

    Every mixture is built anew from the store beside the environments, judged, and deleted; no environment is
    touched. What was judged is noted at once, so that the same command goes on where another one was stopped.

    Raises:
        BusyError: Another process does the same.
        InstallError: An end cannot be built.
        UnvalidatedError: A validation could not be made here.
        UsageError: The locks do not differ, or are both good or both bad.
    """
    profile = choose_profile(settings, good, bad, choices.profile)
    gpu = pass_gate(settings, profile, CreateChoices(gate=choices.gate, device=choices.device))
    platform = host_platform()
    with Engines(settings, on_event=on_event) as engines:
        ends = [load_end(settings, place, profile, engines, on_event=on_event) for place in (good, bad)]
        parts = [lock.find_platform(platform) for lock in ends]
        mixture = make_mixture(*parts, satisfies=_satisfies)
        if not mixture.groups:
            raise UsageError(
                "usage.bisect_equal",
                f"`{good}` and `{bad}` have the same packages for `{platform}`",
                hints=["choose two that `provision diff` tells apart"],
            )
        bench = Bench(profile, mixture, choices, engines, env=find_variables(profile, gpu), on_event=on_event)
        count = len(mixture.groups)
        on_event(Notice(message=f"{_count_changes(mixture)} changes in {count} groups lie between them"))
        with bench.hold():
            try:
                culprit = find_culprit(count, bench.judge, close=mixture.close)
            except NotBadError as error:
                raise _not_between(bad, "good", bench) from error
            except NotGoodError as error:
                raise _not_between(good, "bad", bench) from error
    return Bisected(
        profile=profile.name,
        mixture=mixture,
        judged=tuple(bench.judged),
        culprit=culprit,
        difference=_describe(ends[0], mixture, culprit.changes),
        pins=tuple(_find_pins(mixture, culprit.changes)),
    )


def _satisfies(package: Package, constraint: str) -> bool:
    if isinstance(package, CondaPackage):
        return allows_conda(package, constraint)
    return allows(package, constraint)


def _count_changes(mixture: Mixture) -> int:
    return sum(map(len, mixture.groups))


def _describe(good: Lock, mixture: Mixture, changes: Collection[int]) -> LockDiff:
    """Return the culprit as the difference between the good lock and that with these changes alone."""
    old, new = (replace(good, platforms=(part,)) for part in (mixture.good, mixture.mix(changes)))
    return diff_locks(old, new)


def _find_pins(mixture: Mixture, changes: Collection[int]) -> Iterator[tuple[str, str]]:
    """Yield manager and requirement of every package that the culprit changed and that was there before."""
    old = index_packages(mixture.good)
    for manager, name in sorted(key for number in changes for key in mixture.groups[number]):
        package = old.get((manager, name))
        if package is not None:
            yield manager, f"{name}=={package.version}"


def _not_between(place: str, what: str, bench: Bench) -> UsageError:
    last = bench.judged[-1]
    return UsageError(
        f"usage.bisect_not_{'bad' if what == 'good' else 'good'}",
        f"`{place}` is {what} here: {last.reason}",
        hints=[
            "name the good lock first and the bad one second",
            "if both were judged otherwise elsewhere, the packages are not the cause: see `provision doctor`",
        ],
        context={"outcome": last.outcome.value},
    )
