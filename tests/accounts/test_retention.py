"""From when on data are too old."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.retention import months_before, years_before


@pytest.mark.parametrize(
    ("at", "months", "expected"),
    [
        ((2026, 11, 27), 12, (2025, 11, 27)),
        ((2026, 1, 31), 1, (2025, 12, 31)),
        ((2026, 3, 31), 1, (2026, 2, 28)),
        ((2028, 3, 31), 1, (2028, 2, 29)),
        ((2028, 2, 29), 12, (2027, 2, 28)),
        ((2026, 12, 1), 0, (2026, 12, 1)),
    ],
)
def test_the_same_day_some_months_earlier(at, months, expected):
    moment, earlier = (datetime.combine(date(*day), time(13, 5), UTC) for day in (at, expected))
    assert months_before(moment, months) == earlier


@given(
    st.integers(0, 10**6).map(
        lambda hours: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    ),
    st.integers(1, 12),
)
def test_a_month_is_never_shorter_or_longer_than_one(at, months):
    passed = at - months_before(at, months)
    assert timedelta(days=28 * months) <= passed <= timedelta(days=31 * months)


@pytest.mark.parametrize(
    ("at", "years", "since"),
    [
        (datetime(2026, 11, 27, 12, 30, 1, 5, tzinfo=UTC), 10, 2016),
        (datetime(2026, 1, 1, tzinfo=UTC), 10, 2016),
        (datetime(2028, 2, 29, 23, tzinfo=UTC), 1, 2027),
    ],
)
def test_a_year_counts_from_its_end(at, years, since):
    assert years_before(at, years) == datetime(since, 1, 1, tzinfo=UTC)
