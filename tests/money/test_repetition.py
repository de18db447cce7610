"""What is said twice, late or by several at once is charged once, and to the second."""

import random
from dataclasses import replace

import msgspec
import pytest

from billing.ports import CloseResult, Closing, Opening, OpenResult
from billing.rating import Rate
from tests.money.ledger_world import CENT, CENT_A_SECOND, HORIZON_S, UNIT

RATES = [
    CENT_A_SECOND,
    Rate(per_minute_micros=13_333, first_s=30, next_s=6),
    Rate(per_minute_micros=99_999, first_s=60, next_s=60, connect_fee_micros=5_000),
    Rate(per_minute_micros=250_000, first_s=6, next_s=6, free_s=5, minimum_micros=7),
]


@pytest.mark.by_turns
@pytest.mark.parametrize("rate", RATES)
async def test_ticks_that_come_thrice_late_and_in_any_order_charge_once(world, rate):
    gate = world.nodes[0].gate
    gate.repeats = 3
    call = await world.call("c1", rate=rate)
    chance = random.Random(1)
    for second in range(60):
        await world.pass_seconds()
        if second % 20 == 7:
            for claims in chance.sample(gate.said, len(gate.said)):
                await world.gate.tick_all(claims)
            assert await world.findings() == []
            held = rate.cost(second + 1 + HORIZON_S)
            assert await world.gate.balance("alice") == 50 * UNIT - held
    await world.hang_up(call)
    assert await world.gate.balance("alice") == 50 * UNIT - rate.cost(60)
    await world.assert_in_order()


async def test_an_ended_call_stays_as_it_ended(world):
    """Neither another end nor a tick nor an opening that comes late changes it."""
    call = await world.call("c1")
    await world.pass_seconds(20)
    await world.hang_up(call)
    left = 50 * UNIT - 20 * CENT
    assert await world.gate.balance("alice") == left
    entries = await world.gate.outbox_length()

    for seconds in (60, 20, 0):
        final = Closing("c1", "alice", seconds * CENT, seconds, b"{}")
        again = await world.gate.close(final)
        assert (again.result, again.charged_micros) == (CloseResult.ALREADY_CLOSED, 20 * CENT)
    partition = world.gate.partition("alice")
    for claims in world.nodes[0].gate.said:
        outcome = await world.gate.tick(partition, claims[partition])
        assert (outcome.closed, outcome.lost) == (["c1"], [])
    opening = Opening("c1", "alice", "n0", CENT, 8 * CENT, 9, msgspec.json.encode(call.opened))
    for late in (opening, replace(opening, is_running=True)):
        assert (await world.gate.open(late)).result is OpenResult.ALREADY_CLOSED

    assert await world.gate.balance("alice") == left
    assert await world.gate.outbox_length() == entries
    await world.assert_in_order()


async def test_an_end_counts_once_although_the_gate_still_lists_the_call(world):
    """The tombstone alone says that a call has ended."""
    call = await world.call("c1")
    await world.pass_seconds(20)
    rows = [(key, await call.node.client.hget(key, "c1")) for key in _rows_of(world)]
    await world.hang_up(call)
    for key, row in rows:
        await call.node.client.hset(key, "c1", row)
    final = Closing("c1", "alice", 60 * CENT, 60, b"{}")
    again = await world.gate.close(final)
    assert (again.result, again.charged_micros) == (CloseResult.ALREADY_CLOSED, 20 * CENT)
    assert await world.gate.balance("alice") == 50 * UNIT - 20 * CENT


def _rows_of(world):
    return [f"{{cr:{world.gate.partition('alice')}}}:{name}" for name in ("call", "own")]


async def test_an_opening_that_is_repeated_holds_once(world):
    call = await world.call("c1")
    for _ in range(3):
        await call.charge.place_hold()
    assert await world.gate.balance("alice") == 50 * UNIT - HORIZON_S * CENT
    await world.pass_seconds(2)
    await world.hang_up(call)
    await world.assert_in_order()


async def test_twenty_calls_on_four_nodes_use_up_one_account_to_the_second(new_world, valkey_url):
    world = new_world(valkey_url, nodes=4)
    await world.open_accounts(alice=100 * CENT)
    calls = [await world.call(f"c{n}", node=n % 4) for n in range(20)]
    assert {call.refusal for call in calls} == {""}
    for second in range(15):
        await world.pass_seconds()
        assert await world.lowest_balance() >= 0
        if second == 3:
            assert await world.findings() == []
    assert world.live == []
    assert {call.end.ended_by for call in calls if call.end} == {"credit"}
    assert {call.seconds for call in calls} == {5}
    assert await world.gate.balance("alice") == 0
    await world.assert_in_order()


async def test_calls_that_begin_with_plenty_share_what_is_left_to_the_second(new_world, valkey_url):
    """Several nodes and rates; the last cent is used, and nobody ends much before the others."""
    world = new_world(valkey_url, nodes=4)
    await world.open_accounts(alice=300 * CENT)
    dear = Rate(per_minute_micros=120 * CENT)
    calls = [
        await world.call(
            f"c{n}",
            node=n,
            rate=dear if n == 3 else CENT_A_SECOND,
            balance_micros=await world.gate.balance("alice"),
        )
        for n in range(4)
    ]
    while world.live:
        await world.pass_seconds()
        assert await world.lowest_balance() >= 0
    ends = [call.seconds for call in calls]
    assert max(ends) - min(ends) <= 1
    assert await world.gate.balance("alice") < 2 * CENT
    await world.assert_in_order()


async def test_what_was_held_in_advance_comes_back(world):
    calls = [await world.call(f"c{n}") for n in range(3)]
    await world.pass_seconds(5)
    assert await world.gate.balance("alice") == 50 * UNIT - 3 * (5 + HORIZON_S) * CENT
    await world.hang_up(*calls[:2])
    assert await world.gate.balance("alice") == 50 * UNIT - (2 * 5 + 5 + HORIZON_S) * CENT
    assert await world.findings() == []
    await world.hang_up(calls[2])
    assert await world.gate.balance("alice") == 50 * UNIT - 15 * CENT
    await world.assert_in_order()
