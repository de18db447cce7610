"""What mends a spend gate and settles lost calls, on real stores: Valkey and SQLite."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from structlog.testing import capture_logs

from billing.cdr import CallClosed, CallOpened
from billing.drain import Drainer
from billing.ports import CloseResult, Closing, Opening, PartitionState, Tick
from billing.rating import Rate
from billing.stores.audit import audit
from billing.stores.gate_audit import audit_gate
from billing.stores.positions import SqlPositions
from billing.stores.redis import RedisSpendGate
from billing.stores.redis_client import connect, disconnect
from billing.stores.sql import SqlCdrStore, SqlLedgerStore
from database.errors import StoreUnavailableError
from gateway.call.carrier_status import CarrierState, CarrierStatus
from gateway.cause import Cause
from gateway.charging import recovery
from gateway.charging.reconcile import ATTEMPTS_PER_ROUND, ROUNDS_PER_CYCLE, Reconciler
from gateway.charging.recovery import Settler
from gateway.errors import CarrierError
from gateway.stores.accounts import SqlAccountStore
from tests.gateway.stage import CENT

PARTITIONS = 4
CREDIT = 1_000 * CENT


AWAY = CarrierError("no answer", cause=Cause.NETWORK_OUT_OF_ORDER)


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
            *(self.gate, self.records, self.carrier, self.drain),
            stray=lambda *stray: self.strays.append(stray),
        )
        self.reconciler = Reconciler(
            self.gate,
            self.ledger,
            self.records,
            SqlPositions(engine),
            partitions=PARTITIONS,
            drain=self.drain,
        )

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
        first = Opening(
            *(call_id, "alice", node, price.cost(1), want, 10, detail),
            per_minute_micros=price.per_minute_micros,
        )
        await self.gate.open(first)

    async def use(self, seconds, call_id="c1"):
        tick = Tick(call_id, "alice", (seconds + 8) * CENT, seconds)
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


@pytest.fixture
async def books(valkey_url, sqlite_engine):
    redis = connect(valkey_url)
    books = Books(redis, sqlite_engine)
    await books.accounts.create_account("alice", "USD")
    await books.grant(CREDIT, "first")
    try:
        await books.fill()
        yield books
    finally:
        await disconnect(redis)


async def test_an_empty_gate_is_filled_once(books):
    assert await books.gate.balance("alice") == CREDIT
    assert await books.fill() == 0


async def test_only_the_partitions_that_lost_their_data_are_filled(books):
    partition = books.gate.partition("alice")
    await books.forget(partition)
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
    record = await books.ended()
    assert (record.cost_micros, record.closed.seconds) == (5 * CENT, 5)
    assert (record.closed.cause_name, record.closed.ended_by) == (
        *("NORMAL_TEMPORARY_FAILURE",),
        "gateway",
    )
    assert await books.ledger.balance("alice") == CREDIT - 5 * CENT


@pytest.mark.parametrize(
    ("status", "seconds", "charged_s"),
    [
        ("completed", 7, 5),
        ("completed", 2, 2),
        ("completed", 3600, 5),
        ("completed", None, 5),
        ("no_answer", 0, 0),
        ("cancelled", None, 0),
    ],
)
async def test_the_carrier_says_how_long_an_orphan_lasted(books, status, seconds, charged_s):
    """What it carried beyond the last confirmed second, after the node had gone, nobody heard."""
    await books.open()
    await books.use(5)
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    books.carrier.known["CA1"] = CarrierStatus("CA1", CarrierState(status), seconds)
    assert await books.settle() == 1
    record = await books.ended()
    assert (record.closed.seconds, record.cost_micros) == (charged_s, charged_s * CENT)
    assert (record.closed.carrier_call_id, record.closed.carrier_seconds) == ("CA1", seconds)
    await books.assert_agreed()


@pytest.mark.parametrize("is_named", [True, False])
async def test_a_settled_call_says_when_its_phone_was_answered(books, is_named):
    """As the carrier says; else as the confirmed seconds say, to a second and what they waited."""
    begun = datetime.now(UTC)
    await books.open()
    await books.use(5)
    if is_named:
        await books.gate.name_carrier_call("c1", "alice", "CA1")
        books.carrier.known["CA1"] = CarrierStatus(
            "CA1", CarrierState.COMPLETED, 60, answered_at=begun - timedelta(seconds=50)
        )
    await books.settle()
    closed = (await books.ended()).closed
    before_s = (begun - closed.answered_at).total_seconds()
    assert closed.seconds == 5
    assert before_s == 50 if is_named else 0 < before_s <= 6
    assert await audit(books.engine) == []


async def test_charged_seconds_lie_between_answer_and_end_whatever_the_carriers_clock_says(books):
    await books.open()
    await books.use(5)
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    ahead = datetime.now(UTC) + timedelta(seconds=90)
    books.carrier.known["CA1"] = CarrierStatus("CA1", CarrierState.COMPLETED, 5, answered_at=ahead)
    await books.settle()
    closed = (await books.ended()).closed
    assert closed.ended_at - closed.answered_at == timedelta(seconds=5)


async def test_an_answer_that_nobody_heard_is_told_as_the_carrier_says(books):
    await books.open()
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    at = datetime.now(UTC) - timedelta(seconds=9)
    books.carrier.known["CA1"] = CarrierStatus("CA1", CarrierState.COMPLETED, 9, answered_at=at)
    await books.settle()
    closed = (await books.ended()).closed
    assert (closed.seconds, closed.answered_at) == (0, at)


async def test_a_call_that_lives_at_the_carrier_is_ended_there(books):
    await books.open()
    await books.use(5)
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    books.carrier.known["CA1"] = CarrierStatus("CA1", CarrierState.ANSWERED)
    books.carrier.talked_s = 11
    await books.settle()
    assert books.carrier.known["CA1"].is_terminal
    closed = (await books.ended()).closed
    assert (closed.seconds, closed.carrier_seconds) == (5, 11)


async def test_an_orphan_takes_no_more_than_its_confirmed_seconds_of_what_is_left(books):
    await books.grant(12 * CENT - CREDIT, "spend")
    await recovery.bring_credits(books.gate, books.ledger, "alice")
    await books.open()
    await books.use(4)
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    books.carrier.known["CA1"] = CarrierStatus("CA1", CarrierState.COMPLETED, 15)
    await books.settle()
    record = await books.ended()
    assert (record.cost_micros, record.written_off_micros) == (4 * CENT, 0)
    assert await books.gate.balance("alice") == 8 * CENT
    await books.assert_agreed()


@pytest.mark.parametrize("trouble", [AWAY, "still in progress", "hangs"])
async def test_a_call_waits_while_its_carrier_does_not_say_it_ended(books, monkeypatch, trouble):
    monkeypatch.setattr(recovery, "CARRIER_TIMEOUT_S", 0.05)
    monkeypatch.setattr(recovery, "_DURATION_DELAYS_S", (0.0,))
    await books.open("named")
    await books.open("nameless")
    await books.use(5, "named")
    await books.gate.name_carrier_call("named", "alice", "CA1")
    books.carrier.known["CA1"] = CarrierStatus("CA1", CarrierState.ANSWERED)
    books.carrier.error = trouble if isinstance(trouble, CarrierError) else None
    books.carrier.hangs = trouble == "hangs"
    if trouble == "still in progress":
        monkeypatch.setattr(books.carrier, "hang_up", books.carrier.fetch)
    assert await books.settle() == 2
    (waiting,) = await books.gate.open_calls("n1")
    assert waiting.call_id == "named"
    assert books.strays == []
    assert await books.settler.settle([waiting], without_carrier=True) == []
    assert (await books.ended("named")).closed.seconds == 5
    assert books.strays == [("CA1", "named")], "it may ring on, and is ended all the same"


async def test_a_call_that_the_carrier_does_not_show_is_ended_and_waits(books, monkeypatch):
    """Twilio answers 404 for a call that was just placed."""

    async def ended_unseen(carrier_call_id):
        books.carrier.asked["ended"] += 1
        return CarrierStatus(carrier_call_id, CarrierState.UNKNOWN)

    monkeypatch.setattr(recovery, "_DURATION_DELAYS_S", (0.0, 0.01))
    monkeypatch.setattr(books.carrier, "hang_up", ended_unseen)
    await books.open()
    await books.use(5)
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    books.carrier.known["CA1"] = CarrierStatus("CA1", CarrierState.UNKNOWN)
    assert await books.settle() == 1
    (waiting,) = await books.gate.open_calls("n1")
    assert waiting.call_id == "c1"
    assert books.carrier.asked["ended"] == 2, "again: what is answered by 404 was not carried out"


async def test_the_start_of_a_node_waits_for_the_carrier_only_so_long(books, monkeypatch):
    monkeypatch.setattr(recovery, "START_TIMEOUT_S", 0.05)
    await books.open()
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    books.carrier.hangs = True
    with capture_logs() as logs:
        assert await books.settle() == 1
    assert "calls of an earlier run not settled yet" in [line["event"] for line in logs]
    assert len(await books.gate.open_calls("n1")) == 1


async def test_an_orphan_is_settled_once(books):
    await books.open()
    assert await books.settle() == 1
    assert await books.settle() == 0


async def test_settlements_that_race_charge_once(books):
    for n in range(10):
        await books.open(f"c{n}")
        await books.use(3, f"c{n}")
        await books.gate.name_carrier_call(f"c{n}", "alice", f"CA{n}")
        books.carrier.known[f"CA{n}"] = CarrierStatus(f"CA{n}", CarrierState.ANSWERED)
    books.carrier.talked_s = 4
    orphans = await books.gate.open_calls()
    rivals = [books.settler.settle(orphans) for _ in range(3)]
    assert await asyncio.gather(*rivals) == [[], [], []]
    assert await books.gate.balance("alice") == CREDIT - 30 * CENT
    outcome = await books.gate.tick(
        books.gate.partition("alice"), [Tick("c3", "alice", 13 * CENT, 5)]
    )
    assert outcome.closed == ["c3"], "a node that was only slow must learn it"
    await books.drain()
    assert await books.ledger.balance("alice") == CREDIT - 30 * CENT
    await books.assert_agreed()


async def test_an_orphan_that_has_ended_in_the_book_costs_what_the_book_says(books):
    """A gate that was rolled back by a failover has a call open again that it had settled."""
    await books.open()
    await books.use(3)
    await books.drain()
    await books.end_in_the_book_only(seconds=6)
    assert await books.settle() == 1
    assert await books.gate.balance("alice") == CREDIT - 6 * CENT
    assert (await books.ended()).cost_micros == 6 * CENT
    await books.assert_agreed()


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


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize(("status", "seconds"), [("completed", 1), ("completed", 70), ("busy", 0)])
async def test_a_phone_answered_while_its_node_was_dead_costs_nothing(
    books, status, seconds, is_known
):
    """Nobody is known to have been heard: no connect fee and no first minute either."""
    await books.open()
    await books.use(0)
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    books.carrier.known["CA1"] = CarrierStatus("CA1", CarrierState(status), seconds)
    if not is_known:
        await books.gate._redis.delete(books.gate._outbox(books.gate.partition("alice")))
    assert await books.settle() == 1
    assert await books.gate.balance("alice") == CREDIT
    record = await books.ended()
    assert (record.closed.seconds, record.cost_micros) == (0, 0)
    assert record.closed.carrier_seconds == seconds
    await books.assert_agreed()


async def test_a_call_without_a_record_costs_what_was_held(books):
    await books.open()
    await books.use(2)
    await books.gate._redis.delete(books.gate._outbox(books.gate.partition("alice")))
    await books.settle()
    assert await books.gate.balance("alice") == CREDIT - 10 * CENT


async def test_nothing_is_settled_while_the_book_is_away(books):
    async def fails():
        raise StoreUnavailableError("the book of record did not answer")

    await books.open()
    settler = Settler(books.gate, books.records, books.carrier, fails)
    with pytest.raises(StoreUnavailableError):
        await recovery.settle_own(settler, "n1")
    assert len(await books.gate.open_calls("n1")) == 1


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


async def cycle(books):
    """Compare every partition once."""
    for _ in range(ROUNDS_PER_CYCLE):
        await books.reconciler.round()


async def test_a_gate_that_agrees_is_left_alone(books):
    await books.open()
    await books.use(3)
    with capture_logs() as logs:
        await cycle(books)
    assert not logs
    await books.assert_agreed()


@pytest.mark.parametrize("times", [1, ATTEMPTS_PER_ROUND - 1])
async def test_a_gate_that_loses_its_data_while_it_is_filled_is_filled_again_at_once(books, times):
    rebuild, losses, fillings = books.gate.rebuild, [], []

    async def lose_what_was_filled(partition, state):
        filled = await rebuild(partition, state)
        if partition == PARTITIONS - 1 and len(losses) < times:
            losses.append(partition)
            await books.gate._redis.flushall()
        return filled

    books.gate.rebuild = lose_what_was_filled
    books.reconciler._on_filled = lambda: fillings.append(True)
    await books.gate._redis.flushall()
    await books.reconciler.round()
    assert len(fillings) == times + 1
    await books.assert_agreed()


async def test_a_store_that_is_away_is_asked_once_in_a_round(books):
    asked = []

    async def away(partition):
        asked.append(partition)
        raise StoreUnavailableError("away")

    books.gate.is_ready = away
    with pytest.raises(StoreUnavailableError):
        await books.reconciler.round()
    assert len(asked) == 2


async def test_an_empty_gate_is_filled_while_calls_go_on(books):
    await cycle(books)
    await books.open()
    await books.use(3)
    await books.drain()
    await books.gate._redis.flushall()
    with pytest.raises(StoreUnavailableError):
        await books.use(4)
    with capture_logs() as logs:
        await books.reconciler.round()
    told = [(line["event"], line["partitions"]) for line in logs]
    assert told == [("spend gate filled", PARTITIONS)]
    await books.use(5)
    assert await books.gate.balance("alice") == CREDIT - 13 * CENT
    await books.assert_agreed()


async def test_a_credit_that_did_not_arrive_is_brought(books):
    await books.grant(CENT, "late")
    await cycle(books)
    assert await books.gate.balance("alice") == CREDIT + CENT
    await books.assert_agreed()


@pytest.mark.parametrize("frozen", [True, False])
async def test_frozen_accounts_are_those_of_the_book(books, frozen):
    await books.gate.freeze("alice", not frozen)
    await books.ledger.freeze("alice", frozen)
    await cycle(books)
    snapshot = await books.gate.snapshot(books.gate.partition("alice"))
    assert list(snapshot.frozen) == ["alice"] * frozen


async def test_a_call_that_has_ended_in_the_book_ends_at_the_gate(books):
    await books.open()
    await books.use(3)
    await books.drain()
    await books.end_in_the_book_only(seconds=6)
    await cycle(books)
    assert await books.gate.open_calls() == []
    assert await books.gate.balance("alice") == CREDIT - 6 * CENT
    await books.assert_agreed()


async def test_a_call_that_the_gate_forgot_is_opened_again(books):
    """Its node may be gone, and nobody else would ever end it."""
    before = await books.gate.snapshot(books.gate.partition("alice"))
    await books.open()
    await books.gate.name_carrier_call("c1", "alice", "CA1")
    await books.use(3)
    await books.drain()
    partition = books.gate.partition("alice")
    await books.forget(partition)
    await books.gate.rebuild(partition, before)
    await books.ledger.freeze("alice", True)
    await cycle(books)
    (call,) = await books.gate.open_calls("n1")
    assert call.carrier_call_id == "CA1"
    assert (call.held_micros, call.seconds, call.per_minute_micros) == (11 * CENT, 3, 60 * CENT)
    await books.assert_agreed()


async def test_a_call_whose_end_waits_in_the_outbox_is_not_opened_again(books):
    await books.open()
    await books.drain()
    await books.close(seconds=3)
    await cycle(books)
    assert await books.gate.open_calls() == []
    assert (await books.ended()).cost_micros == 3 * CENT
    await books.assert_agreed()


async def test_a_partition_is_compared_once_a_cycle_and_all_after_an_outage(books, monkeypatch):
    compared = []

    async def read(partition, partitions):
        compared.append(partition)
        return await SqlPositions(books.engine).read(partition, partitions)

    monkeypatch.setattr(books.reconciler._positions, "read", read)
    await books.reconciler.round()
    assert compared == list(range(PARTITIONS))
    compared.clear()
    await books.reconciler.round()
    assert len(compared) == 1
    monkeypatch.setattr(books.gate, "is_ready", fails)
    with pytest.raises(StoreUnavailableError):
        await books.reconciler.round()
    monkeypatch.undo()
    monkeypatch.setattr(books.reconciler._positions, "read", read)
    compared.clear()
    await books.reconciler.round()
    assert sorted(compared) == list(range(PARTITIONS))


async def fails(*_):
    raise StoreUnavailableError("the spend gate refused or is away")
