"""What one call pays from its hold to its end, with everybody else played and time virtual."""

import asyncio
import random

import pytest

from billing.rating import Rate
from gateway.nanoseconds import SECOND_NS
from tests.gateway.stage import CENT, CREDIT
from tests.gateway.virtual_time import virtual_loop
from tests.thorough import first_of


async def test_an_unanswered_call_is_never_charged(stage):
    stage.carrier.on_fetch = "ringing"
    call = stage.call(rate=Rate(per_minute_micros=60 * CENT, connect_fee_micros=CENT))
    await stage.run(5)
    assert call.bridge.used() == (0, 0)
    call.says(type="hangup")
    await stage.until(lambda: stage.released)
    assert stage.balance() == CREDIT


async def test_a_frozen_account_has_its_calls_ended(stage):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(2.5)
    await stage.gate.freeze("alice", True)
    await stage.run(1.01)
    await stage.ended(call)
    assert (call.end["name"], call.end["ended_by"]) == ("MANAGER_REQUEST", "operator")
    assert call.end["seconds"] <= 4


async def test_a_gate_that_comes_back_in_time_is_not_noticed(stage):
    call = await stage.call(media_silence_s=60).answered()
    await stage.run(4.5)
    stage.gate.is_away = True
    await stage.run(10)
    stage.gate.is_away = False
    await stage.run(10)
    call.says(type="hangup")
    await stage.until(lambda: stage.released)
    assert stage.record().seconds == 25
    assert stage.balance() == CREDIT - 25 * CENT


# Calls that share an account.


@pytest.mark.parametrize("credit", range(18, 31))
async def test_calls_of_one_account_end_together(stage, credit):
    """Whenever they began, they count down to the same end, and not a second is left unused."""
    stage.gate.fill(alice=credit * CENT)
    calls = []
    for n in range(3):
        changes = {"balance_micros": stage.balance(), "media_silence_s": 60}
        calls.append(await stage.call(f"c{n}", **changes).answered())
        await stage.run(0.3)
    await stage.run(1.02)
    left = [call.browser.of("credit")[-1]["remaining_seconds"] for call in calls]
    assert max(left) - min(left) <= 1
    await stage.ended(*calls)
    ends_ns = [call.bridge.call.ended_ns for call in calls]
    assert max(ends_ns) - min(ends_ns) <= 1.5 * SECOND_NS
    assert sum(call.end["seconds"] for call in calls) == credit
    assert stage.balance() == 0


@pytest.mark.parametrize("seed", first_of(range(6)))
@pytest.mark.parametrize("credit", [100, 250, 400])
async def test_calls_that_are_answered_first_leave_their_part_to_those_that_ring(
    stage, seed, credit
):
    """Their seconds begin at other moments, and one more or less is whose turn it was."""
    chance = random.Random(seed)
    stage.gate.fill(alice=credit * CENT)
    settings = {"account_calls_max": 20, "media_silence_s": 600}
    calls = [stage.call(f"c{n}", **settings) for n in range(20)]

    async def answer(call):
        await stage.run(chance.random() * 3)
        await call.answered()

    await asyncio.gather(*map(answer, calls))
    await stage.ended(*calls)
    ends_ns = [call.bridge.call.ended_ns for call in calls]
    assert max(ends_ns) - min(ends_ns) <= 2 * SECOND_NS
    assert sum(call.end["seconds"] for call in calls) == credit
    assert stage.balance() == 0


async def test_calls_of_different_price_end_together(stage):
    stage.gate.fill(alice=60 * CENT)
    cheap = await stage.call("c1", balance_micros=60 * CENT, media_silence_s=60).answered()
    rate = Rate(per_minute_micros=180 * CENT)
    dear = stage.call("c2", rate=rate, balance_micros=60 * CENT, media_silence_s=60)
    await dear.answered()
    await stage.ended(cheap, dear)
    assert abs(cheap.bridge.call.ended_ns - dear.bridge.call.ended_ns) <= 1.5 * SECOND_NS
    assert 14 <= dear.end["seconds"] <= 16
    assert stage.balance() < CENT


async def test_two_calls_share_their_accounts_last_credit(stage):
    stage.gate.fill(alice=20 * CENT)
    calls = [await stage.call(f"c{n}", media_silence_s=60).answered() for n in range(2)]
    await stage.ended(*calls)
    assert sum(call.end["seconds"] for call in calls) == 20
    assert stage.balance() == 0


async def test_the_end_of_one_call_prolongs_the_other_at_once(stage):
    stage.gate.fill(alice=16 * CENT)
    one, other = [await stage.call(f"c{n}", media_silence_s=60).answered() for n in range(2)]
    await stage.run(4.5)
    one.says(type="hangup")
    await stage.until(lambda: stage.released)
    await stage.run(0.01)
    (tick,) = stage.gate.ticks[-1][1]
    assert tick.call_id == "c1"
    assert other.bridge.charge.meter.remaining_s(virtual_loop().now_ns) == 16 - 5 - 5
    await stage.until(lambda: other.browser.closed)
    assert other.end["seconds"] == 16 - 5


async def test_a_call_that_rings_holds_a_part_of_what_little_there_is(stage):
    stage.gate.fill(alice=20 * CENT)
    """However many calls come after it: no more than the first increment of so little."""
    stage.call(balance_micros=20 * CENT)
    await stage.run(0.1)
    assert stage.balance() == 19 * CENT
