"""Calls that went wrong are refunded as their ends are booked: once and with a reason."""

from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from billing.cdr import CallClosed
from billing.drain import Drainer
from billing.ports import Closing, Opening, PartitionState
from billing.stores import tables
from billing.stores.audit import audit
from billing.stores.redis import RedisSpendGate, connect, disconnect
from billing.stores.sql import SqlLedgerStore
from database.errors import StoreUnavailableError
from gateway.charging.call_refunds import CallRefunds
from tests.billing.outbox_entries import START, opening

PRICE = 30_000
CREDIT = 1_000_000


class World:
    """A gate, a book and a drainer that refunds."""

    def __init__(self, gate, engine, per_day_max):
        self.gate = gate
        self.engine = engine
        self.now = START
        self.ledger = SqlLedgerStore(engine, clock=lambda: self.now)
        self.events = []
        refunds = CallRefunds(
            self.ledger,
            gate,
            short_call_s=0,
            per_day_max=per_day_max,
            notify=lambda name, data: self.events.append((name, data)),
            clock=lambda: self.now,
        )
        self.on_booked = refunds.on_booked
        self.drainer = Drainer(gate, self.ledger, gate.partitions, self.on_booked)

    async def end_call(self, call_id, ended_by="gateway", seconds=3):
        detail = msgspec.json.encode(opening(call_id, "alice"))
        await self.gate.open(Opening(call_id, "alice", "n1", 1, 80_000, 50, detail))
        closed = CallClosed(
            answered_at=START,
            ended_at=START + timedelta(seconds=seconds),
            seconds=seconds,
            cause=41,
            cause_name="NORMAL_TEMPORARY_FAILURE",
            ended_by=ended_by,
        )
        await self.gate.close(
            Closing(call_id, "alice", PRICE, seconds, msgspec.json.encode(closed))
        )

    async def refunds(self):
        transfers = tables.transfers.c
        async with self.engine.connect() as connection:
            rows = await connection.execute(
                sa.select(transfers.call_id, transfers.micros, transfers.reason, transfers.source)
                .where(transfers.kind == "call-refund")
                .order_by(transfers.call_id)
            )
            return [tuple(row) for row in rows]


@pytest.fixture
async def make_world(engine, valkey_url):
    redis = connect(valkey_url)

    async def make(per_day_max=5):
        gate = RedisSpendGate(redis, 4, timeout_s=5)
        async with engine.begin() as connection:
            row = tables.new_account("alice", "USD", START)
            await connection.execute(sa.insert(tables.accounts), [row])
        world = World(gate, engine, per_day_max)
        await world.ledger.add_credit("alice", CREDIT, reference="seed", kind="grant")
        for partition in range(4):
            await gate.rebuild(partition, PartitionState())
        await gate.credit("alice", 1, CREDIT)
        return world

    yield make
    await disconnect(redis)


async def test_a_call_cut_off_by_us_is_paid_back(make_world):
    world = await make_world()
    await world.end_call("c1")
    await world.end_call("c2", ended_by="caller")
    await world.drainer.drain_once()
    reason = "The call was cut off by a fault on our side."
    assert await world.refunds() == [("c1", PRICE, reason, "revenue")]
    assert await world.gate.balance("alice") == CREDIT - PRICE
    assert await world.ledger.balance("alice") == CREDIT - PRICE
    assert await audit(world.engine) == []
    assert [(name, data["call_id"], data["rule"]) for name, data in world.events] == [
        ("call.refunded", "c1", "our_fault")
    ]


async def test_entries_that_are_booked_again_refund_once(make_world):
    world = await make_world()
    await world.end_call("c1")
    partition = world.gate.partition("alice")
    entries = await world.gate.read_outbox(partition, 10)
    for _ in range(3):
        await world.ledger.apply_outbox(partition, entries)
        await world.on_booked(entries)
    assert len(await world.refunds()) == len(world.events) == 1
    assert await world.gate.balance("alice") == CREDIT


async def test_an_account_is_refunded_so_often_a_day(make_world):
    world = await make_world(per_day_max=2)
    for n in range(3):
        await world.end_call(f"c{n}")
    await world.drainer.drain_once()
    assert len(await world.refunds()) == 2
    world.now += timedelta(hours=25)
    await world.end_call("c9")
    await world.drainer.drain_once()
    assert [row[0] for row in await world.refunds()] == ["c0", "c1", "c9"]


async def test_none_at_all_where_they_are_switched_off(make_world):
    world = await make_world(per_day_max=0)
    await world.end_call("c1")
    await world.drainer.drain_once()
    assert await world.refunds() == []


async def test_an_entry_stays_until_its_refund_is_booked(make_world, monkeypatch):
    world = await make_world()
    await world.end_call("c1")

    async def away(*_args, **_options):
        raise StoreUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "add_credit", away)
        with pytest.raises(StoreUnavailableError):
            await world.drainer.drain_once()
    assert await world.refunds() == []
    await world.drainer.drain_once()
    assert len(await world.refunds()) == 1


async def test_a_gate_that_is_being_filled_does_not_hold_up_the_book(make_world):
    world = await make_world()
    await world.end_call("c1")
    partition = world.gate.partition("alice")
    entries = await world.gate.read_outbox(partition, 10)
    await world.gate.trim_outbox(partition, [entry.entry_id for entry in entries])
    await world.gate.withdraw(partition)
    await world.ledger.apply_outbox(partition, entries)
    await world.on_booked(entries)
    assert len(await world.refunds()) == 1
    await world.gate.rebuild(partition, await world.ledger.partition_state(partition, 4))
    assert await world.gate.balance("alice") == CREDIT


async def test_a_book_that_lacks_credits_holds_up_no_bookings(make_world):
    world = await make_world()
    careful = SqlLedgerStore(world.engine, gate_sequence=world.gate.credit_sequence)
    refunds = CallRefunds(
        careful, world.gate, short_call_s=0, per_day_max=5, notify=lambda name, data: None
    )
    world.drainer = Drainer(world.gate, world.ledger, world.gate.partitions, refunds.on_booked)
    await world.gate.credit("alice", 2, 5)
    await world.end_call("c1")
    assert await world.drainer.drain_once() == 2
    assert await world.refunds() == []
    assert await world.gate.outbox_length() == 0
