"""Choose, among the wheels of an index, the one file per version that a target can install."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from provisioner.engines.index_page import IndexFile
from provisioner.resolve.target import find_target


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a request allows of one index.

    Attributes:
        before: ISO time; files uploaded at or after it do not exist. None: no limit.
        prereleases: Whether pre-releases of the project exist.
        yanked: Versions whose yanked files exist.
    """

    before: str | None = None
    prereleases: bool = False
    yanked: frozenset[Version] = frozenset()


@cache
def rank_tags(platform: str, python: str) -> Mapping[Tag, int]:
    """Return every tag that the target installs, with its rank; 0 is the best."""
    major, minor = (int(part) for part in python.split("."))
    platforms = find_target(platform).wheel_platforms
    interpreter = f"cp{major}{minor}"
    tags = [
        *cpython_tags((major, minor), abis=[interpreter], platforms=platforms),
        *compatible_tags((major, minor), interpreter=interpreter, platforms=platforms),
    ]
    return {tag: rank for rank, tag in reversed(list(enumerate(tags)))}


def choose_wheels(
    files: Iterable[IndexFile], *, project: str, platform: str, python: str, limits: Limits
) -> dict[Version, IndexFile]:
    """Return the best file of each version that exists within the limits.

    One file per version leaves the resolver nothing to choose but the version, so the locked file is certain.
    """
    ranks = rank_tags(platform, python)
    best: dict[Version, tuple[tuple[int, tuple[int, ...], str], IndexFile]] = {}
    for file in files:
        parsed = _parse(file.filename)
        if parsed is None or parsed[0] != project:
            continue
        _, version, build, tags = parsed
        if not _exists(file, version, limits) or not _admits_python(file.requires_python, python):
            continue
        rank = min((ranks[tag] for tag in tags if tag in ranks), default=None)
        if rank is None:
            continue
        # The higher build number wins among equals; the name breaks the last tie.
        key = (rank, tuple(-number for number in build), file.filename)
        if version not in best or key < best[version][0]:
            best[version] = (key, file)
    return {version: file for version, (_, file) in best.items()}


def count_hidden(files: Iterable[IndexFile], *, limits: Limits) -> Iterator[str]:
    """Yield, for a message about a missing version, what the limits hide."""
    parsed = [(file, found[1]) for file in files if (found := _parse(file.filename))]
    if not limits.prereleases and (count := len({v for _, v in parsed if v.is_prerelease})):
        yield f"{count} pre-releases"
    if limits.before and (
        count := len({v for file, v in parsed if file.uploaded and file.uploaded >= limits.before})
    ):
        yield f"{count} versions uploaded after `as_of`"
    if count := len({v for file, v in parsed if file.yanked is not None and v not in limits.yanked}):
        yield f"{count} yanked versions"


@cache
def _parse(filename: str) -> tuple[str, Version, tuple[int, ...], frozenset[Tag]] | None:
    try:
        name, version, build, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return None
    return canonicalize_name(name), version, tuple(part for part in build if isinstance(part, int)), tags


def _exists(file: IndexFile, version: Version, limits: Limits) -> bool:
    if file.yanked is not None and version not in limits.yanked:
        return False
    if version.is_prerelease and not limits.prereleases:
        return False
    return limits.before is None or (file.uploaded is not None and file.uploaded < limits.before)


def _admits_python(specifier: str | None, python: str) -> bool:
    if not specifier:
        return True
    try:
        return SpecifierSet(specifier).contains(f"{python}.99")
    except InvalidSpecifier:
        # Old uploads hold texts such as `>=3.6*`; refusing them would hide versions that do install.
        return True
