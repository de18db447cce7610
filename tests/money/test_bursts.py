"""Many calls of one account at once, on little credit: they share it, and end together."""

import asyncio

import pytest

from billing.rating import Rate
from gateway.nanoseconds import SECOND_NS
from tests.money.ledger_world import CENT, UNIT

pytestmark = pytest.mark.by_turns

CALLS_MAX = 20


async def begin(world, count, *, rate=None, pause_s=0):
    """Begin calls on all nodes in turn, all at once or with a pause after each."""
    terms = {} if rate is None else {"rate": rate}
    if not pause_s:
        nodes = len(world.nodes)
        return await asyncio.gather(
            *(world.call(f"c{n}", node=n % nodes, **terms) for n in range(count))
        )
    calls = []
    for n in range(count):
        calls.append(await world.call(f"c{n}", node=n % len(world.nodes), **terms))
        await world.pass_seconds(pause_s)
    return calls


async def run_out(world, calls):
    """Let time pass until all calls have ended, and say when they did, in seconds."""
    for _ in range(4_000):
        if not world.live:
            break
        await world.pass_seconds()
    assert not world.live
    await world.drainer.drain_once()
    return [call.ended_ns / SECOND_NS for call in calls]


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("credit_s", [20, 33, 47, 100, 160, 330, 900])
async def test_calls_that_begin_at_once_end_at_once(new_world, valkey_url, nodes, credit_s):
    world = new_world(valkey_url, nodes=nodes, account_calls_max=CALLS_MAX)
    await world.open_accounts(alice=credit_s * CENT)
    calls = await begin(world, CALLS_MAX)
    assert [call.refusal for call in calls] == [""] * CALLS_MAX
    ends = await run_out(world, calls)
    assert max(ends) - min(ends) <= 1
    assert sum(call.seconds for call in calls) == credit_s
    assert await world.gate.balance("alice") == 0
    await world.assert_in_order()


@pytest.mark.parametrize("count", [1, 2, 7, 13, 20])
async def test_however_many_they_are(new_world, valkey_url, count):
    world = new_world(valkey_url, nodes=2, account_calls_max=CALLS_MAX)
    await world.open_accounts(alice=100 * CENT)
    calls = await begin(world, count)
    ends = await run_out(world, calls)
    assert max(ends) - min(ends) <= 1
    assert sum(call.seconds for call in calls) == 100
    await world.assert_in_order()


async def test_what_does_not_reach_for_all_is_refused_to_the_last(new_world, valkey_url):
    world = new_world(valkey_url, account_calls_max=CALLS_MAX)
    await world.open_accounts(alice=13 * CENT)
    calls = await begin(world, CALLS_MAX)
    admitted = [call for call in calls if not call.refusal]
    assert len(admitted) == 13
    assert {call.refusal for call in calls} == {"", "insufficient_credit"}
    ends = await run_out(world, admitted)
    assert max(ends) == min(ends)
    assert [call.seconds for call in admitted] == [1] * 13
    await world.assert_in_order()


@pytest.mark.parametrize("credit_s", [300, 700])
async def test_calls_that_begin_one_after_another_end_at_once(new_world, valkey_url, credit_s):
    """Whoever is early knows of those that will be late once they are placed, and not before."""
    world = new_world(valkey_url, nodes=2, account_calls_max=CALLS_MAX)
    await world.open_accounts(alice=credit_s * CENT)
    calls = await begin(world, 8, pause_s=1)
    ends = await run_out(world, calls)
    assert max(ends) - min(ends) <= 1
    assert sum(call.seconds for call in calls) == credit_s
    await world.assert_in_order()


async def test_whole_increments_are_never_more_than_there_is(new_world, valkey_url):
    """Sixty seconds at a time cannot be shared to the second; the total is exact all the same."""
    minutes = Rate(per_minute_micros=60 * CENT, first_s=60, next_s=60, connect_fee_micros=5 * CENT)
    world = new_world(valkey_url, nodes=2, account_calls_max=CALLS_MAX)
    await world.open_accounts(alice=10 * UNIT)
    calls = await begin(world, CALLS_MAX, rate=minutes)
    admitted = [call for call in calls if not call.refusal]
    assert len(admitted) == 15
    await run_out(world, admitted)
    assert sum(minutes.cost(call.seconds) for call in admitted) <= 10 * UNIT
    await world.assert_in_order()
