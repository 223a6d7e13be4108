"""Look for known failures in an environment, before it fails: the probes of the catalogue.

Pure: what is installed goes in, matches come out.
"""

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from provisioner.diagnose.failures.model import (
    Catalogue,
    Failure,
    FileCount,
    Installed,
    Match,
    Platform,
    Probe,
    Severity,
)

_RANK = {Severity.FATAL: 0, Severity.WARNING: 1, Severity.BENIGN: 2}


def explain_environment(
    distributions: Mapping[str, str],
    catalogue: Catalogue,
    *,
    platform: Platform | None = None,
    files: Collection[str] | None = None,
) -> tuple[Match, ...]:
    """Return the known failures that an environment has or will have, fatal ones first.

    Args:
        distributions: Installed distributions and versions; names in any spelling. A version that PEP 440
            does not know fulfils no condition.
        catalogue: The known failures.
        platform: Where the environment is. ``None`` leaves out every probe that names platforms.
        files: Paths in the environment, relative, with either separator. ``None`` leaves out probes on files.
    """
    versions: dict[str, Version | None] = {
        canonicalize_name(name): _parse_version(text) for name, text in distributions.items()
    }
    paths = None if files is None else [path.replace("\\", "/").lower() for path in files]
    matches = []
    for failure in catalogue.failures.values():
        for probe in failure.probes:
            evidence = _judge_probe(probe, versions, platform=platform, paths=paths)
            if evidence is not None:
                matches.append(_describe(failure, evidence))
                break
    return tuple(sorted(matches, key=lambda match: _RANK[match.severity]))


def _parse_version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _judge_probe(
    probe: Probe,
    versions: Mapping[str, Version | None],
    *,
    platform: Platform | None,
    paths: Collection[str] | None,
) -> str | None:
    """Return what fulfils the probe, in words, or ``None`` where it is not fulfilled or cannot be judged."""
    if (probe.platforms and platform not in probe.platforms) or (probe.files and paths is None):
        return None
    if any(name in versions for name in probe.absent):
        return None
    if not all(_fulfils(versions.get(condition.name), condition) for condition in probe.installed):
        return None
    seen = [f"{condition.name} {versions[condition.name]}" for condition in probe.installed]
    if probe.minor_differs:
        first, second = (versions.get(name) for name in probe.minor_differs)
        if first is None or second is None or first.release[:2] == second.release[:2]:
            return None
        seen += [f"{name} {versions[name]}" for name in probe.minor_differs]
    seen += [f"no {name}" for name in probe.absent]
    for count in probe.files:
        found = sum(fnmatchcase(path, count.glob) for path in paths or ())
        if not _holds(found, count):
            return None
        seen.append(f"{found} of {count.glob}" if found else f"no {count.glob}")
    return ", ".join(seen)


def _fulfils(version: Version | None, condition: Installed) -> bool:
    if version is None or not condition.version.contains(version, prereleases=True):
        return False
    local = version.local or ""
    return (not condition.local or local.startswith(condition.local)) and not local.startswith(
        condition.local_not
    )


def _holds(found: int, count: FileCount) -> bool:
    return found >= count.at_least and (count.at_most is None or found <= count.at_most)


def _describe(failure: Failure, evidence: str) -> Match:
    return Match(
        id=failure.id,
        title=failure.title,
        stage=failure.stage,
        severity=failure.severity,
        confidence=failure.confidence,
        cause="\n".join(cause.text for cause in failure.causes),
        fix=failure.fix,
        line=None,
        evidence=evidence,
    )
