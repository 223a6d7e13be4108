"""Recognise known failures in a log: which one is the root, why, and what to do.

Pure: text in, matches out. The log is read once, block by block, and every signature is looked for until it
is found, so memory and time do not depend on what the log holds.
"""

import math
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

from provisioner.diagnose.failures.answer import (
    Explanation,
    Match,
    Surroundings,
    make_general_match,
    make_match,
    make_symptom_match,
    put_state_first,
)
from provisioner.diagnose.failures.logtext import Block, blank_repeats, quote_lines, split_blocks, squeeze
from provisioner.diagnose.failures.model import Catalogue, Cause, Evidence, Failure, IntelSign, Severity
from provisioner.diagnose.failures.signature import Signature
from provisioner.diagnose.failures.stack import list_statements
from provisioner.diagnose.failures.surroundings import list_signs, read_surroundings

_PIECE_CHARS = 1000
_HEADING = re.compile(r"\s*(?:#{1,4} |\*\*|\[(?:Bug|Issue|BUG)\]|(?:Title|Subject|标题)\s*[:\uff1a])")
_READ_BYTES = 16 * 1024
_LEAST_READ_BYTES = 512
"""Read around the anchors of one signature in one block: a quarter for each block before that held them and
no message, since a hostile log can hold an anchor many thousands of times."""
_SENTENCE_CHARS = 150  # without white space
_HEADINGS = 3
"""How many headings are passed over in a block in search of the message itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Hit:
    """Where a signature was found.

    Attributes:
        line: From 1.
        order: Position that orders hits, also within one line.
        quote: The lines, readable.
        text: What the signature matched, squeezed.
        is_heading: The line is a title of a report, which repeats a message that may stand below it.
    """

    line: int
    order: tuple[int, int]
    quote: str
    text: str
    is_heading: bool


def explain_text(chunks: Iterable[str], catalogue: Catalogue) -> tuple[Match, ...]:
    """Return the known failures in a log: the root first, noise last, nothing for a log that shows none."""
    return explain_log(chunks, catalogue).matches


def explain_log(chunks: Iterable[str], catalogue: Catalogue) -> Explanation:
    """Return the known failures in a log, and what it shows of machine and programs.

    Args:
        chunks: The log in pieces of any size, as ``logtext.decode_stream`` gives it.
        catalogue: The known failures.
    """
    hits = _scan(chunks, list_signatures(catalogue))
    surroundings = read_surroundings(catalogue.signs, {source: hit.text for source, hit in hits.items()})
    found: dict[str, _Hit] = {}
    noise: list[_Hit] = []
    for failure in sorted(catalogue.failures.values(), key=_place_noise_first):
        if _suits_hardware(failure, surroundings) and (hit := _find_failure(failure, hits, noise)):
            found[failure.id] = hit
            noise += [hit] if failure.severity is Severity.BENIGN else []
    matches = []
    done = {name for name, signature in catalogue.settings.items() if signature.source in hits}
    for name in _rank(sorted(found, key=lambda name: found[name].order), catalogue.failures):
        failure, hit = catalogue.failures[name], found[name]
        if failure.general and not surroundings.intel:
            matches.append(make_general_match(failure, failure.general, line=hit.line, evidence=hit.quote))
        else:
            programs = surroundings.programs
            if failure.symptom:
                match = make_symptom_match(
                    failure,
                    _find_causes(failure, hits, catalogue.shown),
                    line=hit.line,
                    evidence=hit.quote,
                    programs=programs,
                    state=list_statements(failure.state, catalogue.stack, surroundings, hits),
                    done=done,
                )
            else:
                cause = _weigh_causes(failure, hits, catalogue.shown)
                match = make_match(failure, cause, line=hit.line, evidence=hit.quote, programs=programs)
                is_intels = failure.intel is not IntelSign.IRRELEVANT
                if is_intels or surroundings.intel > surroundings.other:
                    of_fallbacks = catalogue.stack.of_fallbacks if failure.fallback and is_intels else ()
                    state = list_statements(
                        (*failure.state, *of_fallbacks), catalogue.stack, surroundings, hits
                    )
                    match = put_state_first(match, failure, programs, state, done)
            matches.append(match)
    return Explanation(matches=tuple(matches), surroundings=surroundings)


def _place_noise_first(failure: Failure) -> tuple[bool, bool]:
    """Return a key that puts what is harmless before all else, and symptoms last."""
    return failure.severity is not Severity.BENIGN, failure.symptom


def _suits_hardware(failure: Failure, seen: Surroundings) -> bool:
    """Tell whether the failure may be the answer on the hardware that the log shows."""
    if failure.intel is IntelSign.IRRELEVANT:
        return True
    if seen.other > seen.intel:
        return False
    if failure.intel is IntelSign.IMPLIED:
        return True
    if failure.symptom and seen.unrelated:
        return False
    if seen.intel > seen.other:
        return True
    is_intels = failure.symptom and any(program.intel for program in seen.programs)
    return (is_intels or failure.general is not None) and not seen.other


def list_signatures(catalogue: Catalogue) -> Iterator[Signature]:
    """Yield all that is looked for in a log."""
    yield from list_signs(catalogue.signs)
    yield from catalogue.settings.values()
    for fact in catalogue.stack.facts.values():
        yield from chain(fact.lacks, *fact.shows)
    for failure in catalogue.failures.values():
        yield from (*failure.signatures, *failure.requires, *failure.unless)
        for cause in failure.cause:
            for evidence in cause.evidence:
                yield from (*evidence.present, *evidence.absent)


def _scan(chunks: Iterable[str], signatures: Iterable[Signature]) -> dict[str, _Hit]:
    """Return the first hit of each signature, by its source."""
    from provisioner.diagnose.failures.anchors import AnchorTable  # noqa: PLC0415 - 0.1 s of numpy

    wanted: dict[bytes, dict[str, Signature]] = defaultdict(dict)
    for signature in signatures:
        wanted[signature.anchor][signature.source] = signature
    table = AnchorTable(wanted)
    fruitless: Counter[str] = Counter()
    hits: dict[str, _Hit] = {}
    for number, block in enumerate(split_blocks(blank_repeats(chunks))):
        squeezed = squeeze(block.text)
        places = _Places(block)
        for anchor, earliest in table.list_possible(squeezed):
            anchor_at = squeezed.find(anchor, earliest) if anchor in wanted else -1
            if anchor_at < 0:
                continue
            for source, signature in tuple(wanted[anchor].items()):
                most_bytes = max(_READ_BYTES >> 2 * fruitless[source], _LEAST_READ_BYTES)
                hit = _find_message(
                    signature, squeezed, places, anchor_at=anchor_at, number=number, most_bytes=most_bytes
                )
                if hit is None or (hit.is_heading and source in hits):
                    fruitless[source] += 1
                    continue
                hits[source] = hit
                if not hit.is_heading:
                    del wanted[anchor][source]
            if not wanted[anchor]:
                del wanted[anchor]
    return hits


def _find_message(
    signature: Signature, squeezed: bytes, places: "_Places", *, anchor_at: int, number: int, most_bytes: int
) -> _Hit | None:
    """Return the first hit that is no heading; the heading where there is nothing else."""
    first: _Hit | None = None
    start = 0
    known: int | None = anchor_at  # where the first one is; of those behind a heading that is not known
    for _ in range(_HEADINGS):
        span = signature.find(squeezed, start, anchor_at=known, most_bytes=most_bytes)
        if span is None:
            break
        hit = places.hit(span, number, squeezed)
        if not hit.is_heading:
            return hit
        first = first or hit
        start, known = span[1], None
    return first


class _Places:
    """Finds the lines of a block that a span of its squeezed text came from; counts only when asked."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._pieces: list[tuple[int, str]] = []  # line number and text; a long line is several pieces
        self._ends: list[int] = []

    def hit(self, span: tuple[int, int], block_number: int, squeezed: bytes) -> _Hit:
        """Return where ``span`` lies."""
        if not self._ends:
            for number, line in enumerate(self._block.text.split("\n"), start=self._block.first_line):
                pieces = [line[at : at + _PIECE_CHARS] for at in range(0, len(line) or 1, _PIECE_CHARS)]
                self._pieces += [(number, piece) for piece in pieces]
            self._ends = list(accumulate(len(squeeze(text)) for _, text in self._pieces))
        end = len(self._pieces) - 1
        first = min(bisect_right(self._ends, span[0]), end)
        last = min(bisect_right(self._ends, span[1] - 1), end)
        quote = quote_lines(text for _, text in self._pieces[first : last + 1])
        return _Hit(
            line=self._pieces[first][0],
            order=(block_number, span[0]),
            quote=quote,
            text=squeezed[span[0] : span[1]].decode("utf-8", "replace"),
            is_heading=_HEADING.match(self._pieces[first][1]) is not None,
        )


