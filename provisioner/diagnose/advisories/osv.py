"""Ask OSV about a lock: what is asked, and what its answers mean.

Format of an advisory: OSV schema 1 (https://ossf.github.io/osv-schema/). OSV knows the Python Package
Index and no conda channel: conda packages are asked for by name where they hold a Python project.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from provisioner.diagnose.advisories.ignore import Ignore
from provisioner.diagnose.advisories.model import Answers, Question, Severity, Vulnerability
from provisioner.ground.text import replace_controls, shorten
from provisioner.resolve.model import CondaPackage, PipPackage

ECOSYSTEM = "PyPI"
_RANKS = {severity: rank for rank, severity in enumerate(Severity)}
# conda-forge's names of projects that the index calls otherwise, as far as profiles here have them.
_CONDA_NAMES = {"pytorch": "torch", "pytorch-cpu": "torch", "pytorch-gpu": "torch"}
_MOST_TEXT = 200


def find_question(package: CondaPackage | PipPackage) -> Question | None:
    """Return what is asked about a package; None where OSV knows nothing of its kind."""
    name = package.name
    if isinstance(package, CondaPackage):
        if "python" not in package.dependencies or name == "python":
            return None
        name = _CONDA_NAMES.get(name, name)
    try:
        return Question(name=canonicalize_name(name), version=Version(package.version).public)
    except InvalidVersion:
        return None


def find_vulnerabilities(
    packages: Mapping[tuple[str, str], tuple[str, ...]],
    questions: Mapping[tuple[str, str], Question],
    answers: Answers,
    *,
    ignores: Mapping[str, Ignore],
) -> tuple[Vulnerability, ...]:
    """Return the known vulnerabilities, by package and the worst first; two names of one are one.

    Args:
        packages: Name and version in the lock, to the platforms that have them.
        questions: The same keys, to what was asked.
        answers: To at least those questions.
        ignores: By an advisory's id or any alias.
    """
    found = []
    for key, question in questions.items():
        answer = answers.answers[question]
        documents = [answers.advisories[each] for each in answer.ids]
        for group in _group([each for each in documents if not each.get("withdrawn")]):
            one = _describe(group, question)
            names = (one.id, *one.aliases)
            ignored = next((ignores[name] for name in names if name in ignores), None)
            name, version = key
            found.append(
                replace(one, package=name, version=version, platforms=packages[key], ignored=ignored)
            )
    return tuple(sorted(found, key=lambda each: (each.package, _RANKS[each.severity], each.id)))


def _group(documents: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Return the documents with those together that name one another as aliases."""
    groups: list[tuple[set[str], list[Mapping[str, Any]]]] = []
    for document in documents:
        names = {str(document["id"]), *_texts(document.get("aliases"))}
        same = [group for group in groups if group[0] & names]
        members = [document]
        for group in same:
            names |= group[0]
            members = group[1] + members
            groups.remove(group)
        groups.append((names, members))
    return [members for _, members in groups]


def _describe(group: Sequence[Mapping[str, Any]], question: Question) -> Vulnerability:
    """Return one vulnerability; GitHub's advisory goes first, which has a summary and a severity."""
    ordered = sorted(group, key=lambda each: (not str(each["id"]).startswith("GHSA-"), str(each["id"])))
    names = {name for each in ordered for name in (str(each["id"]), *_texts(each.get("aliases")))}
    first = str(ordered[0]["id"])
    severities = (_find_severity(each) for each in ordered)
    summaries = (_find_summary(each) for each in ordered)
    fixes = [version for each in ordered if (version := _find_fix(each, question)) is not None]
    return Vulnerability(
        package=question.name,
        version=question.version,
        id=first,
        aliases=tuple(sorted(names - {first})),
        severity=min(severities, key=_RANKS.__getitem__),
        summary=next(filter(None, summaries), ""),
        fixed=str(min(fixes)) if fixes else None,
        platforms=(),
    )


def _find_severity(document: Mapping[str, Any]) -> Severity:
    """Return GitHub's word; other databases give a CVSS vector, from which no word is made here."""
    said = document.get("database_specific")
    word = str(said.get("severity", "")).lower() if isinstance(said, Mapping) else ""
    return Severity(word) if word in set(Severity) else Severity.UNKNOWN


def _find_summary(document: Mapping[str, Any]) -> str:
    text = document.get("summary") or document.get("details") or ""
    line = next((line for line in str(text).splitlines() if line.strip()), "")
    return shorten(replace_controls(line.strip()), _MOST_TEXT)


def _find_fix(document: Mapping[str, Any], question: Question) -> Version | None:
    """Return the lowest mended version above the one that was asked about."""
    fixes = []
    for affected in document.get("affected") or ():
        package = affected.get("package") or {}
        if (
            package.get("ecosystem") != ECOSYSTEM
            or canonicalize_name(package.get("name", "")) != question.name
        ):
            continue
        for each in affected.get("ranges") or ():
            if each.get("type") == "ECOSYSTEM":
                fixes += [event["fixed"] for event in each.get("events") or () if "fixed" in event]
    versions = (_parse(text) for text in fixes)
    above = Version(question.version)
    return min((version for version in versions if version is not None and version > above), default=None)


def _parse(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _texts(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []
