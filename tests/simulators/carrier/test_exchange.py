"""The call queue: pace, caps, cancelling, and what is forgotten."""

from __future__ import annotations

import pytest
from twilio.base.exceptions import TwilioRestException

from simulators.carrier import exchange

from .conftest import Start
from .peer import until


async def test_calls_above_the_rate_wait_in_the_queue(start: Start) -> None:
    async with start(cps=4) as carrier:
        calls = [await carrier.place("+15005551006") for _ in range(3)]
        seen = [await carrier.over(call.sid, "failed") for call in calls]
        queue_ms = [int((await carrier.fetch(call.sid)).queue_time) for call in calls]
    starts = [s["created_at_ns"] / 1e6 + q for s, q in zip(seen, queue_ms, strict=True)]
    # Two turns of 250 ms; a busy machine may dial a call late, which narrows a gap.
    assert max(starts) - min(starts) > 300


async def test_calls_above_the_concurrency_cap_wait_and_can_be_canceled(start: Start) -> None:
    async with start(concurrency_max=1) as carrier:
        first = await carrier.place("+15005551000")
        await carrier.peer.media()
        second, third = [await carrier.place("+15005551000") for _ in range(2)]
        assert (await carrier.control.get("/state")).json() == {"live": 1, "queued": 2}
        assert (await carrier.update(second.sid, status="canceled")).status == "canceled"
        await carrier.update(first.sid, status="completed")
        await carrier.peer.media(2)
        assert (await carrier.fetch(third.sid)).status == "in-progress"
        await until(lambda: "canceled" in carrier.peer.statuses())


async def test_a_full_queue_is_429(start: Start) -> None:
    async with start(queue_max=0) as carrier:
        with pytest.raises(TwilioRestException) as caught:
            await carrier.place("+15005551000")
    assert (caught.value.status, caught.value.code) == (429, 20429)


async def test_old_calls_are_forgotten(start: Start) -> None:
    async with start(calls_kept=1) as carrier:
        calls = [await carrier.place("+15005551004") for _ in range(3)]
        await carrier.over(calls[2].sid, "busy")
        with pytest.raises(TwilioRestException) as caught:
            await carrier.fetch(calls[0].sid)
    assert caught.value.status == 404


async def test_a_call_canceled_in_its_turn_makes_room_for_the_next(start: Start) -> None:
    """The dispatcher waits for the second call's turn when that call disappears."""
    async with start(cps=2) as carrier:
        first, second = [await carrier.place("+15005551004") for _ in range(2)]
        await carrier.over(first.sid, "busy")
        await carrier.update(second.sid, status="canceled")
        third = await carrier.place("+15005551004")
        await carrier.over(third.sid, "busy")
        assert (await carrier.fetch(second.sid)).status == "canceled"


async def test_counted_attempts_are_bounded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_NUMBERS_COUNTED", 1)
    async with start() as carrier:
        for number in ("+15005551004", "+15005551006", "+442071838750"):
            assert (await carrier.place(number, twiml="<Response/>")).status == "queued"