def _find_failure(failure: Failure, hits: Mapping[str, _Hit], noise: Collection[_Hit]) -> _Hit | None:
    """Return the earliest hit of the failure, or ``None`` where the log does not show it.

    Args:
        failure: What is looked for.
        hits: Where each signature was found, by its source.
        noise: Messages that are known to be harmless: nothing is seen in them, and no symptom near them.
    """
    own = [hits[signature.source] for signature in failure.signatures if signature.source in hits]
    if failure.severity is not Severity.BENIGN:
        chars = _SENTENCE_CHARS if failure.symptom else 0
        own = [hit for hit in own if not any(_is_near(hit, each, chars) for each in noise)]
    if not own or any(signature.source in hits for signature in failure.unless):
        return None
    if failure.requires and not any(signature.source in hits for signature in failure.requires):
        return None
    return min(own, key=lambda hit: hit.order)


def _is_near(hit: _Hit, noise: _Hit, chars: int) -> bool:
    """Tell whether a hit begins in another or not farther than ``chars``, wherever lines were cut."""
    start = noise.order[1] - chars
    end = noise.order[1] + len(noise.text) + chars
    return hit.order[0] == noise.order[0] and start <= hit.order[1] < end


def rank_matches(matches: Iterable[Match], catalogue: Catalogue) -> tuple[Match, ...]:
    """Order what several sources show, such as reports and packages, as if it stood in one log.

    Args:
        matches: Those of each source after those of the source before it; of one id the first counts.
        catalogue: The known failures.
    """
    found: dict[str, Match] = {}
    for match in matches:
        found.setdefault(match.id, match)
    return tuple(found[name] for name in _rank(tuple(found), catalogue.failures))


