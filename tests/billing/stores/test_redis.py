"""The spend gate on a real Valkey: the contract, and what only a server can do to it."""

import asyncio
import time

import pytest

from billing.errors import StoreUnavailableError
from billing.ports import CloseResult, OpenResult, PartitionState
from billing.stores import redis as redis_store
from billing.stores.redis import RedisSpendGate, connect, disconnect
from tests.billing.conftest import fill
from tests.billing.spend_gate_contract import (
    CENT,
    CENT_A_SECOND,
    UNIT,
    S,
    SpendGateContract,
    charge,
    closing,
    open_meters,
    opening,
    tick,
)


class TestRedisSpendGate(SpendGateContract):
    pass


@pytest.fixture
async def own(own_valkey):
    """A gate on a server of the test's own, and the server."""
    client = connect(own_valkey.url)
    gate = RedisSpendGate(client, timeout_s=5)
    await fill(gate)
    yield gate, own_valkey
    await disconnect(client)


def key_of(gate, name):
    return f"{{cr:{gate.partition('alice')}}}:{name}"


async def test_a_killed_server_loses_nothing_and_calls_outlive_it(own):
    """The horizon bridges five seconds without a server; then every cent is where it was."""
    gate, server = own
    meters = await open_meters(gate, 5, "alice")
    for second in range(1, 20):
        meters, _ = await charge(gate, meters, second * S)
    before = await gate.balance("alice")
    server.kill()
    for second in range(20, 25):
        ticks = [meter.tick(second * S) for meter in meters]
        with pytest.raises(StoreUnavailableError):
            await gate.tick(gate.partition("alice"), ticks)
        for meter in meters:
            meter.unavailable(second * S)
            assert meter.cut_off_ns > 25 * S
    server.start()
    assert await gate.balance("alice") == before
    meters, _ = await charge(gate, meters, 25 * S)
    for meter in meters:
        seconds, micros = meter.final(30 * S)
        await gate.close(closing(meter.call_id, micros, seconds))
    assert await gate.balance("alice") == 10 * UNIT - 5 * CENT_A_SECOND.cost(30)


async def test_a_minute_without_a_server_costs_at_most_the_grace(own):
    gate, server = own
    await gate.credit("bob", 1, 7 * CENT)
    (alice,), (bob,) = await open_meters(gate, 1, "alice"), await open_meters(gate, 1, "bob")
    for second in (1, 2, 3):
        await charge(gate, [alice], second * S)
    server.kill()
    for second in range(4, 60):
        alice.unavailable(second * S)
        bob.unavailable(second * S)
    assert alice.final(60 * S) == (3 + 8 + 6, 17 * CENT)
    assert bob.final(60 * S) == (7, 7 * CENT)
    server.start()
    for meter in (alice, bob):
        seconds, micros = meter.final(60 * S)
        closed = await gate.close(closing(meter.call_id, micros, seconds, meter.account_id))
        assert (closed.charged_micros, closed.written_off_micros) == (micros, 0)
    assert await gate.balance("alice") == 10 * UNIT - 17 * CENT
    assert await gate.balance("bob") == 0


async def test_a_frozen_server_is_given_up_in_time_and_answers_do_not_mix(own):
    """A request given up must not leave its answer to the next one."""
    gate, server = own
    await gate.open(opening())
    client = connect(server.url)
    hasty = RedisSpendGate(client, timeout_s=0.2)
    server.pause()
    started = time.monotonic()
    for attempt in (hasty.tick(7, [tick(9 * CENT, 1)]), hasty.close(closing())):
        with pytest.raises(StoreUnavailableError):
            await attempt
    assert time.monotonic() - started < 2
    server.resume()
    patient = RedisSpendGate(client, timeout_s=5)
    balances = [patient.balance(name) for name in ("nobody", "alice") * 8]
    assert (await asyncio.gather(*balances))[::2] == [0] * 8
    await disconnect(client)
    # What was given up may still have happened, or not; the next word settles it.
    assert (await gate.close(closing())).charged_micros == 3 * CENT
    assert await gate.balance("alice") == 10 * UNIT - 3 * CENT


async def test_dead_pooled_connections_are_replaced(own):
    gate, server = own
    await asyncio.gather(*(gate.balance("alice") for _ in range(16)))
    server.kill()
    server.start()
    assert await asyncio.gather(*(gate.balance("alice") for _ in range(16))) == [10 * UNIT] * 16


