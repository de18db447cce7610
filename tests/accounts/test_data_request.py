"""Until when a request must be answered."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.data_request import DataRequest, Right, due

FAR = datetime.fromisoformat("9000-01-01")


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("2026-11-27", "2026-12-27"),
        ("2026-12-31", "2027-01-31"),
        ("2027-01-31", "2027-02-28"),
        ("2028-01-30", "2028-02-29"),
        ("2027-03-31", "2027-04-30"),
    ],
)
def test_a_month_ends_with_its_day_or_with_the_month(asked, answered):
    at = datetime.fromisoformat(asked).replace(hour=9, tzinfo=UTC)
    assert due(at) == datetime.fromisoformat(answered).replace(hour=9, tzinfo=UTC)


@given(st.datetimes(timezones=st.just(UTC), max_value=FAR))
def test_a_month_is_never_more_than_31_days(at):
    assert timedelta(days=28) <= due(at) - at <= timedelta(days=31)


def test_only_what_is_open_can_be_late():
    at = datetime(2026, 11, 27, tzinfo=UTC)
    request = DataRequest(1, "a", Right.ACCESS, at, due(at))
    assert not request.is_late(due(at))
    assert request.is_late(due(at) + timedelta(seconds=1))
    done = DataRequest(1, "a", Right.ACCESS, at, due(at), done_at=due(at) + timedelta(days=9))
    assert not done.is_late(due(at) + timedelta(days=9))
