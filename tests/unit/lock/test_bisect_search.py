"""The smallest set of changes that turns good into bad is found with few tests."""

import math
from collections.abc import Callable, Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.lock.bisect_search import Culprit, NotBadError, NotGoodError, Outcome, find_culprit

Choice = frozenset[int]


def search(
    count: int, judge: Callable[[Choice], Outcome], needs: dict[int, set[int]] | None = None
) -> tuple[Culprit, list[Choice]]:
    """Return what is found, and what was tested."""
    tested: list[Choice] = []

    def test(choice: Choice) -> Outcome:
        tested.append(choice)
        return judge(choice)

    def close(choice: Collection[int]) -> Choice:
        return frozenset(each for number in choice for each in (number, *(needs or {}).get(number, ())))

    return find_culprit(count, test, close=close), tested


def bad_with(*faults: int) -> Callable[[Choice], Outcome]:
    return lambda choice: Outcome.BAD if choice.issuperset(faults) else Outcome.GOOD


@pytest.mark.parametrize("count", [1, 2, 3, 20, 64, 100])
def test_a_single_fault_takes_log2_of_the_changes_and_three_tests(count: int) -> None:
    """Wherever it is; no test is made twice."""
    for fault in range(count):
        found, tested = search(count, bad_with(fault))
        assert found == Culprit(changes=frozenset({fault}))
        assert len(tested) <= math.log2(count) + 3
        assert len(tested) == len(set(tested))


@given(
    st.integers(2, 60).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), min_size=1, max_size=4))
    )
)
def test_faults_that_need_each_other_are_all_found(case: tuple[int, set[int]]) -> None:
    """What is bad only together is found whole and nothing else, with so many tests for each part."""
    count, faults = case
    found, tested = search(count, bad_with(*faults))
    assert found.changes == faults
    assert len(tested) <= len(faults) * (math.ceil(math.log2(count)) + 2) + 1


def test_what_cannot_be_tested_is_gone_round_or_named() -> None:
    """As with git's skip: another test is made; where all about the turn cannot be made, all are suspects."""
    for broken in range(2, 20):

        def judge(choice: Choice, broken: int = broken) -> Outcome:
            return Outcome.SKIP if len(choice) == broken else bad_with(7)(choice)

        found, _ = search(20, judge)
        assert 7 in found.changes
        assert found.suspects in ({7, 8}, {6, 7}, set())
        assert found.suspects or found.changes == {7}
    found, _ = search(20, lambda choice: Outcome.SKIP if 5 <= len(choice) < 20 else bad_with(9)(choice))
    assert found.suspects == frozenset(range(4, 20))


def test_what_needs_another_change_is_never_tested_without_it() -> None:
    """The needed change comes along, in tests and in the answer."""
    found, tested = search(20, bad_with(9), {9: {3}})
    assert found.changes == {3, 9}
    assert all(3 in choice for choice in tested if 9 in choice)


def test_both_ends_are_checked() -> None:
    """Where the bad end is good or the good end is bad no change is blamed."""
    with pytest.raises(NotBadError):
        search(20, lambda _: Outcome.GOOD)
    with pytest.raises(NotGoodError):
        search(20, lambda _: Outcome.BAD)
