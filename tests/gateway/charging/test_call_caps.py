"""Calls under spend caps: their own, and those that they share."""

from datetime import UTC, datetime, timedelta

from gateway.nanoseconds import SECOND_NS
from tests.gateway.stage import CENT, CREDIT
from tests.gateway.virtual_time import virtual_loop
from tests.limits import limits


async def test_a_call_is_cut_off_at_its_own_cap(stage):
    call = stage.call(limits=limits(call=12 * CENT + 5), media_silence_s=60)
    await call.answered()
    await stage.ended(call)
    assert (call.end["ended_by"], call.end["cut_off"], call.end["seconds"]) == ("limit", "cap", 12)
    assert "spending limit" in call.end["message"]
    assert call.warned == [(11, "cap"), (10, "cap")]
    assert stage.balance() == CREDIT - 12 * CENT


async def test_a_cap_of_the_day_ends_all_calls_of_the_account(stage):
    caps = {"limits": limits(day=40 * CENT, month=4_000 * CENT), "media_silence_s": 60}
    calls = [await stage.call(f"c{n}", **caps).answered() for n in range(2)]
    await stage.ended(*calls)
    assert {call.end["cut_off"] for call in calls} == {"cap"}
    assert sum(call.end["seconds"] for call in calls) == 40
    ends_ns = [call.bridge.call.ended_ns for call in calls]
    assert max(ends_ns) - min(ends_ns) <= 1.5 * SECOND_NS
    assert {cause for call in calls for _, cause in call.warned} == {"cap"}
    later = stage.call("c9", **caps)
    await stage.until(lambda: len(stage.released) == 3)
    assert later.browser.closed == (1008, "cap_reached")


async def test_a_cap_of_the_day_is_warned_of_at_its_seconds(stage):
    call = await stage.call(limits=limits(day=12 * CENT), media_silence_s=60).answered()
    await stage.ended(call)
    assert (call.end["cut_off"], call.end["seconds"]) == ("cap", 12)
    assert call.warned[-1] == (10, "cap")


async def test_a_cap_of_a_key_leaves_other_keys_alone(stage):
    bounds = limits(key_id="k1", key_day=20 * CENT)
    call = await stage.call("c1", key_id="k1", limits=bounds, media_silence_s=99).answered()
    other = stage.call("c2", key_id="k2", media_silence_s=99)
    await other.answered()
    await stage.until(lambda: call.browser.closed)
    assert (call.end["cut_off"], call.end["seconds"]) == ("cap", 20)
    assert other.bridge.call.is_live
    assert other.browser.of("credit")[-1]["remaining_seconds"] > 900


async def test_a_call_below_its_first_second_is_refused_for_its_cap(stage):
    call = stage.call(limits=limits(call=CENT - 1))
    await stage.until(lambda: stage.released)
    assert call.browser.closed == (1008, "cap_reached")
    assert stage.balance() == CREDIT


async def test_a_new_day_is_a_new_cap(stage):
    call = await stage.call(limits=limits(day=40 * CENT), media_silence_s=99).answered()
    charging = call.bridge.charge
    now_ns = virtual_loop().now_ns
    today = datetime.now(UTC).date()
    left = datetime.combine(today + timedelta(days=1), datetime.min.time(), UTC) - datetime.now(UTC)
    (before,) = charging.caps(now_ns)
    (after,) = charging.caps(now_ns + (left // timedelta(microseconds=1) + 2_000_000) * 1000)
    assert before.name == f"account:alice:day:{today}"
    assert after.name == f"account:alice:day:{today + timedelta(days=1)}"
    assert after.limit_micros == 40 * CENT
