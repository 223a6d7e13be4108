"""What is asked of the solvers, and the protocols they answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from provisioner.ground.names import channel_address
from provisioner.profile.model import Platform, Profile
from provisioner.resolve.model import CondaPackage, PipPackage


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaRequest:
    """A conda solve for one platform.

    Attributes:
        channels: Canonical addresses, strict priority in this order.
        specs: Match specs, python's among them.
        as_of: ISO date or None; packages built after its end do not exist.
        preferred: Packages kept where the specs still allow them.
    """

    platform: str
    channels: tuple[str, ...]
    specs: tuple[str, ...]
    as_of: str | None = None
    preferred: tuple[CondaPackage, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PipRequest:
    """A wheel solve for one platform.

    Attributes:
        python: ``major.minor``.
        requirements: PEP 508 texts.
        overrides: PEP 508 texts that replace every other demand for their package.
        routes: Normalised package name to index name; all others come from the default index.
        indexes: Index name to canonical address.
        prereleases: Normalised names whose pre-releases are allowed.
        yanked: ``name==version`` (normalised) whose yanked files are allowed.
        sdists: Normalised names that may be built from a source archive where there is no wheel.
        as_of: ISO date or None; later files of the default index do not exist.
        provided: Normalised name to version of what the conda packages bring.
        assets: Exact requirements that are locked beside the solution, not in it.
        preferred: Normalised name to version, kept where the requirements still allow it.
    """

    platform: str
    python: str
    requirements: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    routes: Mapping[str, str] = field(default_factory=dict)
    indexes: Mapping[str, str] = field(default_factory=dict)
    prereleases: frozenset[str] = frozenset()
    yanked: frozenset[str] = frozenset()
    sdists: frozenset[str] = frozenset()
    as_of: str | None = None
    provided: Mapping[str, str] = field(default_factory=dict)
    assets: tuple[str, ...] = ()
    preferred: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class PipSolution:
    """The wheels of one platform, sorted by name; ``notes`` name yanked files that were taken."""

    packages: tuple[PipPackage, ...]
    notes: tuple[str, ...] = ()


class CondaSolver(Protocol):
    """Finds conda packages."""

    def solve_conda(self, request: CondaRequest) -> tuple[CondaPackage, ...]:
        """Return the packages, sorted by name.

        Raises:
            ResolveError: No set of packages answers.
            UnavailableError: A channel could not be read.
        """

    def stop(self) -> None:
        """End what is under way in other threads; this solver is not used again."""


class PipSolver(Protocol):
    """Finds wheels."""

    def solve_pip(self, request: PipRequest) -> PipSolution:
        """Return the wheels, sorted by name.

        Raises:
            ResolveError: No set of wheels answers.
            UnavailableError: An index or a file without a digest could not be read.
        """

    def stop(self) -> None:
        """End what is under way in other threads; this solver is not used again."""


def make_conda_request(
    profile: Profile, platform: Platform, *, preferred: tuple[CondaPackage, ...] = ()
) -> CondaRequest | None:
    """Return the conda request of a platform; None where the base is a venv."""
    if not platform.conda:
        return None
    return CondaRequest(
        platform=platform.name,
        channels=tuple(channel_address(channel) for channel in platform.channels),
        specs=(f"python {profile.python}.*", *platform.conda),
        as_of=profile.as_of,
        preferred=preferred,
    )


def find_provided(packages: tuple[CondaPackage, ...]) -> dict[str, str]:
    """Return name and version of the Python distributions among conda packages.

    A conda package that depends on python is taken for the distribution of its own name, which holds for the
    packages that pip could want a second time (setuptools, pip, wheel, packaging, numpy). One with a version
    outside PEP 440 is not: pip could not compare it.
    """
    return {
        canonicalize_name(package.name): package.version
        for package in packages
        if "python" in package.dependencies and package.name != "python" and _is_version(package.version)
    }


def make_pip_request(
    profile: Profile,
    platform: Platform,
    *,
    provided: Mapping[str, str],
    preferred: Mapping[str, str],
) -> PipRequest:
    """Return the wheel request of a platform."""
    asset = profile.validation.asset
    return PipRequest(
        platform=platform.name,
        python=profile.python,
        requirements=platform.pip,
        overrides=tuple(decision.requirement for decision in platform.overrides),
        routes=platform.routes,
        indexes={index.name: index.url for index in profile.indexes},
        prereleases=frozenset(platform.prereleases),
        yanked=frozenset(_exact(decision.requirement) for decision in platform.yanked),
        sdists=frozenset(decision.requirement for decision in platform.sdists),
        as_of=profile.as_of,
        provided=provided,
        assets=(asset,) if asset else (),
        preferred=preferred,
    )


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _exact(requirement: str) -> str:
    parsed = Requirement(requirement)
    return f"{canonicalize_name(parsed.name)}{parsed.specifier}"
