"""A gate that lost its data and was filled from the book, before the book is an older copy."""

import pytest

from tests.money.ledger_world import CENT, UNIT
from tests.money.test_restored_book import a_day, copy_of, rebuild, restore


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
