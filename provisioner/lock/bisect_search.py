"""Find the smallest set of changes that turns good into bad, with few tests."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What a test of some changes came to; ``skip``: it could not be made."""

    GOOD = "good"
    BAD = "bad"
    SKIP = "skip"


Test = Callable[[frozenset[int]], Outcome]


@dataclass(frozen=True, kw_only=True, slots=True)
class Culprit:
    """What was found.

    Attributes:
        changes: Together they are bad; without any of them the rest is good.
        suspects: Where tests could not be made: one of these is missing from ``changes``, or more.
    """

    changes: frozenset[int]
    suspects: frozenset[int] = frozenset()


class NotBadError(Exception):
    """All changes together are good."""


class NotGoodError(Exception):
    """No change at all is bad already."""


def find_culprit(count: int, test: Test, *, close: Callable[[Collection[int]], frozenset[int]]) -> Culprit:
    """Return the smallest set of changes that is bad, by halving.

    Changes are added in their order until the result turns bad: the last one is needed. If it is not bad by
    itself, it is kept, and what else is needed is looked for among those before it in the same way (Junker,
    QuickXplain, AAAI 2004). A single fault takes ``ceil(log2(count)) + 2`` tests, one with n parts about n
    times as many. Where badness comes and goes with more changes, what is found need not be the smallest.

    Args:
        count: Changes are numbered from 0; what one needs has a smaller number.
        test: Tries some of them.
        close: Adds to some of them what they need.

    Raises:
        NotBadError: All changes together are good.
        NotGoodError: No change at all is bad already.
    """
    seen: dict[frozenset[int], Outcome] = {}

    def ask(choice: Collection[int]) -> Outcome:
        key = close(choice)
        if key not in seen:
            seen[key] = test(key)
        return seen[key]

    if ask(range(count)) is not Outcome.BAD:
        raise NotBadError
    needed: frozenset[int] = frozenset()
    end = count  # so many of the first changes are bad together with the needed ones
    while True:
        low, high = _find_turn(end, lambda size: ask({*needed, *range(size)}))  # noqa: B023 - called at once
        if high - low > 1:
            suspects = frozenset(range(low, high))
            return Culprit(changes=close(needed | suspects), suspects=suspects)
        if not needed and low == 0 and ask(()) is Outcome.BAD:
            raise NotGoodError
        needed, end = close({*needed, high - 1}), high - 1
        if end == 0 or ask(needed) is Outcome.BAD:
            return Culprit(changes=needed)


def _find_turn(end: int, ask: Callable[[int], Outcome]) -> tuple[int, int]:
    """Return the largest size that is good and the smallest that is bad; 0 counts as good, ``end`` as bad.

    They are neighbours, but where nothing between them could be tested.
    """
    low, high = 0, end
    while True:
        middle = (low + high) // 2
        for size in sorted(range(low + 1, high), key=lambda size: abs(size - middle)):
            outcome = ask(size)
            if outcome is not Outcome.SKIP:
                break
        else:
            return low, high
        low, high = (size, high) if outcome is Outcome.GOOD else (low, size)
