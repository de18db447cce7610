"""A spend gate restored from an older copy, while the book of record is the newest of all."""

import asyncio

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from billing.reconcile import ENDING_FORGOTTEN
from billing.stores import tables
from billing.stores.gate_audit import OLDER_COPY, find_surpluses
from billing.stores.refill import SqlPositions
from gateway.charging.refilling import Refilling
from tests.money.ledger_world import CENT, UNIT
from tests.money.test_restored_book import Dying


@pytest.fixture
async def world(new_world, own_valkey):
    """Two nodes on a server of the test's own, and two accounts."""
    world = new_world(own_valkey.url, nodes=2)
    await world.open_accounts(alice=50 * UNIT, bob=50 * UNIT)
    return world


async def copy_of(redis):
    """Return all that the server holds."""
    return {key: await redis.dump(key) for key in await redis.keys("*")}


async def restore(redis, copy):
    """Put a copy in the place of what the server holds."""
    await redis.flushall()
    for key, value in copy.items():
        await redis.restore(key, 0, value)


async def talk(world, seconds, call_id, account_id="alice"):
    """Let a call begin, last and be booked."""
    call = await world.call(call_id, account_id)
    await world.pass_seconds(seconds)
    await world.hang_up(call)
    await world.drainer.drain_once()


def stop_nodes(world):
    """With them goes what they would tell again."""
    for number, node in enumerate(world.nodes):
        node.closings._kept.clear()
        world.crash(number)


async def test_what_was_spent_since_the_copy_cannot_be_spent_again(world, redis):
    await talk(world, 5, "c1")
    copy = await copy_of(redis)
    await talk(world, 7, "c2")
    await talk(world, 9, "c3", "bob")
    stop_nodes(world)
    await restore(redis, copy)
    assert await world.gate.balance("alice") == 50 * UNIT - 5 * CENT
    partitions = sorted({world.gate.partition(one) for one in ("alice", "bob")})
    named = f"{OLDER_COPY}: {len(partitions)} of {world.partitions} partitions"
    found = await world.findings()
    assert f"{named} ({', '.join(map(str, partitions))})" in found
    # Its advice is to give the cost back of a call that nobody made.
    assert not [one for one in found if one.startswith(ENDING_FORGOTTEN)]
    chosen = range(world.partitions)
    assert await find_surpluses(world.gate, world.engine, chosen, world.partitions) == []
    await world.reconciler.round()
    assert await world.gate.balance("alice") == 50 * UNIT - 12 * CENT
    assert await world.gate.balance("bob") == 50 * UNIT - 9 * CENT
    await world.assert_in_order()


async def test_a_call_that_lived_in_the_copy_is_charged_once(world, redis):
    call = await world.call("c1")
    await world.pass_seconds(3)
    await world.drainer.drain_once()
    copy = await copy_of(redis)
    await world.pass_seconds(4)
    await world.hang_up(call)
    await world.drainer.drain_once()
    stop_nodes(world)
    await restore(redis, copy)
    await world.reconciler.round()
    assert await world.gate.balance("alice") == 50 * UNIT - 7 * CENT
    await world.assert_in_order()


@pytest.mark.parametrize("is_drained", [True, False])
async def test_live_calls_go_on_in_a_gate_that_is_rolled_back_under_them(world, redis, is_drained):
    """What they tell it hides how old it is from whoever looks at its newest entry alone."""
    old = await world.call("old")
    await talk(world, 2, "c1")
    copy = await copy_of(redis)
    await talk(world, 5, "c2")
    new = await world.call("new", node=1)
    await world.pass_seconds(3)
    await world.drainer.drain_once()
    await restore(redis, copy)
    await world.pass_seconds(2)
    late = await world.call("late", "bob", node=1)
    await world.pass_seconds(1)
    if is_drained:
        await world.drainer.drain_once()
    await world.reconciler.round()
    await world.pass_seconds(2)
    assert {call.call_id for call in world.live} == {"old", "new", "late"}
    await world.hang_up(old, new, late)
    await world.drainer.drain_once()
    await world.reconcile()
    await world.assert_in_order()
    assert await world.gate.balance("alice") == 50 * UNIT - (2 + 5 + 15 + 8) * CENT


