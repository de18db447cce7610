"""A spend gate and a book of record on real stores, Valkey and SQLite, with a carrier beside."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime

import msgspec

from billing.cdr import CallClosed, CallOpened
from billing.drain import Drainer
from billing.ports import CloseResult, Closing, Opening, Tick
from billing.rating import Rate
from billing.stores.gate_audit import audit_gate
from billing.stores.redis import RedisSpendGate
from billing.stores.refill import SqlPositions
from billing.stores.sql import SqlCdrStore, SqlLedgerStore
from gateway.call.carrier_status import CarrierState, CarrierStatus
from gateway.charging import recovery
from gateway.charging.reconcile import Reconciler
from gateway.charging.recovery import Settler
from gateway.errors import CarrierError
from gateway.stores.accounts import SqlAccountStore
from tests.gateway.stage import CENT

PARTITIONS = 4
CREDIT = 1_000 * CENT


class Carrier:
    """The part of a carrier that knows how calls ended."""

    def __init__(self):
        self.known: dict[str, CarrierStatus] = {}
        self.talked_s = 0
        """What a call has lasted that is ended by us."""
        self.error: CarrierError | None = None
        self.hangs = False
        self.asked = Counter()

    async def fetch(self, carrier_call_id):
        self.asked[carrier_call_id] += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return self.known[carrier_call_id]

    async def hang_up(self, carrier_call_id):
        # As Twilio does: the duration is known a moment after the end.
        self.known[carrier_call_id] = CarrierStatus(
            carrier_call_id, CarrierState.COMPLETED, self.talked_s
        )
        return CarrierStatus(carrier_call_id, CarrierState.COMPLETED)


class Books:
    """A spend gate and a book of record that share one account."""

    def __init__(self, redis, engine):
        self.engine = engine
        self.carrier = Carrier()
        self.gate = RedisSpendGate(redis, PARTITIONS, timeout_s=5)
        self.ledger = SqlLedgerStore(engine)
        self.records = SqlCdrStore(engine)
        self.accounts = SqlAccountStore(engine)
        self.strays = []
        self.settler = Settler(
            self.gate,
            self.records,
            self.carrier,
            self.drain,
            end_unmatched=lambda *ended: self.strays.append(ended),
        )
        self.reconciler = self.new_reconciler()

    def new_reconciler(self):
        """Return that of a node which has compared nothing yet."""
        return Reconciler(
            self.gate,
            self.ledger,
            self.records,
            SqlPositions(self.engine),
            partitions=PARTITIONS,
            drain=self.drain,
        )

    async def grant(self, micros, reference):
        await self.ledger.add_credit("alice", micros, reference=reference, kind="grant")

    async def open(self, call_id="c1", node="n1", began_at=None, **rate):
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
            created_at=began_at or datetime.now(UTC),
        )
        detail = msgspec.json.encode(opened)
        want = price.cost(8)
        first = Opening(
            call_id,
            "alice",
            node,
            price.cost(1),
            want,
            10,
            detail,
            per_minute_micros=price.per_minute_micros,
        )
        await self.gate.open(first)

    async def use(self, seconds, call_id="c1", answered_at=None):
        answered_ms = round(answered_at.timestamp() * 1000) if answered_at else 0
        tick = Tick(call_id, "alice", (seconds + 8) * CENT, seconds, answered_ms=answered_ms)
        await self.gate.tick(self.gate.partition("alice"), [tick])

    async def close(self, seconds, call_id="c1"):
        detail = CallClosed(
            ended_at=datetime.now(UTC),
            seconds=seconds,
            cause=16,
            cause_name="NORMAL_CLEARING",
            ended_by="caller",
        )
        closing = Closing(call_id, "alice", seconds * CENT, seconds, msgspec.json.encode(detail))
        assert (await self.gate.close(closing)).result is CloseResult.CLOSED

    async def end_in_the_book_only(self, seconds):
        """Close the call at the gate, book it, and roll the gate back to before."""
        partition = self.gate.partition("alice")
        before = await self.gate.snapshot(partition)
        await self.close(seconds)
        await self.drain()
        await self.forget(partition)
        await self.gate.rebuild(partition, before)

    async def forget(self, partition):
        """Empty a partition but for its outbox, by which an older copy would be known."""
        keys = set(self.gate._keys[partition]) - {self.gate._outbox(partition)}
        await self.gate._redis.delete(*keys)

    async def lose_outbox(self):
        """Lose what the gate has told and the book has not heard."""
        outbox = self.gate._outbox(self.gate.partition("alice"))
        # Its entries, not the whole of it: that would look like an older copy of the gate.
        entries = await self.gate._redis.xrange(outbox)
        await self.gate._redis.xdel(outbox, *(entry_id for entry_id, _ in entries))

    async def drain(self):
        return await Drainer(self.gate, self.ledger, PARTITIONS).drain_once()

    async def fill(self):
        return await recovery.fill_gate(self.gate, self.ledger, PARTITIONS, self.drain)

    async def settle(self):
        return await recovery.settle_own(self.settler, "n1")

    async def ended(self, call_id="c1"):
        """Return the record of a call that has ended, once it is booked."""
        await self.drain()
        record = await self.records.get("alice", call_id)
        assert isinstance(record.closed, CallClosed)
        return record

    async def assert_agreed(self):
        assert await audit_gate(self.gate, self.engine, PARTITIONS) == []
