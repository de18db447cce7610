"""What one call asks of its carrier: placed once, proven, ended until that is confirmed."""

import asyncio

import pytest
from structlog.testing import capture_logs

from gateway.call.machine import (
    Answered,
    CarrierEnded,
    ConfirmationAbandoned,
    DialAccepted,
    DialFailed,
    Ringing,
)
from gateway.calls.carrier_line import CONFIRM_S, PROOF_WAIT_S, CarrierLine
from gateway.calls.reachability import Reachability
from gateway.cause import CarrierRefusal, Cause
from gateway.errors import CarrierError
from tests.gateway.stage import ScriptedCarrier, dial_order, order
from tests.gateway.virtual_time import virtual_loop

REFUSAL = CarrierRefusal(21214, "cannot be reached", {"en": "Check the number."})
REFUSED = CarrierError("no", cause=Cause.UNALLOCATED_NUMBER, status=400, refusal=REFUSAL)
NO_ANSWER = CarrierError("?", cause=Cause.RECOVERY_ON_TIMER_EXPIRE, ambiguous=True)


class Ends:
    """A line, and what it reports; an end is noted as the bridge notes it."""

    def __init__(self):
        self.carrier = ScriptedCarrier()
        self.events = []
        self.strays = []
        reachability = Reachability(virtual_loop().clock_ns)
        self.line = CarrierLine(
            self.carrier,
            dial_order("c1", order()),
            self._on_event,
            reachability,
            self._end_unmatched,
        )
        reachability.reached()

    def _end_unmatched(self, carrier_call_id, call_id):
        assert call_id == "c1"
        self.strays.append(carrier_call_id)

    def _on_event(self, event):
        self.events.append(event)
        if isinstance(event, CarrierEnded):
            self.line.is_over = True


@pytest.fixture
async def ends():
    return Ends()


async def after(seconds, action, *arguments):
    await asyncio.sleep(seconds)
    action(*arguments)


# Placing.


async def test_a_placed_call_is_named(ends):
    await ends.line.dial()
    assert ends.events == [DialAccepted("CA1")]
    assert len(ends.carrier.placed) == 1


async def test_the_name_is_told_once_whoever_tells_it_first(ends):
    """The status callback may be faster than the reply."""
    ends.line.named("CA1")
    await ends.line.dial()
    assert ends.events == [DialAccepted("CA1")]
    assert ends.line.carrier_call_id == "CA1"


async def test_a_refused_call_has_certainly_failed(ends):
    ends.carrier.on_place = REFUSED
    started_ns = virtual_loop().now_ns
    await ends.line.dial()
    assert ends.events == [DialFailed(Cause.UNALLOCATED_NUMBER, REFUSAL)]
    assert virtual_loop().now_ns == started_ns


async def test_why_a_call_was_refused_is_told_to_the_operator(ends):
    ends.carrier.on_place = CarrierError(
        "It is neither.", cause=Cause.FACILITY_NOT_SUBSCRIBED, refusal=REFUSAL, status=400
    )
    with capture_logs() as logs:
        await ends.line.dial()
    (told,) = logs
    assert (told["event"], told["call_id"]) == ("call not placed", "c1")
    assert told["reason"] == "It is neither."
    assert (told["carrier_code"], told["carrier_text"]) == (21214, "cannot be reached")
    assert told["http_status"] == 400


async def test_a_call_that_is_never_proven_has_failed_within_seconds(ends):
    ends.carrier.on_place = NO_ANSWER
    started_ns = virtual_loop().now_ns
    await ends.line.dial()
    assert ends.events == [DialFailed(Cause.RECOVERY_ON_TIMER_EXPIRE)]
    assert virtual_loop().now_ns - started_ns == PROOF_WAIT_S * 1e9
    assert len(ends.carrier.placed) == 1


async def test_the_callback_proves_a_call_that_was_placed_without_an_answer(ends):
    ends.carrier.on_place = NO_ANSWER
    naming = asyncio.create_task(after(0.5, ends.line.named, "CA3"))
    await ends.line.dial()
    await naming
    assert ends.events == [DialAccepted("CA3")]
    assert ends.strays == []


async def test_a_callback_before_the_failure_proves_the_call(ends):
    ends.line.named("CA3")
    ends.carrier.on_place = REFUSED
    await ends.line.dial()
    assert ends.events == [DialAccepted("CA3")]


async def test_a_reply_that_names_another_call_than_the_callback_is_a_stray(ends):
    ends.line.named("CA3")
    await ends.line.dial()
    assert ends.events == [DialAccepted("CA3")]
    assert ends.strays == ["CA1"]


# Polling.


@pytest.mark.parametrize(
    ("status", "event"),
    [
        ("ringing", Ringing()),
        ("answered", Answered()),
        ("busy", CarrierEnded(Cause.USER_BUSY, "callee", 0)),
        ("queued", None),
        ("unknown", None),
    ],
)
async def test_a_poll_reports_what_the_carrier_says(ends, status, event):
    ends.line.named("CA1")
    ends.carrier.on_fetch = status
    await ends.line.poll()
    assert ends.events[1:] == [event] * (event is not None)


