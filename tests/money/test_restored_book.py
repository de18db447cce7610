"""A book restored from an older copy: what the gate knows of calls is booked first."""

import asyncio

import pytest
import sqlalchemy as sa

from billing.stores import tables
from billing.stores.gate_audit import find_surpluses
from billing.stores.refill import SqlPositions
from database.errors import StoreUnavailableError
from gateway.charging import reconcile
from gateway.charging.recovery import Settler, fill_partition
from gateway.charging.refilling import CallResend
from tests.limits import limits
from tests.money.ledger_world import CENT, UNIT
from tests.money.test_nodes import Carrier
from tests.postgres import past_the_rules


@pytest.fixture
async def world(new_world, own_valkey):
    """Two nodes on a server of the test's own, and two accounts."""
    world = new_world(own_valkey.url, nodes=2)
    await world.open_accounts(alice=50 * UNIT, bob=50 * UNIT)
    return world


async def copy_of(world):
    """Return all rows of the book."""
    async with world.engine.connect() as connection:
        return {
            table: [dict(row) for row in (await connection.execute(sa.select(table))).mappings()]
            for table in tables.metadata.sorted_tables
        }


async def restore(world, copy):
    """Put a copy in the place of the book, past the triggers that keep it from being changed."""
    async with past_the_rules(world.engine) as connection:
        for table in reversed(tables.metadata.sorted_tables):
            await connection.execute(sa.delete(table))
        for table, rows in copy.items():
            if rows:
                await connection.execute(sa.insert(table), rows)


async def rebuild(world, *, gate=None, drain=None):
    """Do what `caller ledger rebuild` does; return what was lacking, and what is lacking still."""
    found, left = [], []
    gate, drain = gate or world.gate, drain or world.drainer.drain_once
    resend = CallResend(gate, world.records, SqlPositions(world.engine), drain)
    chosen = range(world.partitions)
    for partition in chosen:
        left += await resend.book_all(partition, world.partitions, found.extend)
    left += await find_surpluses(world.gate, world.engine, chosen, world.partitions)
    if not left:
        for partition in chosen:
            await gate.withdraw(partition)
            await drain()
            await fill_partition(gate, world.book, partition, world.partitions, drain)
    return found, left


async def a_day(world, *, drained):
    """Let calls begin and end before and after a copy is made, and return the copy."""
    accounts = ("alice", "bob")
    over = [await world.call(f"over-{of}", of) for of in accounts]
    ending = [await world.call(f"ending-{of}", of) for of in accounts]
    await world.pass_seconds(3)
    await world.hang_up(*over)
    await world.drainer.drain_once()
    copy = await copy_of(world)
    new = [await world.call(f"new-{of}", of, node=1) for of in accounts]
    await world.pass_seconds(4)
    await world.hang_up(*ending)
    await world.pass_seconds(2)
    await world.hang_up(*new)
    if drained:
        await world.drainer.drain_once()
    # The nodes are stopped, and with them goes what they would have told again.
    for node in world.nodes:
        node.closings._kept.clear()
    return copy


@pytest.mark.parametrize("drained", [True, False])
async def test_calls_that_ended_after_the_copy_are_booked_and_charged_once(world, drained):
    copy = await a_day(world, drained=drained)
    await restore(world, copy)
    found, left = await rebuild(world)
    assert left == []
    lost = {"ending-alice": (7, 7 * CENT), "ending-bob": (7, 7 * CENT)} | {
        "new-alice": (6, 6 * CENT),
        "new-bob": (6, 6 * CENT),
    }
    named = {one.call_id: (one.seconds, one.charged_micros) for one in found}
    assert named == (lost if drained else {})
    await world.assert_in_order()
    assert await world.gate.balance("alice") == 50 * UNIT - (3 + 7 + 6) * CENT
    record = await world.records.get("bob", "new-bob")
    assert (record.opened.destination, record.opened.node) == ("+15005551000", "n1")


async def test_the_same_copy_restored_again_and_again(world):
    """A filled gate still knows what it knew of the calls that are booked."""
    copy = await a_day(world, drained=True)
    for _ in range(3):
        await restore(world, copy)
        found, left = await rebuild(world)
        assert (len(found), left) == (4, [])
        await world.assert_in_order()
    assert await rebuild(world) == ([], [])
    await world.assert_in_order()


class Dying:
    """A gate that is asked so many things, and then its asker is killed."""

    def __init__(self, gate, life):
        self.gate, self.life = gate, life

    def __getattr__(self, name):
        if self.life == 0:
            raise asyncio.CancelledError
        self.life -= 1
        return getattr(self.gate, name)


async def test_a_rebuild_killed_at_any_point_is_finished_by_a_repetition(world):
    copy = await a_day(world, drained=True)
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


@pytest.mark.parametrize("after", [False, True])
async def test_a_rebuild_killed_as_it_books_is_finished_by_a_repetition(world, after):
    copy = await a_day(world, drained=True)
    await restore(world, copy)
    calls = 0

    async def dying():
        nonlocal calls
        calls += 1
        if after:
            await world.drainer.drain_once()
        raise asyncio.CancelledError

    for _ in range(2):
        with pytest.raises(asyncio.CancelledError):
            await rebuild(world, drain=dying)
    assert calls == 2
    assert (await rebuild(world))[1] == []
    await world.assert_in_order()


