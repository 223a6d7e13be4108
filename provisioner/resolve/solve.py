"""Turn a profile into the exact files for each of its platforms."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial

from packaging.utils import canonicalize_name

from provisioner.events import Listener, Notice, ignore_events
from provisioner.profile.model import Platform, Profile
from provisioner.resolve.model import PlatformResolution, Resolution
from provisioner.resolve.parallel import run_parallel
from provisioner.resolve.policy import check_conda, check_profile, check_resolution
from provisioner.resolve.request import (
    CondaSolver,
    PipSolver,
    find_provided,
    make_conda_request,
    make_pip_request,
)

_Answer = tuple[PlatformResolution, tuple[str, ...]]


def resolve_profile(
    profile: Profile,
    *,
    conda: CondaSolver,
    pip: PipSolver,
    previous: Mapping[str, PlatformResolution] | None = None,
    update: Collection[str] = (),
    on_event: Listener = ignore_events,
) -> Resolution:
    """Resolve every platform of the profile.

    Args:
        profile: What is wanted.
        conda: Solves the conda part.
        pip: Solves the wheels within what the conda part brings.
        previous: Platform to an earlier answer; what the profile still allows of it stays.
        update: Names that may move away from ``previous``.
        on_event: Hears the notes.

    Raises:
        ResolveError: The profile breaks a rule, or no set of packages answers it.
        UnavailableError: An index, a channel or a file could not be read.
    """
    check_profile(profile)
    solve_one = partial(
        _resolve_platform,
        profile,
        conda=conda,
        pip=pip,
        previous=previous or {},
        moving=frozenset(canonicalize_name(name) for name in update),
    )

    def stop() -> None:
        conda.stop()
        pip.stop()

    # The platforms are independent, and both solvers wait for other processes.
    answers = run_parallel(
        [partial(solve_one, platform) for platform in profile.platforms],
        workers=len(profile.platforms),
        stop=stop,
    )
    notes = tuple(dict.fromkeys(note for _, found in answers for note in found))
    for note in notes:
        on_event(Notice(message=note))
    resolution = Resolution(
        profile=profile.name, platforms=tuple(platform for platform, _ in answers), notes=notes
    )
    check_resolution(profile, resolution)
    return resolution


def _resolve_platform(
    profile: Profile,
    platform: Platform,
    *,
    conda: CondaSolver,
    pip: PipSolver,
    previous: Mapping[str, PlatformResolution],
    moving: frozenset[str],
) -> _Answer:
    kept = previous.get(platform.name, PlatformResolution(platform=platform.name))
    request = make_conda_request(
        profile,
        platform,
        preferred=tuple(package for package in kept.conda if package.name not in moving),
    )
    conda_packages = conda.solve_conda(request) if request else ()
    check_conda(profile, conda_packages)
    solution = pip.solve_pip(
        make_pip_request(
            profile,
            platform,
            provided=find_provided(conda_packages),
            preferred={
                package.name: package.version
                for package in kept.pip
                if package.name not in moving and not package.validation
            },
        )
    )
    overrides = tuple(
        f"{platform.name}: `{decision.requirement}` wins over what packages ask for: {decision.reason}"
        for decision in platform.overrides
    )
    answer = PlatformResolution(platform=platform.name, conda=conda_packages, pip=solution.packages)
    return (
        _keep_facts(answer, kept),
        (*overrides, *(f"{platform.name}: {note}" for note in solution.notes)),
    )


def _keep_facts(answer: PlatformResolution, kept: PlatformResolution) -> PlatformResolution:
    """Return the answer with what an earlier one knew of the same files: a server may not say it today."""
    known = {package.sha256: package for package in kept.pip}
    pip = []
    for package in answer.pip:
        before = known.get(package.sha256, package)
        size = before.size if package.size is None else package.size
        pip.append(replace(package, size=size, publisher=package.publisher or before.publisher))
    return replace(answer, pip=tuple(pip))
