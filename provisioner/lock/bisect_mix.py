"""Locks between two locks: what changed, which changes need each other, and the packages of some of them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from provisioner.lock.model import LockedPlatform
from provisioner.resolve.model import CondaPackage, PipPackage

Package = CondaPackage | PipPackage
Key = tuple[str, str]
"""Manager (``conda``, ``pip``, ``asset``) and name."""
Satisfies = Callable[[Package, str], bool]
"""Tells whether a package is one that a constraint on its name allows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixture:
    """Two locks of one platform, and what lies between them.

    Attributes:
        good: The first lock's packages.
        bad: The second one's.
        groups: Changes that go together or not at all.
        needs: For each group the groups that it cannot be without, itself among them; none comes later.
    """

    good: LockedPlatform
    bad: LockedPlatform
    groups: tuple[frozenset[Key], ...]
    needs: tuple[frozenset[int], ...]

    def close(self, chosen: Collection[int]) -> frozenset[int]:
        """Return a choice of groups with all that they need."""
        return frozenset(each for number in chosen for each in self.needs[number])

    def mix(self, chosen: Collection[int]) -> LockedPlatform:
        """Return the first lock's packages, with the changes of a complete choice of groups."""
        changed = {key for number in chosen for key in self.groups[number]}
        old, new = index_packages(self.good), index_packages(self.bad)
        keys = sorted({*old, *new})
        packages = [(new if key in changed else old).get(key) for key in keys]
        return replace(
            self.good,
            conda=tuple(each for each in packages if isinstance(each, CondaPackage)),
            pip=tuple(sorted((each for each in packages if isinstance(each, PipPackage)), key=_order)),
        )


def make_mixture(good: LockedPlatform, bad: LockedPlatform, *, satisfies: Satisfies) -> Mixture:
    """Return what lies between two locks of one platform.

    Of two changes the first needs the second where a package, taken from its lock, would meet one of the
    other lock that it does not allow. Changes that need each other are one group.
    """
    needs = dict(_find_needs(index_packages(good), index_packages(bad), satisfies=satisfies))
    closed = {key: _close(key, needs) for key in needs}
    groups = {frozenset(other for other in closed[key] if key in closed[other]) for key in closed}
    # What a group needs has fewer needs itself, so that every beginning of this row is complete.
    ordered = sorted(groups, key=lambda group: (len(closed[min(group)]), sorted(group)))
    place = {key: number for number, group in enumerate(ordered) for key in group}
    reached = tuple(frozenset(place[key] for key in closed[min(group)]) for group in ordered)
    return Mixture(good=good, bad=bad, groups=tuple(ordered), needs=reached)


def index_packages(part: LockedPlatform) -> dict[Key, Package]:
    """Return the packages of a platform by manager and name."""
    managers = {False: "pip", True: "asset"}
    return {("conda", package.name): package for package in part.conda} | {
        (managers[package.validation], package.name): package for package in part.pip
    }


def allows(package: PipPackage, constraint: str) -> bool:
    """Tell whether a specifier allows a wheel's version; one that cannot be read allows all."""
    try:
        return SpecifierSet(constraint).contains(package.version, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return True


def _find_needs(
    old: Mapping[Key, Package], new: Mapping[Key, Package], *, satisfies: Satisfies
) -> Iterator[tuple[Key, set[Key]]]:
    """Yield every change with those that it cannot be without, directly."""
    changed = [key for key in {*old, *new} if old.get(key) != new.get(key)]
    needs: dict[Key, set[Key]] = {key: set() for key in changed}
    for side, other, forward in ((new, old, True), (old, new, False)):
        for key, package in side.items():
            for name, constraint in package.dependencies.items():
                target = _find_target(key, name, needs)
                if target is None or key not in needs or not _fits(side.get(target), constraint, satisfies):
                    continue  # nothing to choose, or its own lock breaks it, too
                if not _fits(other.get(target), constraint, satisfies):
                    needs[key if forward else target].add(target if forward else key)
    yield from needs.items()


def _find_target(key: Key, name: str, changed: Collection[Key]) -> Key | None:
    """Return the change that a dependency of a package is about."""
    wheel = ("pip", canonicalize_name(name))
    targets: Sequence[Key] = (wheel,) if key[0] != "conda" else (("conda", name),)
    return next((target for target in targets if target in changed), None)


def _fits(package: Package | None, constraint: str, satisfies: Satisfies) -> bool:
    return package is not None and satisfies(package, constraint)


def _close(key: Key, needs: Mapping[Key, set[Key]]) -> frozenset[Key]:
    found, waiting = {key}, [key]
    while waiting:
        more = needs[waiting.pop()] - found
        found |= more
        waiting += more
    return frozenset(found)


def _order(package: PipPackage) -> tuple[str, bool]:
    return package.name, package.validation
