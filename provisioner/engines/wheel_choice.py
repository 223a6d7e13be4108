"""Choose, among the wheels of an index, the one file per version that a target can install."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
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
        sources: Whether a source archive may stand in for a version that has no wheel.
    """

    before: str | None = None
    prereleases: bool = False
    yanked: frozenset[Version] = frozenset()
    sources: bool = False


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
    may_fit = _filename_pattern(platform, python).search
    best: dict[Version, tuple[tuple[int, tuple[int, ...], str], IndexFile]] = {}
    for file in files:
        # Big projects list thousands of files; the cheap tests come before the parsing.
        if not may_fit(file.filename) or (limits.before and not _uploaded_before(file, limits.before)):
            continue
        parsed = _parse(file.filename)
        if parsed is None or parsed[0] != project:
            continue
        _, version, build, tags = parsed
        if not _exists(file, version, limits) or not _admits_python(file.requires_python, python):
            continue
        if not tags and limits.sources:
            rank = len(ranks)
        elif installable := [ranks[tag] for tag in tags if tag in ranks]:
            rank = min(installable)
        else:
            continue
        # The higher build number wins among equals; the name breaks the last tie.
        key = (rank, tuple(-number for number in build), file.filename)
        if version not in best or key < best[version][0]:
            best[version] = (key, file)
    return {version: file for version, (_, file) in best.items()}


def count_hidden(files: Iterable[IndexFile], *, limits: Limits) -> Iterator[str]:
    """Yield, for a message about a missing version, what the limits hide."""
    files = list(files)
    parsed = [(file, found[1]) for file in files if (found := _parse(file.filename))]
    if not limits.prereleases and (count := len({v for _, v in parsed if v.is_prerelease})):
        yield f"{count} pre-releases"
    if limits.before and (
        count := len({v for file, v in parsed if file.uploaded and file.uploaded >= limits.before})
    ):
        yield f"{count} versions uploaded after `as_of`"
    if count := len({v for file, v in parsed if file.yanked is not None and v not in limits.yanked}):
        yield f"{count} yanked versions"
    wheels = {version for file, version in parsed if file.filename.endswith(".whl")}
    if not limits.sources and (count := len({version for _, version in parsed} - wheels)):
        yield f"{count} versions that exist as source archives only"


@cache
def _parse(filename: str) -> tuple[str, Version, tuple[int, ...], frozenset[Tag]] | None:
    """Return name, version, build number and tags; a source archive has no tags."""
    try:
        if not filename.endswith(".whl"):
            return (*parse_sdist_filename(filename), (), frozenset())
        name, version, build, tags = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None
    return canonicalize_name(name), version, tuple(part for part in build if isinstance(part, int)), tags


def _exists(file: IndexFile, version: Version, limits: Limits) -> bool:
    if file.yanked is not None and version not in limits.yanked:
        return False
    return limits.prereleases or not version.is_prerelease


def _uploaded_before(file: IndexFile, before: str) -> bool:
    return file.uploaded is not None and file.uploaded < before


@cache
def _filename_pattern(platform: str, python: str) -> re.Pattern[str]:
    """Return what every filename contains that the target may install; source archives pass."""
    tags = rank_tags(platform, python)
    interpreters = "|".join(sorted({re.escape(tag.interpreter) for tag in tags}))
    platforms = "|".join(sorted({re.escape(tag.platform) for tag in tags}))
    return re.compile(
        rf"[-.](?:{interpreters})[-.].*[-.](?:{platforms})(?:\.[^-]*)?\.whl$|\.tar\.gz$", re.IGNORECASE
    )


@cache
def _admits_python(specifier: str | None, python: str) -> bool:
    if not specifier:
        return True
    try:
        return SpecifierSet(specifier).contains(f"{python}.99")
    except InvalidSpecifier:
        # Old uploads hold texts such as `>=3.6*`; refusing them would hide versions that do install.
        return True
