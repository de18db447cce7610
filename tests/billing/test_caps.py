"""Names of spend caps: one for each account or key and each period of UTC."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from billing.caps import account_day, account_month, caps_of, day_left, key_day
from billing.ports import SpendCap

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def caps(**changes):
    limits = {"day_cap_micros": 1, "month_cap_micros": 2, "key_day_cap_micros": 3}
    return caps_of("alice", **{"key_id": "k1", "at": NOON, **limits, **changes})


def test_all_limits_are_caps():
    assert caps() == (
        SpendCap("account:alice:day:2026-11-24", 1),
        SpendCap("account:alice:month:2026-11", 2),
        SpendCap("key:k1:day:2026-11-24", 3),
    )


@pytest.mark.parametrize(
    ("changes", "limits"),
    [
        ({"day_cap_micros": None}, [2, 3]),
        ({"month_cap_micros": None}, [1, 3]),
        ({"key_day_cap_micros": None}, [1, 2]),
        ({"key_id": ""}, [1, 2]),
        ({"day_cap_micros": None, "month_cap_micros": None, "key_id": ""}, []),
    ],
)
def test_no_limit_is_no_cap(changes, limits):
    assert [cap.limit_micros for cap in caps(**changes)] == limits


def test_a_limit_of_nothing_is_a_cap():
    assert [cap.limit_micros for cap in caps(day_cap_micros=0)] == [0, 2, 3]


@pytest.mark.parametrize("hours", [-11, 0, 14])
def test_periods_are_those_of_utc_wherever_the_clock_is(hours):
    east = timezone(timedelta(hours=hours))
    last = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC).astimezone(east)
    for at, day in ((last, "2026-12-31"), (last + timedelta(seconds=1), "2027-01-01")):
        assert account_day("a", at) == f"account:a:day:{day}"
        assert account_month("a", at) == f"account:a:month:{day[:7]}"
        assert key_day("k", at) == f"key:k:day:{day}"


@pytest.mark.parametrize(
    ("at", "left"),
    [
        (datetime(2026, 11, 27, tzinfo=UTC), timedelta(days=1)),
        (datetime(2026, 11, 27, 23, 59, 59, tzinfo=UTC), timedelta(seconds=1)),
        (datetime(2026, 11, 27, 23, tzinfo=timezone(timedelta(hours=-2))), timedelta(hours=23)),
    ],
)
def test_a_day_is_that_of_utc_to_its_end(at, left):
    assert day_left(at) == left
