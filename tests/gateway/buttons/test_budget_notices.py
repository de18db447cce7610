"""Owners are told of each share of a budget once, and of the highest where several were passed."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.buttons.budget_notices import SHARES, TOLD_CHARS_MAX, BudgetUse, news_of

NOW = datetime(2026, 11, 28, 23, 30, tzinfo=UTC)


def told(before, day=None, month=None, at=NOW):
    budgets = {"day": day, "month": month}
    news, after = news_of(
        before, at, {k: BudgetUse(v, 100) for k, v in budgets.items() if v is not None}
    )
    return [(each.period, each.share) for each in news], after


@pytest.mark.parametrize(
    ("spent", "share"),
    [(0, 0), (49, 0), (50, 50), (79, 50), (80, 80), (99, 80), (100, 100), (120, 100)],
)
def test_a_share_is_reached_by_what_is_spent(spent, share):
    assert BudgetUse(spent, 100).share == share


def test_each_share_is_told_once_and_the_highest_alone():
    assert told("", day=49) == ([], "")
    assert told("", day=55) == ([("day", 50)], "2026-11-28:50")
    assert told("2026-11-28:50", day=79) == ([], "2026-11-28:50")
    assert told("2026-11-28:50", day=100) == ([("day", 100)], "2026-11-28:100")
    assert told("", day=100, month=50) == (
        [("day", 100), ("month", 50)],
        "2026-11:50 2026-11-28:100",
    )
    # What comes back from a hold takes nothing back.
    assert told("2026-11-28:80", day=60) == ([], "2026-11-28:80")


def test_another_day_begins_anew_and_the_month_goes_on():
    tomorrow = datetime(2026, 11, 29, 0, 1, tzinfo=UTC)
    before = "2026-11-28:100 2026-11:50"
    assert told(before, day=50, month=60, at=tomorrow) == (
        [("day", 50)],
        "2026-11:50 2026-11-29:50",
    )
    december = datetime(2026, 12, 1, tzinfo=UTC)
    assert told(before, day=0, month=0, at=december) == ([], "")


@pytest.mark.parametrize("before", ["nonsense", "2026-11-28:", "2026-11-28:x", ":::"])
def test_what_cannot_be_read_was_not_told(before):
    assert told(before, day=50)[0] == [("day", 50)]


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=8))
def test_however_it_rises_nothing_is_told_twice(steps):
    before, seen = "", set()
    for day, month in steps:
        news, before = told(before, day=day, month=month)
        assert not seen & set(news)
        seen |= set(news)
        assert len(before) <= TOLD_CHARS_MAX
    assert {share for _, share in seen} <= set(SHARES)
