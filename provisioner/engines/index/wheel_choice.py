"""Choose, among the files of an index, the one per version that a target can install."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from provisioner.engines.index.page import IndexFile
from provisioner.resolve.platforms import find_target

# A source archive stands behind every wheel of its version.
_SOURCE_RANK = 1_000_000
_BUILD_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a request allows of one project.

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

    @property
    def key(self) -> str:
        """Return a text that differs where the limits do, the same in every process."""
        yanked = ",".join(sorted(str(version) for version in self.yanked))
        return f"{self.before} {self.prereleases} {yanked} {self.sources}"


def choose_wheels(
    files: Iterable[IndexFile], *, project: str, platform: str, python: str, limits: Limits
) -> dict[Version, IndexFile]:
    """Return the best file of each version that exists within the limits.

    One file per version leaves the resolver nothing to choose but the version, so the locked file is certain.
    """
    best: dict[Version, tuple[tuple[int, int, str], IndexFile]] = {}
    for file in files:
        # Big projects list thousands of files; the cheap tests come before the parsing.
        if limits.before and not _uploaded_before(file, limits.before):
            continue
        rank = _rank_file(file.filename, platform, python)
        if rank is None or (rank == _SOURCE_RANK and not limits.sources):
            continue
        parsed = _parse(file.filename)
        if parsed is None or parsed[0] != project:
            continue
        _, version, build = parsed
        if not _exists(file, version, limits) or not _admits_python(file.requires_python, python):
            continue
        # The higher build number wins among equals; the name breaks the last tie.
        key = (rank, -build, file.filename)
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
    wheels = {version for file, version in parsed if file.filename.endswith(".whl")}
    if not limits.sources and (count := len({version for _, version in parsed} - wheels)):
        yield f"{count} versions that exist as source archives only"


def find_other_wheels(
    files: Iterable[IndexFile], *, project: str, wanted: SpecifierSet, platform: str, python: str
) -> list[str]:
    """Return what the wheels of the wanted versions are for, if none is for the target.

    Each is a file name's tags, for example ``cp311-cp311-win_amd64``, with the Pythons that the index says it
    needs where those keep the target out.
    """
    found = set()
    for file in files:
        parsed = _parse(file.filename)
        if parsed is None or parsed[0] != project or not file.filename.endswith(".whl"):
            continue
        if not wanted.contains(parsed[1], prereleases=True):
            continue
        admits = _admits_python(file.requires_python, python)
        if admits and _rank_file(file.filename, platform, python) is not None:
            return []
        tags = "-".join(file.filename[:-4].rsplit("-", 3)[1:])
        found.add(tags if admits else f"{tags} and Python {file.requires_python}")
    return sorted(found)


def _rank_file(filename: str, platform: str, python: str) -> int | None:
    """Return a file's rank, 0 being the best; None where the target cannot install it."""
    if not filename.endswith(".whl"):
        return _SOURCE_RANK
    parts = filename[:-4].rsplit("-", 3)
    return _rank_tags(*parts[1:], platform, python) if len(parts) == 4 else None


@cache
def _rank_tags(interpreters: str, abis: str, platforms: str, platform: str, python: str) -> int | None:
    """Return the rank of a wheel's compressed tags; there are few of them, and many files."""
    ranks = _target_ranks(platform, python)
    found = [
        rank
        for interpreter in interpreters.lower().split(".")
        for abi in abis.lower().split(".")
        for each in platforms.lower().split(".")
        if (rank := ranks.get(f"{interpreter}-{abi}-{each}")) is not None
    ]
    return min(found, default=None)


@cache
def _target_ranks(platform: str, python: str) -> Mapping[str, int]:
    """Return every tag that the target installs, with its rank."""
    major, minor = (int(part) for part in python.split("."))
    platforms = find_target(platform).wheel_platforms
    interpreter = f"cp{major}{minor}"
    tags = [
        *cpython_tags((major, minor), abis=[interpreter], platforms=platforms),
        *compatible_tags((major, minor), interpreter=interpreter, platforms=platforms),
    ]
    return {str(tag): rank for rank, tag in reversed(list(enumerate(tags)))}


def _parse(filename: str) -> tuple[str, Version, int] | None:
    """Return normalised name, version and build number; None for what is not a file of a project.

    ``packaging`` parses tags too, which took a third of a lock's time.
    """
    if filename.endswith(".whl"):
        parts = filename[:-4].split("-")
        if len(parts) not in {5, 6}:
            return None
        build = _BUILD_NUMBER.match(parts[2]) if len(parts) == 6 else None
        number = int(build.group()) if build else 0
    else:
        parts = filename.removesuffix(".tar.gz").rsplit("-", 1)
        if len(parts) != 2:
            return None
        number = 0
    version = _version(parts[1])
    return None if version is None else (_name(parts[0]), version, number)


@cache
def _name(text: str) -> str:
    return canonicalize_name(text)


@cache
def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _exists(file: IndexFile, version: Version, limits: Limits) -> bool:
    if file.yanked is not None and version not in limits.yanked:
        return False
    return limits.prereleases or not version.is_prerelease


def _uploaded_before(file: IndexFile, before: str) -> bool:
    return file.uploaded is not None and file.uploaded < before


@cache
def _admits_python(specifier: str | None, python: str) -> bool:
    if not specifier:
        return True
    try:
        return SpecifierSet(specifier).contains(f"{python}.99")
    except InvalidSpecifier:
        # Old uploads hold texts such as `>=3.6*`; refusing them would hide versions that do install.
        return True
