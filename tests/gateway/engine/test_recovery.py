"""What a node settles before it takes calls, on real stores: Valkey and SQLite."""

from datetime import UTC, datetime

import msgspec
import pytest

from billing.cdr import CallClosed, CallOpened
from billing.drain import Drainer
from billing.ports import Opening, PartitionState, Tick
from billing.rating import Rate
from billing.stores.database import create_engine
from billing.stores.migrations import migrate
from billing.stores.redis import RedisSpendGate
from billing.stores.redis_client import connect, disconnect
from billing.stores.sql import SqlCdrStore, SqlLedgerStore
from gateway.engine import recovery
from gateway.stores.accounts import SqlAccountStore
from tests.gateway.engine.stage import CENT
from tests.valkey import valkey_server, valkey_url

__all__ = ["valkey_server", "valkey_url"]

PARTITIONS = 4
CREDIT = 1_000 * CENT


class Books:
    """A spend gate and a book of record that share one account."""

    def __init__(self, redis, engine):
        self.gate = RedisSpendGate(redis, PARTITIONS, timeout_s=5)
        self.ledger = SqlLedgerStore(engine)
        self.records = SqlCdrStore(engine)
        self.accounts = SqlAccountStore(engine)

    async def grant(self, micros, reference):
        await self.ledger.add_credit("alice", micros, reference=reference, kind="grant")

    async def open(self, call_id="c1", node="n1", **rate):
        price = Rate(**{"per_minute_micros": 60 * CENT, **rate})
        opened = CallOpened(
            call_id=call_id,
            account_id="alice",
            node=node,
            destination="+15005551000",
            country="US",
            codec="pcmu",
            origin="",
            currency="USD",
            rate=price.to_json(),
            created_at=datetime.now(UTC),
        )
        detail = msgspec.json.encode(opened)
        want = price.cost(8)
        await self.gate.open(Opening(call_id, "alice", node, price.cost(1), want, 10, detail))

    async def use(self, seconds, call_id="c1"):
        tick = Tick(call_id, "alice", (seconds + 8) * CENT, seconds)
        await self.gate.tick(self.gate.partition("alice"), [tick])

    async def drain(self):
        return await Drainer(self.gate, self.ledger, PARTITIONS).drain_once()

    async def fill(self):
        return await recovery.fill_gate(self.gate, self.ledger, PARTITIONS, self.drain)

    async def settle(self):
        return await recovery.settle_orphans(self.gate, self.records, "n1", self.drain)


@pytest.fixture
async def books(valkey_url, tmp_path):
    redis, engine = connect(valkey_url), create_engine(f"sqlite:///{tmp_path / 'book.db'}")
    await migrate(engine)
    books = Books(redis, engine)
    await books.accounts.create_account("alice", "USD")
    await books.grant(CREDIT, "first")
    try:
        await books.fill()
        yield books
    finally:
        await disconnect(redis)
        await engine.dispose()


async def test_an_empty_gate_is_filled_once(books):
    assert await books.gate.balance("alice") == CREDIT
    assert await books.fill() == 0


async def test_only_the_partitions_that_lost_their_data_are_filled(books):
    partition = books.gate.partition("alice")
    await books.gate._redis.delete(*books.gate._keys[partition])
    assert await books.fill() == 1
    assert await books.gate.balance("alice") == CREDIT


async def test_what_waits_in_the_outbox_is_booked_before_a_gate_is_filled(books):
    """A partition that lost its data but not its outbox would otherwise forget the call."""
    await books.open()
    partition = books.gate.partition("alice")
    outbox = books.gate._outbox(partition)
    kept = [key for key in books.gate._keys[partition] if key != outbox]
    await books.gate._redis.delete(*kept)
    assert await books.fill() == 1
    assert await books.gate.balance("alice") == CREDIT - 8 * CENT


async def test_credits_are_brought_once_and_in_order(books):
    for n in range(3):
        await books.grant(CENT, f"more-{n}")
    await recovery.bring_credits(books.gate, books.ledger, "alice")
    await recovery.bring_credits(books.gate, books.ledger, "alice")
    assert await books.gate.balance("alice") == CREDIT + 3 * CENT


async def test_an_orphan_is_charged_for_its_confirmed_seconds(books):
    await books.open()
    await books.use(5)
    await books.drain()
    assert await books.settle() == 1
    assert await books.gate.balance("alice") == CREDIT - 5 * CENT
    await books.drain()
    record = await books.records.get("alice", "c1")
    assert isinstance(record.closed, CallClosed)
    assert (record.cost_micros, record.closed.seconds) == (5 * CENT, 5)
    assert (record.closed.cause_name, record.closed.ended_by) == (
        *("NORMAL_TEMPORARY_FAILURE",),
        "gateway",
    )
    assert await books.ledger.balance("alice") == CREDIT - 5 * CENT


async def test_an_orphan_is_settled_once(books):
    await books.open()
    assert await books.settle() == 1
    assert await books.settle() == 0


async def test_an_orphan_that_was_never_answered_costs_nothing(books):
    await books.open(connect_fee_micros=CENT)
    await books.drain()
    await books.settle()
    assert await books.gate.balance("alice") == CREDIT


async def test_a_call_that_the_book_does_not_know_yet_is_charged_like_any_other(books):
    """It was opened in the last moment, or the book was away until now."""
    await books.open()
    await books.use(2)
    await books.settle()
    assert await books.gate.balance("alice") == CREDIT - 2 * CENT


async def test_calls_of_other_nodes_are_left_alone(books):
    await books.open("c1", node="n2")
    assert await books.settle() == 0
    assert len(await books.gate.open_calls("n2")) == 1


async def test_a_price_beyond_the_hold_is_cut_to_it(books):
    """Rounding up to an increment must not take what was never held."""
    await books.open(first_s=60, next_s=60)
    await books.gate.tick(books.gate.partition("alice"), [Tick("c1", "alice", 60 * CENT, 61)])
    await books.drain()
    await books.settle()
    assert await books.gate.balance("alice") == CREDIT - 60 * CENT


async def test_a_gate_filled_from_the_book_knows_its_open_calls(books):
    await books.open()
    await books.use(3)
    await books.drain()
    await books.gate._redis.flushall()
    assert await books.fill() == PARTITIONS
    assert await books.settle() == 1
    assert await books.gate.balance("alice") == CREDIT - 3 * CENT
    assert await books.gate.rebuild(0, PartitionState()) is False
