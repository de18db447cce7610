"""The audit of the spend gate against the book, on a real server and a real database."""

import asyncio
import itertools

import msgspec
import pytest
import sqlalchemy as sa

from billing import reconcile
from billing.drain import Drainer
from billing.errors import StoreUnavailableError
from billing.ports import Closing, Opening, OpenResult, Tick
from billing.stores import gate_audit
from billing.stores.audit import audit
from billing.stores.gate_audit import INCOMPARABLE, audit_gate
from billing.stores.positions import SqlPositions
from billing.stores.redis import RedisSpendGate
from billing.stores.redis_client import connect, disconnect
from billing.stores.withdrawal import withdraw
from tests.billing.outbox_entries import closing, opening

PARTITIONS = 2


@pytest.fixture
async def gate(valkey_url, store):
    """A gate filled from the book of `store`."""
    redis = connect(valkey_url)
    gate = RedisSpendGate(redis, PARTITIONS, timeout_s=5)
    await fill(gate, store)
    yield gate
    await disconnect(redis)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(gate_audit, "COMPARISON_PAUSE_S", 0)


async def fill(gate, store):
    for partition in range(PARTITIONS):
        await gate.rebuild(partition, await store.partition_state(partition, PARTITIONS))


async def open_call(gate, call_id, want=80_000):
    detail = msgspec.json.encode(opening(call_id))
    outcome = await gate.open(Opening(call_id, "alice", "n1", 10_000, want, 500, detail))
    assert outcome.result is OpenResult.OPENED


async def tick(gate, call_id, second):
    claim = Tick(call_id, "alice", (second + 8) * 10_000, second)
    return await gate.tick(gate.partition("alice"), [claim])


async def close_call(gate, call_id, seconds):
    detail = msgspec.json.encode(closing(seconds))
    await gate.close(Closing(call_id, "alice", seconds * 10_000, seconds, detail))


async def findings(gate, engine):
    return await audit_gate(gate, engine, PARTITIONS)


async def test_what_waits_in_the_outbox_counts_as_booked_and_still_waits(gate, engine, store):
    await open_call(gate, "c1")
    await tick(gate, "c1", 2)
    await open_call(gate, "c2")
    await close_call(gate, "c2", 3)
    waiting = await gate.outbox_length()
    assert await findings(gate, engine) == []
    assert await gate.outbox_length() == waiting == 4
    assert await store.balance("alice") == 1_000_000
    assert await audit(engine) == []
    await Drainer(gate, store, PARTITIONS).drain_once()
    assert await findings(gate, engine) == []


async def test_each_damage_of_the_gate_is_found(gate, engine):
    await open_call(gate, "c1")
    partition = gate.partition("alice")
    redis, prefix = gate._redis, f"{{cr:{partition}}}:"
    await redis.hincrby(prefix + "bal", "alice", 1)
    assert await findings(gate, engine) == [f"{reconcile.BALANCES_DIFFER}: alice"]
    await redis.hincrby(prefix + "bal", "alice", -1)
    await redis.hset(prefix + "call", "c1", "80001:0")
    assert await findings(gate, engine) == [f"{reconcile.HOLDS_DIFFER}: c1"]
    await redis.hset(prefix + "call", "c1", "80000:0")
    await redis.sadd(prefix + "froz", "alice")
    assert await findings(gate, engine) == [f"{reconcile.FREEZE_DIFFERS}: alice"]
    await redis.srem(prefix + "froz", "alice")
    await redis.hincrby(prefix + "cseq", "alice", 1)
    assert await findings(gate, engine) == [f"{reconcile.CREDIT_UNKNOWN}: alice"]


async def test_a_credit_that_does_not_arrive_is_found(gate, engine, store):
    await store.add_credit("alice", 5, reference="late", kind="grant")
    assert await findings(gate, engine) == [f"{reconcile.CREDIT_MISSING}: alice"]


async def test_a_credit_that_is_on_its_way_is_none(gate, engine, store, monkeypatch):
    await store.add_credit("alice", 5, reference="late", kind="grant")

    async def bring(_seconds):
        await gate.credit("alice", 2, 5)

    monkeypatch.setattr(gate_audit.asyncio, "sleep", bring)
    assert await findings(gate, engine) == []