async def test_a_poll_needs_a_name_and_a_call(ends):
    await ends.line.poll()
    ends.line.named("CA1")
    ends.line.is_over = True
    await ends.line.poll()
    assert ends.carrier.fetched == []


async def test_a_poll_that_fails_says_nothing(ends):
    ends.line.named("CA1")
    ends.carrier.on_fetch = NO_ANSWER
    await ends.line.poll()
    assert ends.events == [DialAccepted("CA1")]


async def test_a_poll_overtaken_by_the_end_says_nothing(ends):
    ends.line.named("CA1")
    polling = asyncio.create_task(ends.line.poll())
    await asyncio.sleep(0)
    ends.line.is_over = True
    await polling
    assert ends.events == [DialAccepted("CA1")]


# Ending.


async def test_the_reply_confirms_the_end(ends):
    ends.line.named("CA1")
    await ends.line.end()
    await ends.line.end()
    assert ends.carrier.hung_up == ["CA1"]
    assert ends.events[1:] == [CarrierEnded(Cause.NORMAL_CLEARING, "callee", None)]


async def test_the_carrier_is_asked_by_one_at_a_time(ends):
    ends.line.named("CA1")
    await asyncio.gather(ends.line.end(), ends.line.end())
    assert ends.carrier.hung_up == ["CA1"]


async def test_a_call_without_a_name_is_ended_once_it_has_one(ends):
    await ends.line.end()
    assert ends.carrier.hung_up == []
    ends.line.named("CA1")
    await ends.line.end()
    assert ends.carrier.hung_up == ["CA1"]


async def test_ending_is_repeated_until_it_is_confirmed(ends):
    ends.line.named("CA1")
    ends.carrier.on_hang_up = [NO_ANSWER, "answered", REFUSED, "unknown", "completed"]
    await ends.line.end()
    assert len(ends.carrier.hung_up) == 5
    assert ends.strays == []
    assert ends.events[1:] == [CarrierEnded(Cause.NORMAL_CLEARING, "callee", None)]


async def test_the_callback_ends_the_asking(ends):
    ends.line.named("CA1")
    ends.carrier.on_hang_up = ["answered"] * 9
    over = asyncio.create_task(
        after(2.0, ends._on_event, CarrierEnded(Cause.NORMAL_CLEARING, "callee", 5))
    )
    await ends.line.end()
    await over
    assert len(ends.carrier.hung_up) == 3
    assert ends.events[1:] == [CarrierEnded(Cause.NORMAL_CLEARING, "callee", 5)]


async def test_the_end_is_told_once_when_callback_and_reply_meet(ends):
    ends.line.named("CA1")
    ending = asyncio.create_task(ends.line.end())
    while not ends.carrier.hung_up:
        await asyncio.sleep(0)
    ends._on_event(CarrierEnded(Cause.NORMAL_CLEARING, "callee", 5))
    await ending
    assert ends.events[1:] == [CarrierEnded(Cause.NORMAL_CLEARING, "callee", 5)]


async def test_after_a_minute_of_asking_in_vain_others_go_on(ends):
    ends.line.named("CA1")
    ends.carrier.on_hang_up = [NO_ANSWER] * 99
    started_ns = virtual_loop().now_ns
    with capture_logs() as logs:
        await ends.line.end()
    assert ends.events[1:] == [ConfirmationAbandoned()]
    assert ends.strays == ["CA1"]
    assert 55e9 < virtual_loop().now_ns - started_ns < 65e9
    assert len(ends.carrier.hung_up) < 20
    assert logs[-1] == {
        "event": "end of call not confirmed by the carrier",
        "log_level": "error",
        "call_id": "c1",
        "carrier_call_id": "CA1",
    }


@pytest.mark.parametrize("each_takes_s", [0.0, 5.0, 32.5, 1e6])
@pytest.mark.parametrize("answer", [NO_ANSWER, REFUSED, "unknown", "answered"])
async def test_however_long_each_request_takes_the_end_waits_one_minute(ends, each_takes_s, answer):
    """A carrier that drops, refuses, answers 404 or hangs, with the client's own repetitions."""
    ends.line.named("CA1")
    hang_up = ends.carrier.hang_up

    async def slow(carrier_call_id):
        await asyncio.sleep(each_takes_s)
        return await hang_up(carrier_call_id)

    ends.carrier.hang_up, ends.carrier.on_hang_up = slow, [answer] * 99
    started_ns = virtual_loop().now_ns
    await ends.line.end()
    assert virtual_loop().now_ns - started_ns == pytest.approx(CONFIRM_S * 1e9, abs=1e6)
    assert ends.events[1:] == [ConfirmationAbandoned()]
    assert ends.strays == ["CA1"]


async def test_the_minute_begins_at_the_end_though_the_call_is_named_later(ends):
    started_ns = virtual_loop().now_ns
    await ends.line.end()
    await asyncio.sleep(9)
    ends.line.named("CA1")
    ends.carrier.on_hang_up = [NO_ANSWER] * 99
    await ends.line.end()
    assert virtual_loop().now_ns - started_ns == pytest.approx(CONFIRM_S * 1e9, abs=1e6)