def _rank(found: Sequence[str], failures: Mapping[str, Failure]) -> list[str]:
    """Order the ids, which come as the log shows them: fatal, warning, noise; every root before its symptoms.

    Fallbacks beside which there is something that is as bad and says more are left out; of symptoms one is
    left, where there is nothing else.
    """
    telling = _keep_telling(found, failures)
    by_place = sorted(telling, key=lambda name: failures[name].rank)
    ranked: dict[str, None] = {}

    def place(name: str, above: frozenset[str]) -> None:
        for root in by_place:
            if (
                root in failures[name].caused_by
                and root not in above
                and failures[root].severity is not Severity.BENIGN
            ):
                place(root, above | {name})
        ranked.setdefault(name)

    for name in by_place:
        place(name, frozenset())
    return list(ranked)


def _keep_telling(found: Sequence[str], failures: Mapping[str, Failure]) -> Iterator[str]:
    """Yield the ids beside which nothing as bad says more; of symptoms the first, and beside noise alone."""
    others = [failures[name] for name in found if not failures[name].symptom]
    worst = min((failure.rank for failure in others if not failure.fallback), default=math.inf)
    is_told = any(failure.severity is not Severity.BENIGN for failure in others)
    symptom = next((name for name in failures if failures[name].symptom and name in found), None)
    for name in found:
        failure = failures[name]
        if failure.symptom:
            if name == symptom and not is_told:
                yield name
        elif not failure.fallback or failure.rank < worst:
            yield name


def _weigh_causes(failure: Failure, hits: Mapping[str, _Hit], shown: str) -> str:
    """Return the causes in words, those for which the log has evidence first."""
    if len(failure.cause) == 1:
        return failure.cause[0].text
    proven: list[str] = []
    others: list[str] = []
    for cause in failure.cause:
        quote = _find_evidence(cause.evidence, hits)
        if quote is None:
            others.append(cause.text)
        else:
            proven.append(f"{cause.text} {shown.format(quote)}")
    ordered = proven + others
    return "\n".join(f"{number}. {text}" for number, text in enumerate(ordered, start=1))


def _find_causes(failure: Failure, hits: Mapping[str, _Hit], shown: str) -> list[Cause]:
    """Return the causes of a symptom for which the log has evidence, with the evidence in their text."""
    quotes = ((cause, _find_evidence(cause.evidence, hits)) for cause in failure.cause)
    return [
        Cause(text=f"{cause.text} {shown.format(quote)}", step=cause.step)
        for cause, quote in quotes
        if quote is not None
    ]


def _find_evidence(evidence: Sequence[Evidence], hits: Mapping[str, _Hit]) -> str | None:
    """Return the quote of the first evidence that the log holds."""
    for item in evidence:
        if all(signature.source in hits for signature in item.present) and not any(
            signature.source in hits for signature in item.absent
        ):
            return hits[item.present[-1].source].quote
    return None
