"""A gate that lost its data and was filled from the book, before the book is an older copy."""

import asyncio

import pytest

from billing.ports import CallMemory
from gateway.charging.recovery import Settler, fill_gate
from tests.money.ledger_world import CENT, UNIT
from tests.money.test_nodes import Carrier
from tests.money.test_restored_book import Dying, a_day, copy_of, rebuild, restore


@pytest.fixture
async def world(new_world, own_valkey):
    """Two nodes on a server of the test's own, and two accounts."""
    world = new_world(own_valkey.url, nodes=2)
    await world.open_accounts(alice=50 * UNIT, bob=50 * UNIT)
    return world


async def lose_gate(world, own_valkey):
    """Empty the gate; a node fills it from the book."""
    await world.drainer.drain_once()
    own_valkey.command("FLUSHALL")
    await world.reconcile()


@pytest.mark.parametrize("times", [1, 2])
async def test_calls_booked_before_a_flush_are_told_to_an_older_book(world, own_valkey, times):
    copy = await a_day(world, drained=True)
    for _ in range(times):
        await lose_gate(world, own_valkey)
    assert await world.findings() == []
    await restore(world, copy)
    found, left = await rebuild(world)
    assert left == []
    assert {one.call_id: (one.account_id, one.seconds) for one in found} == {
        f"{kind}-{of}": (of, seconds)
        for kind, seconds in (("ending", 7), ("new", 6))
        for of in ("alice", "bob")
    }
    await world.assert_in_order()
    assert await world.gate.balance("alice") == 50 * UNIT - (3 + 7 + 6) * CENT
    record = await world.records.get("bob", "new-bob")
    assert (record.opened.destination, record.opened.node) == ("+15005551000", "n1")


async def test_live_calls_opened_before_a_flush_are_told_to_an_older_book(world, own_valkey):
    copy = await copy_of(world)
    await world.call("c1", node=1)
    await world.pass_seconds(5)
    await lose_gate(world, own_valkey)
    world.crash(1)
    await restore(world, copy)
    assert await rebuild(world) == ([], [])
    assert await world.findings() == []
    record = await world.records.get("alice", "c1")
    assert (record.opened.destination, record.used_s) == ("+15005551000", 5)


async def test_a_filling_killed_at_each_request_is_finished_by_the_next(world, own_valkey):
    copy = await a_day(world, drained=True)
    newest = await copy_of(world)

    async def fill(gate):
        await fill_gate(gate, world.book, world.partitions, world.drainer.drain_once)

    # It asks which partitions are filled, and fills each.
    requests = 1 + world.partitions
    for life in range(requests):
        own_valkey.command("FLUSHALL")
        with pytest.raises(asyncio.CancelledError):
            await fill(Dying(world.gate, life))
        await fill(world.gate)
        assert await world.findings() == []
        await restore(world, copy)
        assert (await rebuild(world))[1] == []
        await world.assert_in_order()
        await restore(world, newest)
    own_valkey.command("FLUSHALL")
    await fill(Dying(world.gate, requests))
    assert await world.findings() == []


async def test_a_filling_killed_between_its_notes_and_its_end_is_finished(world, own_valkey):
    """What the book knows of calls is noted in the gate before the gate is filled."""
    copy = await a_day(world, drained=True)
    run, notes = world.gate._run, 0

    async def dying(script, *arguments, **options):
        nonlocal notes
        if script is world.gate._rebuild:
            raise asyncio.CancelledError
        notes += script is world.gate._remember
        return await run(script, *arguments, **options)

    own_valkey.command("FLUSHALL")
    world.gate._run = dying
    for _ in range(2):
        for partition in range(world.partitions):
            state = await world.book.partition_state(partition, world.partitions)
            with pytest.raises(asyncio.CancelledError):
                await world.gate.rebuild(partition, state)
    world.gate._run = run
    assert notes
    await lose_nothing_more(world)
    await restore(world, copy)
    assert (await rebuild(world))[1] == []
    await world.assert_in_order()


async def lose_nothing_more(world):
    await fill_gate(world.gate, world.book, world.partitions, world.drainer.drain_once)
    assert await world.findings() == []


