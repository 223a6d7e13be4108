"""The job of `provision audit`: known vulnerabilities and ends of life of locked versions."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from provisioner.diagnose.advisories.ignore import Ignore
from provisioner.diagnose.advisories.lifecycle import find_endings
from provisioner.diagnose.advisories.model import Answers, Audited, Question
from provisioner.diagnose.advisories.osv import find_question, find_vulnerabilities
from provisioner.diagnose.advisories.recorded import check_complete, choose_answers, parse_answers
from provisioner.errors import ErrorList, UsageError
from provisioner.ground.files import read_file
from provisioner.lock.file import read_lock
from provisioner.lock.fingerprint import read_input
from provisioner.lock.model import Lock, LockedPlatform
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.settings import Settings
from provisioner.profile.model import Profile
from provisioner.resolve.model import CondaPackage, PipPackage

_MOST_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class _Subject:
    """A lock that is audited: name and version to the platforms that have them, and to what is asked."""

    profile: str
    path: Path
    lock: Lock
    platforms: tuple[LockedPlatform, ...]
    locked: Mapping[tuple[str, str], tuple[str, ...]]
    questions: Mapping[tuple[str, str], Question]


def audit(
    settings: Settings,
    profiles: Sequence[Profile],
    *,
    platforms: Collection[str] = (),
    answers_file: Path | None = None,
) -> tuple[tuple[Audited, ...], Answers]:
    """Return what is known against the lock of each profile, and the answers that say so.

    Args:
        settings: What is ignored, and how OSV is reached.
        profiles: At least one.
        platforms: Which platforms of the locks; empty for all.
        answers_file: Recorded answers in place of OSV.

    Raises:
        UsageError: ``audit.ignore_expired``, or the file of answers cannot be used.
        LockError: A lockfile is missing, damaged or has not the platform.
        UnavailableError: OSV cannot be asked, or an answer is not there.
    """
    today = datetime.now(tz=UTC).date()
    check_ignores(settings.ignores, today)
    subjects = [_read_subject(settings, profile, platforms) for profile in profiles]
    questions = sorted({each for subject in subjects for each in subject.questions.values()})
    if answers_file is not None:
        answers = check_complete(_read_answers(answers_file), questions, place=f"in `{answers_file}`")
    else:
        with Engines(settings) as engines:
            answers = engines.osv.ask(questions, today=today)
    answers = choose_answers(answers, questions)
    return tuple(_judge(each, answers, settings.ignores, today=today) for each in subjects), answers


def check_ignores(ignores: Mapping[str, Ignore], today: date) -> None:
    """Refuse what was ignored up to a day that is over.

    Raises:
        UsageError: ``audit.ignore_expired``; ``ErrorList`` for several.
    """
    expired = [
        UsageError(
            "audit.ignore_expired",
            f"`{name}` was ignored until {each.until} ({each.reason}), and that day is over",
            hints=[
                "look at it again, and take it out of `audit.ignore` in `provision.yaml` or name a later day"
            ],
            context={"id": name, "until": each.until.isoformat()},
        )
        for name, each in ignores.items()
        if each.until < today
    ]
    if expired:
        raise ErrorList(expired)


def _read_subject(settings: Settings, profile: Profile, platforms: Collection[str]) -> _Subject:
    path = settings.find_lockfile(profile)
    lock = read_lock(path)
    chosen = tuple(lock.find_platform(name) for name in platforms) or lock.platforms
    locked: dict[tuple[str, str], tuple[str, ...]] = {}
    questions: dict[tuple[str, str], Question] = {}
    for part in chosen:
        # Validation assets are data that nothing imports.
        wheels = [each for each in part.pip if not each.validation]
        packages: tuple[CondaPackage | PipPackage, ...] = (*part.conda, *wheels)
        for package in packages:
            key = (package.name, package.version)
            locked[key] = (*locked.get(key, ()), part.platform)
            if (question := find_question(package)) is not None:
                questions[key] = question
    return _Subject(
        profile=profile.name, path=path, lock=lock, platforms=chosen, locked=locked, questions=questions
    )


def _judge(subject: _Subject, answers: Answers, ignores: Mapping[str, Ignore], *, today: date) -> Audited:
    questions = subject.questions
    vulnerabilities = find_vulnerabilities(subject.locked, questions, answers, ignores=ignores)
    endings = find_endings(subject.locked, _find_pythons(subject), today=today, ignores=ignores)
    names = {name for each in vulnerabilities for name in (each.id, *each.aliases)}
    names |= {each.id for each in endings}
    packages = {each.package for each in vulnerabilities} | {each.package for each in endings}
    return Audited(
        profile=subject.profile,
        lockfile=subject.path,
        platforms=tuple(part.platform for part in subject.platforms),
        packages=len(set(questions.values())),
        unknown=tuple(sorted({key[0] for key in subject.locked if key not in questions})),
        asked=min((answers.answers[each].asked for each in questions.values()), default=today.isoformat()),
        vulnerabilities=vulnerabilities,
        endings=endings,
        lines=_find_lines(subject.path, packages),
        unused=tuple(sorted(set(ignores) - names)),
    )


def _find_pythons(subject: _Subject) -> dict[str, tuple[str, ...]]:
    """Return the versions of Python: conda's package, else what the profile said when it was locked."""
    found: dict[str, tuple[str, ...]] = {}
    for part in subject.platforms:
        conda = next((each.version for each in part.conda if each.name == "python"), None)
        version = conda or read_input(subject.lock.inputs, part.platform, "python")
        if version:
            found[version] = (*found.get(version, ()), part.platform)
    return found


def _find_lines(path: Path, packages: Collection[str]) -> dict[str, int]:
    """Return where in a lockfile packages stand; line 1 for the Python of a profile without conda."""
    found = dict.fromkeys(packages, 1)
    text = path.read_text(encoding="utf-8")
    for number, line in reversed(list(enumerate(text.splitlines(), 1))):
        match = re.fullmatch(r"- name: ['\"]?([^'\"]+)['\"]?", line)
        if match is not None and match[1] in found:
            found[match[1]] = number
    return found


def _read_answers(path: Path) -> Answers:
    try:
        return parse_answers(read_file(path, max_bytes=_MOST_BYTES))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
    except ValueError as error:
        why = str(error)
    raise UsageError(
        "usage.answers",
        f"`--answers`: `{path}` cannot be used: {why}",
        hints=["name a file that `provision audit --save FILE` wrote"],
        context={"path": str(path)},
    )
