"""Recognise known failures in a log: which one is the root, why, and what to do.

Pure: text in, matches out. The log is read once, block by block, and every signature is looked for until it
is found, so memory and time do not depend on what the log holds.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from provisioner.diagnose.failures.logtext import Block, quote_lines, split_blocks, squeeze
from provisioner.diagnose.failures.model import Catalogue, Evidence, Failure, Match, Severity
from provisioner.diagnose.failures.signature import Signature

_PIECE_CHARS = 1000
_RANK = {Severity.FATAL: 0, Severity.WARNING: 1, Severity.BENIGN: 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Finding:
    """Where a signature was found.

    Attributes:
        line: From 1.
        order: Position that orders findings, also within one line.
        quote: The lines, readable.
    """

    line: int
    order: tuple[int, int]
    quote: str


def explain_text(chunks: Iterable[str], catalogue: Catalogue) -> tuple[Match, ...]:
    """Return the known failures in a log: the root first, noise last, nothing for a log that shows none.

    Args:
        chunks: The log in pieces of any size, as ``logtext.decode_stream`` gives it.
        catalogue: The known failures.
    """
    findings = _scan(chunks, _signatures_of(catalogue.failures.values()))
    found: dict[str, _Finding] = {}
    for failure in catalogue.failures.values():
        if finding := _find_failure(failure, findings):
            found[failure.id] = finding
    return tuple(
        _describe(catalogue.failures[name], found[name], findings)
        for name in _rank(found, catalogue.failures)
    )


def _signatures_of(failures: Iterable[Failure]) -> Iterator[Signature]:
    for failure in failures:
        yield from (*failure.signatures, *failure.requires, *failure.unless)
        for cause in failure.causes:
            for evidence in cause.evidence:
                yield from (*evidence.present, *evidence.absent)


def _scan(chunks: Iterable[str], signatures: Iterable[Signature]) -> dict[str, _Finding]:
    """Return the first finding of each signature, by its source."""
    wanted: dict[bytes, dict[str, Signature]] = defaultdict(dict)
    for signature in signatures:
        wanted[signature.anchor][signature.source] = signature
    findings: dict[str, _Finding] = {}
    for number, block in enumerate(split_blocks(chunks)):
        squeezed = squeeze(block.text)
        places = _Places(block)
        for anchor in [anchor for anchor in wanted if anchor in squeezed]:
            for source, signature in tuple(wanted[anchor].items()):
                if span := signature.find(squeezed):
                    findings[source] = places.finding(span, number)
                    del wanted[anchor][source]
            if not wanted[anchor]:
                del wanted[anchor]
    return findings


class _Places:
    """Finds the lines of a block that a span of its squeezed text came from; counts only when asked."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._pieces: list[tuple[int, str]] = []  # line number and text; a long line is several pieces
        self._ends: list[int] = []

    def finding(self, span: tuple[int, int], block_number: int) -> _Finding:
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
        return _Finding(line=self._pieces[first][0], order=(block_number, span[0]), quote=quote)


def _find_failure(failure: Failure, findings: Mapping[str, _Finding]) -> _Finding | None:
    """Return the earliest finding of the failure, or ``None`` where the log does not show it."""
    hits = [findings[signature.source] for signature in failure.signatures if signature.source in findings]
    if not hits or any(signature.source in findings for signature in failure.unless):
        return None
    if failure.requires and not any(signature.source in findings for signature in failure.requires):
        return None
    return min(hits, key=lambda hit: hit.order)


def _rank(found: Mapping[str, _Finding], failures: Mapping[str, Failure]) -> list[str]:
    """Order the ids: fatal, warning, noise; the earlier first; every root before its symptoms."""
    by_place = sorted(found, key=lambda name: (_RANK[failures[name].severity], found[name].order))
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


def _describe(failure: Failure, finding: _Finding, findings: Mapping[str, _Finding]) -> Match:
    return Match(
        id=failure.id,
        title=failure.title,
        stage=failure.stage,
        severity=failure.severity,
        confidence=failure.confidence,
        cause=_weigh_causes(failure, findings),
        fix=failure.fix,
        line=finding.line,
        evidence=finding.quote,
    )


def _weigh_causes(failure: Failure, findings: Mapping[str, _Finding]) -> str:
    """Return the causes in words, those that the log speaks for first."""
    if len(failure.causes) == 1:
        return failure.causes[0].text
    proven: list[str] = []
    others: list[str] = []
    for cause in failure.causes:
        quote = _find_evidence(cause.evidence, findings)
        if quote is None:
            others.append(cause.text)
        else:
            proven.append(f"{cause.text} (the log shows `{quote}`)")
    ordered = proven + others
    return "\n".join(f"{number}. {text}" for number, text in enumerate(ordered, start=1))


def _find_evidence(evidence: Sequence[Evidence], findings: Mapping[str, _Finding]) -> str | None:
    """Return the quote of the first evidence that the log holds."""
    for item in evidence:
        if all(signature.source in findings for signature in item.present) and not any(
            signature.source in findings for signature in item.absent
        ):
            return findings[item.present[-1].source].quote
    return None