async def test_credits_come_back_with_the_rest(world, redis):
    await talk(world, 5, "c1")
    copy = await copy_of(redis)
    await world.credit("alice", 3 * UNIT, "paid")
    await talk(world, 7, "c2")
    stop_nodes(world)
    await restore(redis, copy)
    await world.reconciler.round()
    assert await world.gate.balance("alice") == 53 * UNIT - 12 * CENT
    await world.assert_in_order()


async def test_what_only_the_copy_knows_is_booked_first(world, redis):
    """The end of a call waited in its outbox, and was lost on its way to the book."""
    partition = world.gate.partition("bob")
    lost = await world.call("lost", "bob")
    await world.pass_seconds(4)
    await world.drainer.drain_once()
    await world.hang_up(lost)
    copy = await copy_of(redis)
    del copy[f"{{cr:{partition}}}:led".encode()]
    await redis.delete(f"{{cr:{partition}}}:led")
    await talk(world, 3, "c2", "bob")
    stop_nodes(world)
    await restore(redis, copy)
    await world.reconciler.round()
    assert await world.gate.balance("bob") == 50 * UNIT - 7 * CENT
    await world.assert_in_order()


def refilling(world, gate=None):
    """Return what every node and command does to fill the gate."""
    positions, drain = SqlPositions(world.engine), world.drainer.drain_once
    gate = gate or world.gate
    return Refilling(gate, world.book, world.records, positions, world.partitions, drain)


async def test_a_filling_killed_at_any_point_is_finished_by_a_repetition(world, redis):
    live = await world.call("live")
    await world.drainer.drain_once()
    copy = await copy_of(redis)
    await talk(world, 4, "c1", "bob")
    await restore(redis, copy)
    for life in range(100):
        await world.pass_seconds(1)
        try:
            await refilling(world, Dying(world.gate, life)).fill()
        except asyncio.CancelledError:
            continue
        break
    assert life > 5
    assert await refilling(world).fill() == 0
    assert await world.gate.balance("bob") == 50 * UNIT - 4 * CENT
    assert world.live == [live]
    await world.hang_up(live)
    await world.drainer.drain_once()
    await world.assert_in_order()


async def test_nodes_that_start_together_fill_it_together(world, redis):
    copy = await copy_of(redis)
    await talk(world, 4, "c1")
    stop_nodes(world)
    await restore(redis, copy)
    await asyncio.gather(*(refilling(world).fill() for _ in range(3)))
    assert await refilling(world).fill() == 0
    assert await world.gate.balance("alice") == 50 * UNIT - 4 * CENT
    await world.assert_in_order()


async def test_an_older_copy_that_knows_calls_which_cannot_be_booked_is_left_as_it_is(world, redis):
    tag = f"{{cr:{world.gate.partition('alice')}}}"
    call = await world.call("lost")
    await world.pass_seconds(2)
    await world.hang_up(call)
    await redis.delete(f"{tag}:led")
    await redis.hdel(f"{tag}:ends", "lost")
    copy = await copy_of(redis)
    await talk(world, 4, "c1")
    stop_nodes(world)
    await restore(redis, copy)
    filling = refilling(world)
    with capture_logs() as logs:
        for _ in range(2):
            assert await filling.fill() == 0
    (told,) = logs
    assert told["event"] == "older copy not refilled"
    assert "`caller ledger rebuild` says what" in told["hint"]
    assert await world.gate.balance("alice") == 50 * UNIT - 2 * CENT


async def test_a_gate_that_was_emptied_and_filled_is_not_taken_for_an_old_one(world, redis):
    """Its clock may have been set back by years: its entries are newer than those booked."""
    await talk(world, 5, "c1")
    async with world.engine.begin() as connection:
        await connection.execute(sa.update(tables.partitions).values(booked_id="9999999999999-7"))
    await redis.flushall()
    await world.reconciler.round()
    with capture_logs() as logs:
        for number in range(3):
            await talk(world, 1, f"new-{number}")
            await world.reconciler.round()
    assert not logs
    await world.assert_in_order()
