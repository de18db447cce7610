"""The end of a call at its last paid second, to the nanosecond."""

import asyncio

import pytest

from billing.rating import Rate
from gateway.nanoseconds import SECOND_NS
from media import tones
from tests.gateway.stage import CENT, CREDIT
from tests.gateway.virtual_time import virtual_loop

BEEP = tones.warning_beep()
BEEP_FRAMES = [BEEP[at : at + 160] for at in range(0, len(BEEP), 160)]


async def test_credit_ends_at_its_last_paid_second(stage):
    stage.gate.fill(alice=5 * CENT)
    await stage.run(0.0137)
    call = await stage.call().answered()
    answered_ns = call.bridge.call.answered_ns
    assert answered_ns % 20_000_000, "between two beats"
    while not call.carrier.closed:
        call.phone_speaks()
        await stage.run(0.02)
    assert 5 * SECOND_NS <= virtual_loop().now_ns - answered_ns < 5 * SECOND_NS + 60_000_000
    assert call.bridge.call.ended_ns == answered_ns + 5 * SECOND_NS, "the cut-off itself, to the ns"
    await stage.until(lambda: stage.released and call.browser.closed)
    assert (call.end["name"], call.end["ended_by"]) == ("ALLOTTED_TIMEOUT", "credit")
    assert (call.end["seconds"], call.end["cost"]["micros"]) == (5, 5 * CENT)
    assert stage.balance() == 0


async def test_a_top_up_moves_the_cut_off(stage):
    stage.gate.fill(alice=5 * CENT)
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(3)
    await stage.gate.credit("alice", 2, 5 * CENT)
    await stage.run(6)
    assert call.bridge.call.is_live
    await stage.until(lambda: stage.released)
    assert stage.record().seconds == 10
    assert stage.balance() == 0


async def test_the_longest_call_ends_at_its_limit(stage):
    call = await stage.call(call_duration_max_s=10, media_silence_s=60).answered()
    await stage.until(lambda: stage.released and call.browser.closed)
    assert (call.end["name"], call.end["ended_by"]) == ("ALLOTTED_TIMEOUT", "limit")
    assert (call.end["cut_off"], stage.record().seconds) == ("duration", 10)
    assert [w["seconds_left"] for w in call.browser.of("credit-warning")] == [9]


async def test_a_gate_that_stays_away_costs_no_more_than_the_grace(stage):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(4.5)
    stage.gate.is_away = True
    await stage.run(6)
    assert call.bridge.call.is_live, "the horizon is paid for"
    await stage.until(lambda: call.browser.closed)
    seconds = call.end["seconds"]
    assert (call.end["name"], call.end["ended_by"]) == ("NORMAL_TEMPORARY_FAILURE", "gateway")
    assert 4 + 8 + 6 <= seconds <= 5 + 8 + 6
    await stage.run(30)
    assert stage.released == [], "it waits to be settled"
    stage.gate.is_away = False
    await stage.until(lambda: stage.released)
    assert stage.balance() == CREDIT - seconds * CENT


async def test_a_free_call_leaves_no_trail_of_timers(stage):
    """Its cut-off is hours away and never moves."""
    await stage.call(rate=Rate(per_minute_micros=0), media_silence_s=60).answered()
    await stage.run(50)
    assert len(stage.ticker._deadlines) < 20


async def test_a_cut_off_is_heard_and_then_told_in_words(stage):
    stage.gate.fill(alice=3 * CENT)
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(3.02)
    assert call.carrier.closed, "the phone is let go at once"
    assert call.browser.of("tone")[-1] == {"type": "tone", "name": "cut-off"}
    await stage.run(1)
    heard = [frame for frame in call.browser.audio if frame not in BEEP_FRAMES]
    assert heard[1:51] == [tones.congestion("US").frame(n) for n in range(50)]
    await stage.ended(call)
    assert call.end["message"] == "The call was cut off because the credit is used up."
    assert call.end["action"] == "Top up the account, then call again."
    assert (call.end["cut_off"], call.end["seconds"]) == ("credit", 3)


async def test_a_top_up_in_the_last_moment_saves_the_call(stage):
    """It comes after the last round that could have seen it, and before the paid second is over."""
    stage.gate.fill(alice=5 * CENT)
    call = await stage.call(media_silence_s=60).answered()
    due_ns = call.bridge.call.answered_ns + 5 * SECOND_NS
    await stage.run((due_ns - virtual_loop().now_ns) / 1e9 - 0.001)
    rounds = len(stage.gate.ticks)
    await stage.gate.credit("alice", 2, 4 * CENT)
    await stage.run(0.05)
    assert call.bridge.call.is_live
    assert len(stage.gate.ticks) == rounds + 1
    await stage.ended(call)
    assert call.end["seconds"] == 9
    assert stage.balance() == 0


@pytest.mark.parametrize("fault", ["away", "slow"])
async def test_no_word_at_the_cut_off_is_a_no(stage, fault):
    """The gate is given 300 ms; nothing beyond the paid second is charged."""
    stage.gate.fill(alice=5 * CENT)
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(4.9)
    if fault == "away":
        stage.gate.is_away = True
    else:
        stage.gate.held_back = held_back = asyncio.Event()
    await stage.run(0.48)
    assert call.carrier.closed
    assert call.bridge.call.ended_ns == call.bridge.call.answered_ns + 5 * SECOND_NS
    stage.gate.is_away = False
    if fault == "slow":
        held_back.set()
    await stage.ended(call)
    assert (call.end["seconds"], call.end["cut_off"]) == (5, "credit")
    assert stage.balance() == 0


async def test_the_longest_call_is_cut_off_without_asking(stage):
    call = await stage.call(call_duration_max_s=10, media_silence_s=60).answered()
    due_ns = call.bridge.call.answered_ns + 10 * SECOND_NS
    await stage.run((due_ns - virtual_loop().now_ns) / 1e9 - 0.001)
    stage.gate.held_back = asyncio.Event()
    await stage.run(0.03)
    assert call.carrier.closed
    stage.gate.held_back.set()
    await stage.ended(call)


# A process that stood still.


@pytest.mark.parametrize("stood_still_s", [16, 600])
async def test_a_process_that_stood_still_past_a_calls_end_cuts_it_there(stage, stood_still_s):
    """Nothing is claimed first, although there is credit enough."""
    call = await stage.call(media_silence_s=3_600).answered()
    await stage.run(2.5)
    held = stage.gate.ticks[-1][1][0].want_micros
    stage.gate.ticks.clear()
    virtual_loop().now_ns += stood_still_s * SECOND_NS
    await stage.ended(call)
    assert stage.gate.ticks == []
    assert (call.end["ended_by"], call.end["cut_off"]) == ("gateway", None)
    # Another node may have settled the call meanwhile, so that its caller is told no figures.
    assert (call.end["seconds"], call.end["cost"]) == (None, None)
    assert stage.record().seconds * CENT == held
    assert stage.balance() == CREDIT - held


async def test_a_spent_call_that_is_found_late_ended_for_want_of_credit(stage):
    stage.gate.fill(alice=5 * CENT)
    call = await stage.call(media_silence_s=3_600).answered()
    await stage.run(4.5)
    virtual_loop().now_ns += 30 * SECOND_NS
    await stage.gate.credit("alice", 2, CREDIT)
    await stage.ended(call)
    assert (call.end["seconds"], call.end["cut_off"]) == (5, "credit")
    assert stage.balance() == CREDIT