async def test_live_calls_of_a_dead_node_keep_what_they_have_confirmed(world):
    """One began before the copy and one after; no ended call says anything of them."""
    early = await world.call("early", node=1)
    await world.pass_seconds(2)
    await world.drainer.drain_once()
    copy = await copy_of(world)
    late = await world.call("late", "bob", node=1)
    await early.charge.name_carrier_call("CA1")
    await late.charge.name_carrier_call("CA2")
    await world.pass_seconds(5)
    await world.drainer.drain_once()
    before = await world.gate.open_calls()
    world.crash(1)
    await restore(world, copy)
    assert await rebuild(world) == ([], [])
    assert await world.gate.open_calls() == before
    assert await world.findings() == []
    carrier = Carrier()
    carrier.seconds = {"CA1": 60, "CA2": 60}
    settler = Settler(
        world.gate, world.records, carrier, world.drainer.drain_once, clock=world.date
    )
    assert await settler.settle(before) == []
    await world.drainer.drain_once()
    assert await world.gate.balance("alice") == 50 * UNIT - 7 * CENT
    assert await world.gate.balance("bob") == 50 * UNIT - 5 * CENT
    assert await world.findings() == []


async def test_an_ending_that_nobody_can_tell_stands_in_the_way(world, own_valkey):
    copy = await a_day(world, drained=True)
    await restore(world, copy)
    own_valkey.command("HDEL", f"{{cr:{world.gate.partition('alice')}}}:ends", "new-alice")
    balance = await world.gate.balance("alice")
    _, left = await rebuild(world)
    assert [(one.call_id, one.account_id, one.charged_micros) for one in left] == [
        ("new-alice", "", 6 * CENT)
    ]
    assert await world.gate.balance("alice") == balance, "nothing was filled"


async def test_a_book_that_is_away_is_filled_from_by_nobody(world):
    copy = await a_day(world, drained=True)
    await restore(world, copy)

    async def away():
        raise StoreUnavailableError("the book of record did not answer")

    with pytest.raises(StoreUnavailableError):
        await rebuild(world, drain=away)
    assert all([await world.gate.is_ready(p) for p in range(world.partitions)])


@pytest.mark.parametrize("opening_is_lost", [True, False])
async def test_nodes_find_what_outbox_and_dead_node_have_lost(
    world, own_valkey, monkeypatch, opening_is_lost
):
    """Both entries of a call, or its end alone; nobody who knew it lives."""
    monkeypatch.setattr(reconcile, "ENDING_AGE_S_MIN", 0)
    call = await world.call("c1", node=1)
    if not opening_is_lost:
        await world.drainer.drain_once()
    await world.pass_seconds(5)
    await world.hang_up(call)
    own_valkey.command("DEL", f"{{cr:{world.gate.partition('alice')}}}:led")
    world.nodes[1].closings._kept.clear()
    world.crash(1)
    await asyncio.gather(world.reconcile(), world.reconcile())
    await world.assert_in_order()
    record = await world.records.get("alice", "c1")
    assert (record.closed.seconds, record.cost_micros, record.opened.country) == (5, 5 * CENT, "US")


async def test_nodes_book_what_a_restored_book_lacks_once_it_is_back(world, monkeypatch):
    """They look again at all that ended, after an outage of the book."""
    monkeypatch.setattr(reconcile, "ENDING_AGE_S_MIN", 0)
    copy = await a_day(world, drained=True)
    await world.reconcile()
    await restore(world, copy)
    monkeypatch.setattr(world.reconciler, "_positions", Away())
    with pytest.raises(StoreUnavailableError):
        await world.reconciler.round()
    monkeypatch.undo()
    monkeypatch.setattr(reconcile, "ENDING_AGE_S_MIN", 0)
    await world.reconcile()
    await world.assert_in_order()


class Away:
    """A book that does not answer."""

    async def read(self, *_):
        raise StoreUnavailableError("the book of record did not answer")


async def test_a_call_opened_again_counts_under_its_caps(world, own_valkey):
    """A failover took the call, and its node is dead: the book says under which caps it was."""
    async with world.engine.begin() as connection:
        await connection.execute(
            sa.update(tables.accounts).values(day_cap_micros=20 * CENT, caps_counted_from=None)
        )
    call = await world.call("c1", node=1, limits=limits(day=20 * CENT))
    await world.pass_seconds(5)
    await world.drainer.drain_once()
    world.crash(1)
    held = await world.book.balance("alice") - 50 * UNIT
    tag = f"{{cr:{world.gate.partition('alice')}}}"
    for key, field in (("call", "c1"), ("own", "c1")):
        own_valkey.command("HDEL", f"{tag}:{key}", field)
    own_valkey.command("DEL", f"{tag}:caps", f"{tag}:used")
    own_valkey.command("HDEL", f"{tag}:meta", "n:alice", "b:alice")
    own_valkey.command("HINCRBY", f"{tag}:bal", "alice", str(-held))
    await world.reconcile()
    (opened,) = await world.gate.open_calls()
    assert (opened.seconds, opened.held_micros) == (5, -held)
    assert opened.cap_names == (f"account:alice:day:{call.opened.created_at:%Y-%m-%d}",)
    await world.drainer.drain_once()
    assert await world.findings() == []
