"""The status machine: every move it makes, and no other."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.carrier.calls import (
    EVENTS,
    NS_PER_S,
    TERMINAL,
    TRANSITIONS,
    Call,
    Status,
    TransitionError,
)

S = Status
ORDINARY = (S.INITIATED, S.RINGING, S.IN_PROGRESS, S.COMPLETED)


def make_call() -> Call:
    return Call(
        sid="CA" + "1" * 32,
        account_sid="AC" + "2" * 32,
        to="+15005551000",
        from_="+15005550006",
        created_at_ns=0,
    )


@pytest.mark.parametrize(("source", "target"), list(product(Status, Status)))
def test_moves_exactly_as_the_table_says(source: Status, target: Status) -> None:
    call = make_call()
    call.status = source
    if target in TRANSITIONS[source]:
        assert call.advance(target, 5).status is target
    else:
        with pytest.raises(TransitionError) as caught:
            call.advance(target, 5)
        assert (caught.value.source, caught.value.target) == (source, target)


def test_every_status_is_reachable_and_every_call_can_end() -> None:
    reached, waiting = {S.QUEUED}, [S.QUEUED]
    while waiting:
        new = TRANSITIONS[waiting.pop()] - reached
        reached |= new
        waiting += new
    assert reached == set(Status)
    assert all(TRANSITIONS[s] for s in Status if s not in TERMINAL)
    assert set(EVENTS) == set(Status) - {S.QUEUED}


def test_events_are_numbered_from_zero_subscribed_or_not() -> None:
    call = make_call()
    seen = [call.advance(status, at) for at, status in enumerate(ORDINARY)]
    assert [(p.sequence, p.event) for p in seen] == [
        (0, "initiated"),
        (1, "ringing"),
        (2, "answered"),
        (3, "completed"),
    ]


@pytest.mark.parametrize("status", sorted(TERMINAL - {S.COMPLETED}))
def test_every_end_is_announced_as_completed(status: Status) -> None:
    call = make_call()
    call.advance(S.INITIATED, 1)
    assert call.advance(status, 2, 486).event == "completed"
    assert (call.over, call.sip_code, call.seconds, call.minutes) == (True, 486, 0, 0)


@pytest.mark.parametrize(
    ("talked_ns", "seconds", "minutes"),
    [
        (0, 1, 1),
        (1, 1, 1),
        (NS_PER_S, 1, 1),
        (NS_PER_S + 1, 2, 1),
        (60 * NS_PER_S, 60, 1),
        (60 * NS_PER_S + 1, 61, 2),
        (3600 * NS_PER_S, 3600, 60),
    ],
)
def test_bills_started_seconds_and_minutes(talked_ns: int, seconds: int, minutes: int) -> None:
    call = make_call()
    for at, status in enumerate(ORDINARY[:3]):
        call.advance(status, at)
    call.advance(S.COMPLETED, 2 + talked_ns)
    assert (call.seconds, call.minutes) == (seconds, minutes)


def test_queue_time_counts_until_dispatch() -> None:
    call = make_call()
    assert call.queue_ms == 0
    call.advance(S.INITIATED, 1_500_000_000)
    assert call.queue_ms == 1500


@given(st.lists(st.sampled_from(list(Status)), max_size=8))
def test_no_script_of_moves_answers_after_the_end(moves: list[Status]) -> None:
    call = make_call()
    ended = False
    for at, status in enumerate(moves):
        try:
            call.advance(status, at)
        except TransitionError:
            continue
        assert not ended
        ended = call.over
