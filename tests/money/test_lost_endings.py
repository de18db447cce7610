"""Calls whose end the gate or its outbox loses before it is booked: each is booked as it was."""

import asyncio

import pytest

from billing.cdr import CallClosed
from gateway.charging.node_watch import NodeWatch
from gateway.charging.recovery import Settler
from gateway.charging.sweeper import Sweeper
from gateway.stores.leases import RedisNodeLeases
from tests.money.ledger_world import CENT, UNIT
from tests.money.test_nodes import Carrier


@pytest.fixture
async def world(new_world, own_valkey):
    """Two nodes on a server of the test's own."""
    world = new_world(own_valkey.url, nodes=2)
    await world.open_accounts(alice=50 * UNIT)
    return world


def sweeper_of(world, node):
    """Return what settles a node's own lost calls."""
    settler = Settler(
        world.gate,
        world.records,
        Carrier(),
        world.drainer.drain_once,
        kept=node.closings.find,
        clock=world.date,
    )
    return Sweeper(
        settler,
        NodeWatch(RedisNodeLeases(world.nodes[0].client), node.name, world.clock_ns),
        is_live_here=node.calls.__contains__,
        clock_ns=world.clock_ns,
    )


async def resend_ending(world):
    """Let every node look after what it has closed, all at once."""
    return sum(await asyncio.gather(*(node.closings.round() for node in world.nodes)))


async def assert_booked(world, **seconds):
    await world.drainer.drain_once()
    for call_id, used_s in seconds.items():
        record = await world.records.get("alice", call_id)
        assert isinstance(record.closed, CallClosed), call_id
        assert (record.closed.seconds, record.cost_micros) == (used_s, used_s * CENT), call_id
        assert record.opened.destination == "+15005551000"
    await resend_ending(world)
    assert [len(node.closings) for node in world.nodes] == [0, 0]
    await world.assert_in_order()


async def ended_calls(world, *, opening_is_booked):
    """Six calls of which the gate alone knows how they ended."""
    calls = [await world.call(f"c{n}", node=n % 2) for n in range(6)]
    if opening_is_booked:
        await world.drainer.drain_once()
    for n, call in enumerate(calls):
        await world.pass_seconds(n + 1)
        await world.hang_up(call)
    return {call.call_id: call.seconds for call in calls}


@pytest.mark.parametrize("opening_is_booked", [True, False])
async def test_ended_calls_outlive_a_flush(world, own_valkey, opening_is_booked):
    seconds = await ended_calls(world, opening_is_booked=opening_is_booked)
    lasting = await world.call("lasting")
    own_valkey.command("FLUSHALL")
    await world.reconciler.round()
    assert await resend_ending(world) == 6
    await world.pass_seconds(2)
    await world.hang_up(lasting)
    await assert_booked(world, **seconds, lasting=2)


async def test_the_sweeper_charges_a_lost_call_of_its_own_what_it_was(world, own_valkey):
    """It may look before the node has told the gate again."""
    seconds = await ended_calls(world, opening_is_booked=True)
    own_valkey.command("FLUSHALL")
    await world.reconciler.round()
    for node in world.nodes:
        await sweeper_of(world, node).sweep()
    assert await world.gate.open_calls() == []
    await assert_booked(world, **seconds)


async def test_two_flushes_and_a_failing_round_in_between(world, own_valkey):
    seconds = await ended_calls(world, opening_is_booked=True)
    for _ in range(2):
        own_valkey.command("FLUSHALL")
        await world.reconciler.round()
        await resend_ending(world)
    await assert_booked(world, **seconds)


@pytest.mark.parametrize("rounds", [1, 3])
async def test_an_end_that_the_outbox_lost_is_booked_from_the_tombstone(world, own_valkey, rounds):
    """Whatever becomes of the node that closed the call; two nodes that look at once do no harm."""
    seconds = await ended_calls(world, opening_is_booked=True)
    for partition in range(world.partitions):
        own_valkey.command("DEL", f"{{cr:{partition}}}:led")
    for node in world.nodes:
        node.closings._kept.clear()
    assert await world.findings() != []
    await asyncio.gather(*(world.reconcile() for _ in range(rounds)))
    await assert_booked(world, **seconds)


async def test_an_outbox_that_lost_beginning_and_end_is_told_both(world, own_valkey):
    seconds = await ended_calls(world, opening_is_booked=False)
    for partition in range(world.partitions):
        own_valkey.command("DEL", f"{{cr:{partition}}}:led")
    assert await resend_ending(world) == 6
    await assert_booked(world, **seconds)


async def test_an_end_told_again_and_booked_twice_counts_once(world, own_valkey):
    """The entry was booked, and only its trimming was lost on the way."""
    seconds = await ended_calls(world, opening_is_booked=True)
    await world.drainer.drain_once()
    for call_id in seconds:
        assert await world.gate.resend_ending(call_id, "alice")
    await assert_booked(world, **seconds)


async def test_a_tombstone_goes_with_what_it_knows(world, own_valkey, monkeypatch):
    monkeypatch.setattr("billing.stores.redis.TOMBSTONE_S", -1)
    call = await world.call("c1")
    await world.pass_seconds()
    await world.hang_up(call)
    tag = f"{{cr:{world.gate.partition('alice')}}}"
    for key in ("done", "ends", "age"):
        assert own_valkey.command("EXISTS", f"{tag}:{key}") == b":0\r\n"
