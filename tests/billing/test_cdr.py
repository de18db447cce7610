"""What is left of a forgotten call gives away nothing, and says what its charge follows from."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.cdr import BLANKS, CallClosed, CallOpened, memory_left, opening_left, times_left
from billing.stores import tables
from tests.billing.outbox_entries import BOOKED_AT, START, closing, opening

HOUR = timedelta(hours=1)


@given(
    seconds=st.integers(0, 86_400),
    lag=st.timedeltas(timedelta(), HOUR),
    is_dated=st.booleans(),
)
def test_times_are_those_that_the_ledger_shows_and_are_the_same_a_second_time(
    seconds, lag, is_dated
):
    booked_at = START + lag if is_dated else None
    times = times_left(START, booked_at, seconds)
    assert times.ended_at == (booked_at or START)
    assert times.created_at == times.ended_at - timedelta(seconds=seconds)
    assert times.answered_at == (times.created_at if seconds else None)
    assert times_left(times.ended_at, booked_at, seconds) == times


def test_the_row_keeps_what_the_money_needs():
    kept = {
        "id",
        "account_id",
        "opened",
        "closed",
        "currency",
        "rate",
        "seconds",
        "key_id",
        "spent_micros",
        "written_off_micros",
        "booked_at",
        "cause",
        "ended_by",
        "forgotten_at",
    }
    times = {"created_at", "answered_at", "ended_at"}
    assert {*BLANKS} | kept | times == {column.name for column in tables.calls.c}
    assert not BLANKS.keys() & (kept | times)


@pytest.mark.parametrize("seconds", [0, 50])
def test_a_gate_remembers_what_is_left_and_the_price(seconds):
    opened, closed = opening("c1"), closing(seconds)
    times = times_left(closed.ended_at, BOOKED_AT, seconds)
    beginning, end = memory_left(opened, closed, times)
    for told in ("+15005551000", "shop.example", "NORMAL_CLEARING", "CA1", "pcmu"):
        assert told.encode() not in beginning + end
    left = msgspec.json.decode(beginning, type=CallOpened)
    assert (left.call_id, left.account_id, left.rate) == ("c1", "alice", opened.rate)
    assert left == msgspec.structs.replace(opened, **opening_left(times))
    ended = msgspec.json.decode(end, type=CallClosed)
    assert (ended.seconds, ended.cause, ended.ended_by) == (seconds, 16, "caller")
    assert (ended.ringing_at, ended.carrier_seconds) == (None, None)
    assert (ended.answered_at, ended.ended_at) == (times.answered_at, BOOKED_AT)
