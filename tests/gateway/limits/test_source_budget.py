"""How often a source may have something done, on a clock that the tests set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.source_budget import SourceBudget
from gateway.nanoseconds import SECOND_NS

HERE, THERE = b"\x7f\0\0\1", b"\x7f\0\0\2"


def test_a_burst_passes_and_then_the_rate():
    budget = SourceBudget(10, 30)
    assert [budget.take(HERE, 0) for _ in range(31)] == [True] * 30 + [False]
    assert [budget.take(HERE, SECOND_NS) for _ in range(11)] == [True] * 10 + [False]


def test_one_source_takes_nothing_from_another():
    budget = SourceBudget(10, 30)
    while budget.take(HERE, 0):
        pass
    assert budget.take(THERE, 0)


@given(st.lists(st.integers(0, SECOND_NS), max_size=300))
def test_no_pattern_gets_more_than_burst_and_rate(pauses):
    budget, now_ns, passed = SourceBudget(20, 25), 0, 0
    for pause_ns in pauses:
        now_ns += pause_ns
        passed += budget.take(HERE, now_ns)
    assert passed <= 25 + 20 * now_ns / SECOND_NS


def test_what_is_refused_costs_nothing_of_what_comes_later():
    budget = SourceBudget(10, 10)
    for _ in range(1000):
        budget.take(HERE, 0)
    assert sum(budget.take(HERE, SECOND_NS) for _ in range(20)) == 10


@pytest.mark.parametrize("tries_per_s", [501, 600, 5_000])
def test_a_source_that_tries_too_often_keeps_its_rate(tries_per_s):
    """As an office does that is a little above it: only the excess is refused, for as long."""
    budget, passed = SourceBudget(500, 1_000), []
    for second in range(20):
        begun_ns = second * SECOND_NS
        times_ns = (begun_ns + n * SECOND_NS // tries_per_s for n in range(tries_per_s))
        passed.append(sum(budget.take(HERE, now_ns) for now_ns in times_ns))
    assert all(count in (499, 500, 501) for count in passed[-5:])


def test_what_is_remembered_is_bounded():
    budget = SourceBudget(10, 10)
    for n in range(20_000):
        budget.take(n.to_bytes(4, "big"), 0)
    assert len(budget) == 8192