async def test_a_rebuild_killed_at_each_request_is_finished_by_a_repetition(world, own_valkey):
    copy = await a_day(world, drained=True)
    await lose_gate(world, own_valkey)
    await restore(world, copy)
    for life in range(100):
        try:
            await rebuild(world, gate=Dying(world.gate, life))
        except asyncio.CancelledError:
            continue
        break
    assert life > 10
    assert await rebuild(world) == ([], [])
    await world.assert_in_order()


async def test_calls_in_every_state_and_a_node_that_lives_through_it(world, own_valkey):
    """Of alice on the node that lives, of bob on one that is killed."""
    calls = {}
    for of, node in (("alice", 0), ("bob", 1)):
        calls[of] = [await world.call(f"{of}-{n}", of, node=node) for n in range(4)]
    placed = {of: await world.call(f"placed-{of}", of, is_heard=False) for of in calls}
    await world.pass_seconds(2)
    for of in calls:
        await world.hang_up(calls[of][0])
    await world.drainer.drain_once()
    copy = await copy_of(world)
    later = {of: await world.call(f"later-{of}", of) for of in calls}
    await world.pass_seconds(2)
    for of in calls:
        await world.hang_up(calls[of][1], later[of])
    await lose_gate(world, own_valkey)
    await world.pass_seconds(2)
    for of in calls:
        await world.hang_up(calls[of][2])
    # Ended, and not booked: the node that lives knows it, and the gate.
    await restore(world, copy)
    found, left = await rebuild(world)
    assert left == []
    assert {"alice-1", "bob-1", "later-alice", "later-bob"} <= {one.call_id for one in found}
    await world.pass_seconds()
    world.crash(1)
    await world.hang_up(calls["alice"][3], *placed.values())
    orphans = [one for one in await world.gate.open_calls() if one.account_id == "bob"]
    assert [one.call_id for one in orphans] == ["bob-3"]
    settler = Settler(
        world.gate, world.records, Carrier(), world.drainer.drain_once, clock=world.date
    )
    assert await settler.settle(orphans) == []
    await asyncio.gather(*(node.closings.round() for node in world.nodes))
    await world.drainer.drain_once()
    await asyncio.gather(*(node.closings.round() for node in world.nodes))
    # Charged otherwise than for their time: one was settled for its node, of two nobody heard.
    odd = {"bob-3", "placed-alice", "placed-bob"}
    world.calls = [call for call in world.calls if call.call_id not in odd]
    await world.assert_in_order()
    for of in calls:
        record = await world.records.get(of, f"placed-{of}")
        assert (record.closed.seconds, record.cost_micros) == (0, 0)
    record = await world.records.get("bob", "bob-3")
    assert (record.closed.seconds, record.cost_micros) == (orphans[0].seconds, 7 * CENT)


async def test_a_gate_emptied_after_the_copy_came_back_has_no_more_than_the_copy(world, own_valkey):
    """What happened in between nobody knows; both sides agree, and go on."""
    copy = await a_day(world, drained=True)
    await restore(world, copy)
    own_valkey.command("FLUSHALL")
    assert await rebuild(world) == ([], [])
    assert await world.findings() == []
    (open_alice, open_bob) = sorted(one.call_id for one in await world.gate.open_calls())
    assert (open_alice, open_bob) == ("ending-alice", "ending-bob")


async def test_an_ended_call_is_remembered_for_a_day_from_its_end(world, own_valkey):
    """Whether it was closed at the gate, or is told to it; a clock that is far off makes no age."""
    tag, partition = f"{{cr:{world.gate.partition('alice')}}}", world.gate.partition("alice")
    now_s = int(own_valkey.command("TIME").split(b"\r\n")[2])
    ended_s = {"c1": now_s - 3_600, "c2": now_s + 3_600, "c3": now_s - 48 * 3_600}
    state = await world.book.partition_state(partition, world.partitions)
    state.memories.extend(
        CallMemory(call, "alice", closed=b"{}", ended_s=at) for call, at in ended_s.items()
    )
    state.closed_calls.extend((call, 0) for call in ended_s)
    for _ in range(2):
        await world.gate.withdraw(partition)
        assert await world.gate.rebuild(partition, state)
        ages = {
            call: int(own_valkey.command("ZSCORE", f"{tag}:age", call).split(b"\r\n")[1])
            for call in ended_s
        }
        assert ages["c1"] == now_s - 3_600
        assert 0 <= min(ages["c2"], ages["c3"]) - now_s < 600