async def test_damage_of_the_book_is_found_in_mid_call(gate, engine, store):
    await open_call(gate, "c1")
    await Drainer(gate, store, PARTITIONS).drain_once()
    async with engine.begin() as connection:
        await connection.execute(
            sa.text("UPDATE calls SET spent_micros = spent_micros - 1 WHERE id = 'c1'")
        )
    assert await findings(gate, engine) == [f"{reconcile.HOLDS_DIFFER}: c1"]


async def test_a_call_that_only_one_side_has_is_found(gate, engine, store):
    partition = gate.partition("alice")
    await open_call(gate, "c1")
    await gate._redis.delete(gate._outbox(partition))
    assert await findings(gate, engine) == [
        f"{reconcile.BALANCES_DIFFER}: alice",
        f"{reconcile.CALL_UNKNOWN}: c1",
    ]


async def test_it_is_exact_while_calls_are_charged_and_booked(gate, engine, store):
    """Two short calls at any time, a drainer that never rests, and audits between them."""
    stop = asyncio.Event()

    async def charge(name):
        for n in itertools.count():
            call_id = f"{name}{n}"
            await open_call(gate, call_id, want=20_000)
            for second in (1, 2):
                await asyncio.sleep(0.01)
                await tick(gate, call_id, second)
            await asyncio.sleep(0.01)
            await close_call(gate, call_id, 0)
            await asyncio.sleep(0.01)
            if stop.is_set():
                return

    async def book():
        drainer = Drainer(gate, store, PARTITIONS)
        while not stop.is_set():
            try:
                await drainer.drain_once()
            except StoreUnavailableError:
                # The database was locked for longer than a drainer waits.
                continue

    working = [asyncio.create_task(work) for work in (charge("a"), charge("b"), book())]
    try:
        for _ in range(50):
            assert await findings(gate, engine) == []
    finally:
        stop.set()
        await asyncio.gather(*working)


async def test_an_outbox_that_is_too_long_is_a_finding(gate, engine, monkeypatch):
    monkeypatch.setattr(gate_audit, "ENTRIES_MAX", 2)
    for n in range(3):
        await open_call(gate, f"c{n}")
    partition = gate.partition("alice")
    assert await findings(gate, engine) == [f"{INCOMPARABLE}: partition {partition}"]


async def test_a_gate_that_never_rests_is_a_finding(gate, engine, monkeypatch):
    read, n = gate.snapshot, iter(range(1_000))

    async def snapshot(partition):
        state = await read(partition)
        if partition == gate.partition("alice"):
            await open_call(gate, f"c{next(n)}", want=10_000)
        return state

    monkeypatch.setattr(gate, "snapshot", snapshot)
    partition = gate.partition("alice")
    assert await findings(gate, engine) == [f"{INCOMPARABLE}: partition {partition}"]


async def test_an_empty_gate_is_no_finding_but_an_outage(gate, engine, store):
    partition = gate.partition("alice")
    before = await gate.balance("alice")
    for _ in range(2):
        await withdraw(gate._redis, partition)
    with pytest.raises(StoreUnavailableError):
        await findings(gate, engine)
    with pytest.raises(StoreUnavailableError):
        await gate.balance("alice")
    await fill(gate, store)
    assert await gate.balance("alice") == before
    assert await findings(gate, engine) == []


async def test_positions_are_what_a_gate_is_filled_from(gate, engine, store):
    await store.freeze("bob", True)
    await open_call(gate, "c1")
    await tick(gate, "c1", 2)
    await Drainer(gate, store, PARTITIONS).drain_once()
    found = [await SqlPositions(engine).read(p, PARTITIONS) for p in range(PARTITIONS)]
    assert [name for state in found for name in state.frozen] == ["bob"]
    (call,) = [call for state in found for call in state.open_calls]
    assert (call.call_id, call.account_id, call.node) == ("c1", "alice", "n1")
    assert (call.held_micros, call.seconds) == (100_000, 2)
    accounts = {name: rest for state in found for name, *rest in state.accounts}
    assert accounts == {"alice": [900_000, 1], "bob": [0, 0]}