async def test_a_flushed_server_refuses_until_it_is_rebuilt_and_live_calls_go_on(own):
    gate, server = own
    partition = gate.partition("alice")
    meters = await open_meters(gate, 3, "alice")
    for second in range(1, 10):
        meters, _ = await charge(gate, meters, second * S)
    held = [(m.call_id, "alice", 16 * CENT, 8, "n1") for m in meters]  # the book is a second behind
    server.command("FLUSHALL")
    with pytest.raises(StoreUnavailableError):
        await charge(gate, meters, 10 * S)
    state = PartitionState([("alice", 10 * UNIT - 3 * 16 * CENT, 1)], held)
    assert await gate.rebuild(partition, state)
    meters, _ = await charge(gate, meters, 11 * S)
    for meter in meters:
        seconds, micros = meter.final(15 * S)
        await gate.close(closing(meter.call_id, micros, seconds))
    assert await gate.balance("alice") == 10 * UNIT - 3 * 15 * CENT


async def test_a_partition_is_not_rebuilt_over_an_outbox(own):
    gate, server = own
    partition = gate.partition("alice")
    await gate.open(opening())
    server.command("HDEL", key_of(gate, "meta"), "ready")
    with pytest.raises(StoreUnavailableError):
        await gate.rebuild(partition, PartitionState())
    entries = await gate.read_outbox(partition, 10)
    await gate.trim_outbox(partition, [entry.entry_id for entry in entries])
    assert await gate.rebuild(partition, PartitionState())


async def test_a_server_that_forgot_the_scripts_is_told_them(gate, client):
    await gate.open(opening())
    await client.script_flush()
    outcome = await gate.tick(gate.partition("alice"), [tick(9 * CENT, 1)])
    assert outcome.balances == {"alice": 10 * UNIT - 9 * CENT}


@pytest.mark.parametrize(
    "commands",
    [
        [("CONFIG", "SET", "maxmemory", "1")],  # OOM
        [("CONFIG", "SET", "min-replicas-to-write", "1")],  # NOREPLICAS
        [("REPLICAOF", "127.0.0.1", "1")],  # READONLY
        [("ACL", "SETUSER", "default", "-@scripting")],  # NOPERM
    ],
)
async def test_a_server_that_refuses_to_write_is_unavailable(own, commands):
    gate, server = own
    for words in commands:
        assert server.command(*words) == b"+OK\r\n"
    with pytest.raises(StoreUnavailableError):
        await gate.open(opening())


async def test_tombstones_are_kept_for_a_day_and_then_trimmed(gate, client):
    for n in range(3):
        await gate.open(opening(f"c{n}"))
        await gate.close(closing(f"c{n}"))
    age, done = [key_of(gate, name) for name in ("age", "done")]
    await client.zincrby(age, -redis_store.TOMBSTONE_S - 5, "c0")
    await client.zincrby(age, -redis_store.TOMBSTONE_S + 60, "c1")
    await gate.open(opening("c3"))
    await gate.close(closing("c3"))
    assert sorted(await client.hkeys(done)) == [b"c1", b"c2", b"c3"]
    assert (await gate.close(closing("c0"))).result is CloseResult.UNKNOWN


async def test_ticks_stop_filling_an_outbox_that_nobody_drains(gate, client, monkeypatch):
    monkeypatch.setattr(redis_store, "TICK_ENTRIES_MAX", 5)
    partition = gate.partition("alice")
    await gate.open(opening())
    for second in range(1, 20):
        await gate.tick(partition, [tick((second + 8) * CENT, second)])
    await gate.close(closing())
    kinds = [entry.kind for entry in await gate.read_outbox(partition, 100)]
    assert kinds == ["O", "T", "T", "T", "T", "C"]


async def test_calls_and_counts_leave_nothing_behind(gate, client):
    for n in range(3):
        await gate.open(opening(f"c{n}"))
        await gate.close(closing(f"c{n}"))
    meta, call, own = [key_of(gate, name) for name in ("meta", "call", "own")]
    assert await client.hgetall(meta) == {b"ready": b"1"}
    assert await client.exists(call, own) == 0


async def test_a_call_is_closed_by_its_own_account_only(gate):
    neighbour = next(
        name for name in map(str, range(10_000)) if gate.partition(name) == gate.partition("alice")
    )
    await gate.open(opening())
    with pytest.raises(AssertionError):
        await gate.close(closing(account_id=neighbour))
    assert await gate.balance("alice") == 10 * UNIT - 8 * CENT


@pytest.mark.parametrize("call_id", ["", "a b", "a:b", "x" * 65, "é"])
async def test_call_ids_cannot_break_the_outbox(gate, call_id):
    with pytest.raises(AssertionError):
        await gate.open(opening(call_id))


async def test_requests_beyond_the_pool_wait_their_turn(gate):
    outcomes = await asyncio.gather(*(gate.open(opening(f"c{n}")) for n in range(200)))
    results = [outcome.result for outcome in outcomes]
    assert results.count(OpenResult.OPENED) == 50
    assert results.count(OpenResult.TOO_MANY_CALLS) == 150
