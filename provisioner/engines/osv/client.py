"""Ask OSV which advisories name a version, and read them; both are kept for a run without a network.

API: https://google.github.io/osv.dev/api/ (`POST /v1/querybatch`, `GET /v1/vulns/ID`). The address may be
mirrored as any other. A batch is answered with ids and when each was changed, so an advisory is read again
only after a change.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from provisioner.diagnose.advisories.model import Answer, Answers, Question
from provisioner.diagnose.advisories.osv import ECOSYSTEM
from provisioner.diagnose.advisories.recorded import (
    check_advisory,
    check_complete,
    check_ids,
    parse_answers,
    write_answers,
)
from provisioner.engines.net.addresses import host_and_port
from provisioner.engines.net.download import Downloader
from provisioner.errors import UnavailableError
from provisioner.ground.files import make_private_folder, read_file, write_atomically

ADDRESS = "https://api.osv.dev"
_MOST_QUERIES = 1000
_MOST_PAGES = 100
_MOST_CACHED_BYTES = 256 * 1024 * 1024
_JOBS = 8


class OsvClient:
    """Answers questions from OSV, or from what it said before."""

    def __init__(self, downloader: Downloader, *, cache: Path, offline: bool = False) -> None:
        """Ask nothing yet; ``cache`` is a file, whose folder is made when there is something to keep."""
        self._downloader = downloader
        self._cache = cache
        self._offline = offline

    def ask(self, questions: Iterable[Question], *, today: date) -> Answers:
        """Return the answers to the questions: today's, or offline those that are kept.

        Raises:
            UnavailableError: OSV cannot be reached or answers something else; offline, an answer is not kept.
        """
        wanted = sorted(set(questions))
        kept = self._read_cache()
        if self._offline:
            return check_complete(kept, wanted, place="in the cache")
        listed = self._list_advisories(wanted)
        changed = {name: modified for rows in listed.values() for name, modified in rows.items()}
        stale = [
            name
            for name, modified in sorted(changed.items())
            if not modified or kept.advisories.get(name, {}).get("modified") != modified
        ]
        with ThreadPoolExecutor(max_workers=_JOBS) as pool:
            read = dict(zip(stale, pool.map(self._read_advisory, stale), strict=True))
        fresh = {each: Answer(asked=today.isoformat(), ids=tuple(sorted(listed[each]))) for each in wanted}
        answers = Answers(answers={**kept.answers, **fresh}, advisories={**kept.advisories, **read})
        with suppress(OSError):  # the answer counts, and what is kept of it is for later
            make_private_folder(self._cache.parent)
            write_atomically(self._cache, write_answers(answers), sync=False)
        return answers

    def _list_advisories(self, questions: Sequence[Question]) -> dict[Question, dict[str, str]]:
        """Return the ids that name each version, with the time of each one's last change."""
        found: dict[Question, dict[str, str]] = {each: {} for each in questions}
        pending: list[tuple[Question, str]] = [(each, "") for each in questions]
        for _ in range(_MOST_PAGES):
            if not pending:
                return found
            batch, pending = pending[:_MOST_QUERIES], pending[_MOST_QUERIES:]
            document = self._post(f"{ADDRESS}/v1/querybatch", {"queries": [_query(*each) for each in batch]})
            try:
                for (question, _), result in zip(batch, document["results"], strict=True):
                    rows = result.get("vulns") or []
                    check_ids([row["id"] for row in rows])
                    found[question] |= {row["id"]: str(row.get("modified", "")) for row in rows}
                    if token := result.get("next_page_token"):
                        pending.append((question, str(token)))
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise _bad_answer("the list of advisories is malformed") from error
        raise _bad_answer(f"the list of advisories has more than {_MOST_PAGES} pages")

    def _read_advisory(self, name: str) -> Mapping[str, Any]:
        answer = self._downloader.get(f"{ADDRESS}/v1/vulns/{name}", accept="application/json")
        try:
            return check_advisory(json.loads(answer.body), name)
        except (ValueError, RecursionError) as error:
            raise _bad_answer(f"the advisory `{name}` is malformed") from error

    def _post(self, url: str, document: Mapping[str, Any]) -> Any:
        answer = self._downloader.post(url, json.dumps(document).encode(), kind="application/json")
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise _bad_answer("the list of advisories is no JSON") from error

    def _read_cache(self) -> Answers:
        try:
            return parse_answers(read_file(self._cache, max_bytes=_MOST_CACHED_BYTES))
        except (OSError, ValueError):  # a cache that cannot be read is none
            return Answers()


def _query(question: Question, token: str) -> dict[str, Any]:
    query: dict[str, Any] = {
        "package": {"name": question.name, "ecosystem": ECOSYSTEM},
        "version": question.version,
    }
    return query | ({"page_token": token} if token else {})


def _bad_answer(why: str) -> UnavailableError:
    return UnavailableError(
        "unavailable.answer",
        f"what `{host_and_port(ADDRESS)}` or its mirror answered cannot be read: {why}",
        hints=["check the mirror of `https://api.osv.dev/`, and run the same command again"],
    )
