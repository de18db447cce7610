"""Spending limits and the names of their caps: one for each holder and each period of UTC."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from billing.ports import SpendCap
from billing.spend_limits import UNLIMITED, Budget, Period, SpendLimits, cap_name, day_left

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
BUDGETS = (
    Budget("account:alice", Period.DAY, 1),
    Budget("account:alice", Period.MONTH, 2),
    Budget("key:k1", Period.DAY, 3),
)


def test_all_budgets_are_caps():
    assert SpendLimits(9, BUDGETS).caps(NOON) == (
        SpendCap("account:alice:day:2026-11-24", 1),
        SpendCap("account:alice:month:2026-11", 2),
        SpendCap("key:k1:day:2026-11-24", 3),
    )


def test_no_limit_is_no_cap():
    assert UNLIMITED.caps(NOON) == SpendLimits(9).caps(NOON) == ()


def test_a_limit_of_nothing_is_a_cap():
    (cap,) = SpendLimits(budgets=(Budget("key:k1", Period.DAY, 0),)).caps(NOON)
    assert cap.limit_micros == 0


def test_of_two_limits_the_smaller_bounds_hold():
    then = SpendLimits(9, (Budget("account:alice", Period.DAY, 5), BUDGETS[2]))
    now = SpendLimits(7, (*BUDGETS[:2], Budget("key:k1", Period.DAY, 4)))
    both = SpendLimits(7, (BUDGETS[0], BUDGETS[2], BUDGETS[1]))
    assert then.within(now) == both
    assert set(now.within(then).budgets) == set(both.budgets)
    assert UNLIMITED.within(then) == then.within(UNLIMITED) == then
    assert SpendLimits(0).within(SpendLimits(3)).call_micros == 0


@pytest.mark.parametrize("limits", [UNLIMITED, SpendLimits(0, BUDGETS)])
def test_limits_travel_as_json(limits):
    assert msgspec.json.decode(msgspec.json.encode(limits), type=SpendLimits) == limits


@pytest.mark.parametrize("hours", [-11, 0, 14])
def test_periods_are_those_of_utc_wherever_the_clock_is(hours):
    east = timezone(timedelta(hours=hours))
    last = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC).astimezone(east)
    for at, day in ((last, "2026-12-31"), (last + timedelta(seconds=1), "2027-01-01")):
        assert cap_name("account:a", Period.DAY, at) == f"account:a:day:{day}"
        assert cap_name("account:a", Period.MONTH, at) == f"account:a:month:{day[:7]}"
        assert cap_name("key:k", Period.DAY, at) == f"key:k:day:{day}"
        assert Period.DAY.start(at) == datetime.fromisoformat(f"{day}T00:00:00Z")
        assert Period.MONTH.start(at) == datetime.fromisoformat(f"{day[:7]}-01T00:00:00Z")


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
