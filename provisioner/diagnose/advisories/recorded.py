"""Answers as one JSON document: the cache, and what ``audit --save`` writes for ``audit --answers``."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from provisioner.diagnose.advisories.model import Answer, Answers, Question
from provisioner.errors import UnavailableError

SCHEMA = "provision.osv/1"
_ALLOWED = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:")


def write_answers(answers: Answers) -> str:
    """Return the document; the same answers give the same bytes."""
    document = {
        "schema": SCHEMA,
        "answers": [
            {"name": key.name, "version": key.version, "asked": each.asked, "ids": list(each.ids)}
            for key, each in sorted(answers.answers.items())
        ],
        "advisories": dict(answers.advisories),
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def parse_answers(text: str | bytes) -> Answers:
    """Return the answers of a document.

    Raises:
        ValueError: It is none, or an answer names an advisory that it lacks.
    """
    try:
        document = json.loads(text)
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is not `{SCHEMA}`")
        answers = {
            Question(name=str(row["name"]), version=str(row["version"])): Answer(
                asked=str(row["asked"]), ids=tuple(check_ids(row["ids"]))
            )
            for row in document["answers"]
        }
        advisories = {name: check_advisory(each, name) for name, each in document["advisories"].items()}
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("it is not a document of recorded answers") from error
    lacking = {name for each in answers.values() for name in each.ids} - set(advisories)
    if lacking:
        raise ValueError(f"it lacks the advisory `{min(lacking)}`")
    return Answers(answers=answers, advisories=advisories)


def check_ids(value: Any) -> list[str]:
    """Return the ids of a list.

    Raises:
        ValueError: It is not a list, or an id is none that can stand in an address.
    """
    if not isinstance(value, list):
        raise ValueError("advisories are not a list")  # noqa: TRY004 - callers know one kind of mistake
    for name in value:
        if not isinstance(name, str) or not name or set(name) - _ALLOWED or len(name) > 100:
            raise ValueError("an advisory has no id")
    return value


def check_advisory(document: Any, name: str) -> Mapping[str, Any]:
    """Return an advisory that has its own id, and the shape of OSV's format where we read it.

    Raises:
        ValueError: It has not.
    """
    if not isinstance(document, dict) or document.get("id") != name:
        raise ValueError(f"`{name}` is not an advisory")
    for affected in _tables(document, "affected"):
        package = affected.get("package") or {}
        if not isinstance(package, dict) or not isinstance(package.get("name", ""), str):
            raise ValueError(f"`{name}` names a package that is none")  # noqa: TRY004 - the same
        for each in _tables(affected, "ranges"):
            if not all(isinstance(event.get("fixed", ""), str) for event in _tables(each, "events")):
                raise ValueError(f"`{name}` names a version that is none")
    return document


def _tables(table: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return a list of objects that may be left out."""
    found = table.get(key) or []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError(f"its `{key}` is not a list of objects")
    return found


def choose_answers(answers: Answers, questions: Iterable[Question]) -> Answers:
    """Return those for the questions alone, with the advisories that they name."""
    chosen = {each: answers.answers[each] for each in questions}
    ids = {name for each in chosen.values() for name in each.ids}
    return Answers(answers=chosen, advisories={name: answers.advisories[name] for name in sorted(ids)})


def check_complete(answers: Answers, questions: Sequence[Question], *, place: str) -> Answers:
    """Return answers that hold one to every question.

    Raises:
        UnavailableError: ``unavailable.no_answer``.
    """
    lacking = [each for each in questions if each not in answers.answers]
    if not lacking:
        return answers
    first = f"`{lacking[0].name} {lacking[0].version}`"
    more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
    raise UnavailableError(
        "unavailable.no_answer",
        f"there is no answer {place} for {first}{more}",
        hints=[
            "run the same command once with a network",
            "or bring answers along: `--save` and `--answers`",
        ],
        context={"packages": [f"{each.name}=={each.version}" for each in lacking]},
    )
