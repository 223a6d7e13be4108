"""Look for known failures in an environment, before it fails: the conditions of the catalogue.

Pure: what is installed goes in, matches come out.
"""

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from provisioner.diagnose.failures.answer import Match, make_match
from provisioner.diagnose.failures.model import Catalogue, Condition, FileCount, Installed, System


def explain_environment(
    distributions: Mapping[str, str],
    catalogue: Catalogue,
    *,
    system: System | None = None,
    files: Collection[str] | None = None,
) -> tuple[Match, ...]:
    """Return the known failures that an environment has or will have, fatal ones first.

    Args:
        distributions: Installed distributions and versions; names in any spelling. A version that PEP 440
            does not know fulfils no condition.
        catalogue: The known failures.
        system: Where the environment is. ``None`` leaves out every condition that names systems.
        files: Paths in the environment, relative, with either separator. ``None`` leaves out conditions on
            files.
    """
    versions: dict[str, Version | None] = {
        canonicalize_name(name): _parse_version(text) for name, text in distributions.items()
    }
    paths = None if files is None else [path.replace("\\", "/").lower() for path in files]
    found = []
    for failure in sorted(catalogue.failures.values(), key=lambda failure: failure.rank):
        judged = (
            _judge_condition(condition, versions, system=system, paths=paths)
            for condition in failure.conditions
        )
        evidence = next((text for text in judged if text is not None), None)
        if evidence is not None:
            causes = "\n".join(cause.text for cause in failure.cause)
            found.append(make_match(failure, causes, line=None, evidence=evidence))
    return tuple(found)


def _parse_version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _judge_condition(
    condition: Condition,
    versions: Mapping[str, Version | None],
    *,
    system: System | None,
    paths: Collection[str] | None,
) -> str | None:
    """Return what fulfils the condition, in words; ``None`` where nothing does or it cannot be judged."""
    if (condition.systems and system not in condition.systems) or (condition.files and paths is None):
        return None
    if any(name in versions for name in condition.absent):
        return None
    if not all(_fulfils(versions.get(part.name), part) for part in condition.installed):
        return None
    seen = [f"{part.name} {versions[part.name]}" for part in condition.installed]
    if condition.minor_differs:
        first, second = (versions.get(name) for name in condition.minor_differs)
        if first is None or second is None or first.release[:2] == second.release[:2]:
            return None
        seen += [f"{name} {versions[name]}" for name in condition.minor_differs]
    seen += [f"no {name}" for name in condition.absent]
    for count in condition.files:
        found = sum(fnmatchcase(path, count.glob) for path in paths or ())
        if not _holds(found, count):
            return None
        seen.append(f"{found} of {count.glob}" if found else f"no {count.glob}")
    return ", ".join(seen)


def _fulfils(version: Version | None, part: Installed) -> bool:
    if version is None or not part.version.contains(version, prereleases=True):
        return False
    local = version.local or ""
    return (not part.local or local.startswith(part.local)) and not local.startswith(part.local_not)


def _holds(found: int, count: FileCount) -> bool:
    return found >= count.at_least and (count.at_most is None or found <= count.at_most)
