"""Clocks that jump, machines that sleep, calls that last: seconds are counted, not dates."""

from datetime import timedelta

import pytest

from billing.rating import RATE_MICROS_MAX, SECONDS_MAX, Rate
from tests.money.ledger_world import CENT, GRACE_S, HORIZON_S, UNIT


@pytest.mark.by_turns
@pytest.mark.parametrize("hours", [-30, -1, 1, 30])
async def test_a_wall_clock_that_jumps_changes_no_charge(world, hours):
    calls = [await world.call(f"c{n}") for n in range(2)]
    await world.pass_seconds(10)
    world.skew = timedelta(hours=hours)
    await world.pass_seconds(10)
    await world.hang_up(calls[0])
    assert await world.findings() == []
    world.skew = timedelta()
    await world.pass_seconds(10)
    await world.hang_up(calls[1])
    assert await world.gate.balance("alice") == 50 * UNIT - (20 + 30) * CENT
    await world.assert_in_order()
    for call, seconds in zip(calls, (20, 30), strict=True):
        closed = (await world.records.get("alice", call.call_id)).closed
        assert closed.ended_at - closed.answered_at == timedelta(seconds=seconds)


async def test_a_process_that_stood_still_charges_no_second_that_was_not_granted(world):
    """An hour passes in which nobody asks the gate: the call ended when its paid time did."""
    call = await world.call("c1")
    await world.pass_seconds(10)
    said = len(world.nodes[0].gate.said)
    await world.leap(3_600)
    assert (call.is_live, call.seconds, call.end.ended_by) == (False, 10 + HORIZON_S, "gateway")
    assert not any(any(claims.values()) for claims in world.nodes[0].gate.said[said:])
    assert await world.gate.balance("alice") == 50 * UNIT - call.seconds * CENT
    await world.assert_in_order()


async def test_a_process_that_stood_still_within_the_grace_goes_on(world):
    call = await world.call("c1")
    await world.pass_seconds(10)
    await world.leap(HORIZON_S + GRACE_S)
    await world.pass_seconds(2)
    assert call.is_live
    await world.hang_up(call)
    assert call.seconds == 10 + HORIZON_S + GRACE_S + 2
    await world.assert_in_order()


async def test_a_node_that_stalled_catches_up(world):
    call = await world.call("c1")
    for stall_s in (1, 5, 2, 7, 1, 8):
        await world.leap(stall_s)
        assert await world.findings() == []
    await world.hang_up(call)
    assert call.seconds == 24
    await world.assert_in_order()


async def test_the_longest_call_is_cut_for_its_length(new_world, valkey_url):
    world = new_world(valkey_url, call_duration_max_s=20)
    await world.open_accounts(alice=50 * UNIT)
    call = await world.call("c1")
    await world.pass_seconds(25)
    assert (call.seconds, call.end.ended_by) == (20, "limit")
    assert await world.gate.balance("alice") == 50 * UNIT - 20 * CENT
    await world.assert_in_order()


async def test_a_day_at_the_highest_rate_is_exact(new_world, valkey_url):
    """No number on the way is rounded to what a float can say."""
    knobs = {"prepaid_horizon_s": 3_600, "account_calls_max": 1}
    world = new_world(valkey_url, call_duration_max_s=SECONDS_MAX, **knobs)
    rate = Rate(per_minute_micros=RATE_MICROS_MAX, connect_fee_micros=RATE_MICROS_MAX - 1)
    credit = rate.cost(SECONDS_MAX) + 1
    await world.open_accounts(alice=credit)
    call = await world.call("c1", rate=rate)
    while call.is_live:
        left_s = call.charge.meter.remaining_s(world.now_ns)
        await world.leap(max(1, min(1_800, left_s // 4)))
        if left_s > 80_000:
            assert await world.findings() == []
    assert (call.seconds, call.end.ended_by) == (SECONDS_MAX, "limit")
    assert await world.gate.balance("alice") == 1
    await world.assert_in_order()
