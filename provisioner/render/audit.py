"""What `provision audit` answers: known vulnerabilities, ends of life, and what was not looked at."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from provisioner.diagnose.advisories.ignore import Ignore
from provisioner.diagnose.advisories.model import Audited, Ending, State, Vulnerability
from provisioner.ground.text import count_of
from provisioner.render.result import Result

# With `--exit-code`, as `explain` answers: 10 for what is known to be wrong, 12 for warnings alone.
_VULNERABLE = 10
_ENDED = 12
_WORDS = {State.ARCHIVED: "archived since", State.ENDED: "ended on", State.ENDS: "ends on"}


def render_audited(audited: Iterable[Audited]) -> Result:
    """Return what is known against each profile's lock."""
    rows = []
    lines: list[str] = []
    for each in audited:
        rows.append(_describe(each))
        lines += _tell(each)
    return Result(data={"profiles": rows}, text="\n".join(lines))


def with_exit_code(result: Result) -> Result:
    """Return the same answer with what was found as its exit code."""
    rows = result.data["profiles"]
    counted = [each for row in rows for each in row["vulnerabilities"] if each["ignored"] is None]
    ended = [each for row in rows for each in row["endings"] if each["ignored"] is None and each["over"]]
    code = _VULNERABLE if counted else _ENDED if ended else 0
    return replace(result, exit_code=code)


def _describe(audited: Audited) -> dict[str, Any]:
    return {
        "profile": audited.profile,
        "lockfile": str(audited.lockfile),
        "platforms": list(audited.platforms),
        "packages": audited.packages,
        "not_in_osv": list(audited.unknown),
        "asked": audited.asked,
        "vulnerabilities": [_describe_vulnerability(each, audited) for each in audited.vulnerabilities],
        "endings": [_describe_ending(each, audited) for each in audited.endings],
        "unused_ignores": list(audited.unused),
    }


def _describe_vulnerability(found: Vulnerability, audited: Audited) -> dict[str, Any]:
    return {
        "package": found.package,
        "version": found.version,
        "id": found.id,
        "aliases": list(found.aliases),
        "severity": found.severity.value,
        "summary": found.summary,
        "fixed": found.fixed,
        "address": found.address,
        "platforms": list(found.platforms),
        "line": audited.lines[found.package],
        "ignored": _describe_ignore(found.ignored),
    }


def _describe_ending(found: Ending, audited: Audited) -> dict[str, Any]:
    return {
        "package": found.package,
        "version": found.version,
        "id": found.id,
        "state": found.state.value,
        "over": found.state is not State.ENDS,
        "date": found.date,
        "note": found.note,
        "instead": found.instead,
        "source": found.source,
        "platforms": list(found.platforms),
        "line": audited.lines[found.package],
        "ignored": _describe_ignore(found.ignored),
    }


def _describe_ignore(ignored: Ignore | None) -> dict[str, str] | None:
    return None if ignored is None else {"reason": ignored.reason, "until": ignored.until.isoformat()}


def _tell(audited: Audited) -> Iterator[str]:
    counted = [each for each in audited.vulnerabilities if each.ignored is None]
    count = "no known vulnerability" if not counted else count_of(len(counted), "known vulnerability")
    yield (
        f"{audited.profile}: {count} in {count_of(audited.packages, 'version')} of packages for "
        f"{', '.join(audited.platforms)} (OSV asked on {audited.asked})"
    )
    package = ""
    for each in audited.vulnerabilities:
        if (title := f"  {each.package} {each.version}") != package:
            package = title
            yield f"{title}{_only_on(each, audited)}"
        yield from _tell_vulnerability(each)
    for ending in audited.endings:
        yield f"  {ending.package} {ending.version}: {_WORDS[ending.state]} {ending.date}: {ending.note}"
        yield f"    id: {ending.id}; source: {ending.source}"
        if ending.ignored is None:
            yield f"    hint: {ending.instead}"
        else:
            yield _tell_ignore(ending.ignored)
    if audited.unknown:
        names = ", ".join(audited.unknown[:5]) + (", …" if len(audited.unknown) > 5 else "")
        yield f"  not in OSV: {count_of(len(audited.unknown), 'package')} of conda ({names})"
    for name in audited.unused:
        yield f"  `{name}` is ignored and was not found: it can go from `provision.yaml`"


def _tell_vulnerability(found: Vulnerability) -> Iterator[str]:
    names = ", ".join((found.id, *(name for name in found.aliases if name.startswith("CVE-"))))
    fixed = f"mended in {found.fixed}" if found.fixed else "no mended version is known"
    yield f"    {names}: {found.severity}, {fixed}"
    if found.summary:
        yield f"      {found.summary}"
    if found.ignored is not None:
        yield _tell_ignore(found.ignored)


def _tell_ignore(ignored: Ignore) -> str:
    return f"      ignored until {ignored.until}: {ignored.reason}"


def _only_on(found: Vulnerability, audited: Audited) -> str:
    return "" if found.platforms == audited.platforms else f" ({', '.join(found.platforms)})"
