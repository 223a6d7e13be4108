"""What changed between two locks, in the order in which it matters on an Arc GPU."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from packaging.version import InvalidVersion, Version

from provisioner.lock.model import Lock, LockedPlatform
from provisioner.lock.rules import origin_of
from provisioner.resolve.model import CondaPackage, PipPackage

# First what decides whether a GPU works at all: torch's variant, Intel's runtimes, triton, then transformers.
_RANKS = (
    re.compile(r"(?:py|lib)?torch|torchvision|torchaudio|intel-extension-for-pytorch|ipex-llm|bigdl-core-.*"),
    re.compile(
        r"dpcpp-cpp-rt|intel-.*-rt|intel-(?:openmp|pti)|(?:one)?mkl.*|one(?:ccl|dnn|mkl).*|impi-rt|tcmlib|umf|tbb"
        r"|level-zero.*"
    ),
    re.compile(r"(?:pytorch-)?triton.*"),
    re.compile(r"transformers|tokenizers|accelerate"),
)


class Kind(StrEnum):
    """What happened to a package."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageChange:
    """One package that is not the same in both locks.

    Attributes:
        manager: ``conda``, ``pip`` or ``asset`` (fetched for validation, never installed).
        old: Version, with the build of a conda package; None where it was added.
        new: The same afterwards; None where it was removed.
        old_source: The index or channel that it came from.
        new_source: The same afterwards.
        flags: Sentences about what a version does not show: other bytes, another index, another host.
        important: Whether a reviewer must see it: it decides the GPU's work, or something is odd about it.
    """

    manager: str
    name: str
    kind: Kind
    old: str | None
    new: str | None
    old_source: str | None
    new_source: str | None
    flags: tuple[str, ...]
    important: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformDiff:
    """The changes of one platform; ``kind`` tells of a platform that came or went as a whole."""

    platform: str
    kind: Kind
    changes: tuple[PackageChange, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LockDiff:
    """What changed between two locks of a profile; platforms without a change are left out.

    Attributes:
        notes_added: Notes that only the new lock has.
        notes_removed: Notes that only the old lock has.
    """

    profile: str
    platforms: tuple[PlatformDiff, ...]
    notes_added: tuple[str, ...] = ()
    notes_removed: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Return whether there is nothing to tell."""
        return not (self.platforms or self.notes_added or self.notes_removed)


def diff_locks(old: Lock | None, new: Lock | None) -> LockDiff:
    """Return what changed; None stands for a lockfile that does not exist on that side."""
    before = {platform.platform: platform for platform in old.platforms} if old else {}
    after = {platform.platform: platform for platform in new.platforms} if new else {}
    old_notes, new_notes = (old.notes if old else ()), (new.notes if new else ())
    lock = new or old
    platforms = (
        _diff_platform(name, before.get(name), after.get(name)) for name in sorted({*before, *after})
    )
    return LockDiff(
        profile=lock.profile if lock else "",
        platforms=tuple(platform for platform in platforms if platform),
        notes_added=tuple(note for note in new_notes if note not in old_notes),
        notes_removed=tuple(note for note in old_notes if note not in new_notes),
    )


def _diff_platform(name: str, old: LockedPlatform | None, new: LockedPlatform | None) -> PlatformDiff | None:
    before, after = _by_key(old), _by_key(new)
    pairs = ((key, before.get(key), after.get(key)) for key in {*before, *after})
    changes = [_make_change(*key, was, now) for key, was, now in pairs if _is_changed(was, now)]
    kind = _kind_of(old, new)
    if not changes and kind is Kind.CHANGED:
        return None
    changes.sort(key=lambda change: (_rank(change.name), change.name, change.manager))
    return PlatformDiff(platform=name, kind=kind, changes=tuple(changes))


_Package = CondaPackage | PipPackage


def _by_key(platform: LockedPlatform | None) -> dict[tuple[str, str], _Package]:
    conda, pip = (platform.conda, platform.pip) if platform else ((), ())
    managers = {False: "pip", True: "asset"}
    return {("conda", package.name): package for package in conda} | {
        (managers[package.validation], package.name): package for package in pip
    }


def _identity(package: _Package | None) -> tuple[str, str, str] | None:
    return (package.url, package.sha256, _source(package)) if package else None


def _is_changed(old: _Package | None, new: _Package | None) -> bool:
    if _identity(old) != _identity(new):
        return True
    return bool(old and new and _find_other_publisher(old, new))


def _kind_of(old: object, new: object) -> Kind:
    return Kind.ADDED if old is None else Kind.REMOVED if new is None else Kind.CHANGED


def _make_change(manager: str, name: str, old: _Package | None, new: _Package | None) -> PackageChange:
    flags = tuple(_find_flags(old, new)) if old and new else ()
    return PackageChange(
        manager=manager,
        name=name,
        kind=_kind_of(old, new),
        old=_version(old) if old else None,
        new=_version(new) if new else None,
        old_source=_source(old) if old else None,
        new_source=_source(new) if new else None,
        flags=flags,
        important=bool(flags) or _rank(name) < len(_RANKS),
    )


def _find_flags(old: _Package, new: _Package) -> Iterator[str]:
    if _source(old) != _source(new):
        yield f"from `{_source(new)}`, was from `{_source(old)}`"
    elif "://" in new.url and origin_of(old.url) != origin_of(new.url):
        yield f"on `{origin_of(new.url)}`, was on `{origin_of(old.url)}`"
    if other := _find_other_publisher(old, new):
        yield other
    if _version(old) == _version(new):
        if old.filename != new.filename:
            yield f"same version, another file: `{new.filename}`"
        elif old.sha256 != new.sha256:
            yield "same version, other bytes"
        return
    variants = [version.partition("+")[2] or "none" for version in (old.version, new.version)]
    if variants[0] != variants[1]:
        yield f"another variant: `{variants[0]}` became `{variants[1]}`"
    if _is_older(new.version, old.version):
        yield "older than before"


def _source(package: _Package) -> str:
    """Return the index's name, or the channel's address."""
    return package.index if isinstance(package, PipPackage) else package.url.rsplit("/", 2)[0]


def _find_other_publisher(old: _Package, new: _Package) -> str | None:
    """Return a remark on a publisher that became another, or nobody; what was never said has not changed."""
    before, after = (each.publisher if isinstance(each, PipPackage) else None for each in (old, new))
    if before is None or before == after:
        return None
    return f"published by `{after}`, was by `{before}`" if after else f"not attested, was by `{before}`"


def _version(package: _Package) -> str:
    return package.version if isinstance(package, PipPackage) else f"{package.version} {package.build}"


def _is_older(version: str, other: str) -> bool:
    try:
        return Version(version) < Version(other)
    except InvalidVersion:
        return False  # conda's versions need not be Python's


def _rank(name: str) -> int:
    return next((rank for rank, pattern in enumerate(_RANKS) if pattern.fullmatch(name)), len(_RANKS))
