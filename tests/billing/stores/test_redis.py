"""The spend gate on a real Valkey: the contract, and what only a server can do to it."""

import asyncio
import time
from dataclasses import replace

import pytest
from redis.exceptions import ResponseError

from billing.outbox import fold
from billing.ports import CloseResult, OpenCall, OpenResult, PartitionState, SpendCap
from billing.stores import redis as redis_store
from billing.stores.redis import RedisSpendGate, Script, connect, disconnect, evaluate, evaluate_all
from billing.stores.tick_batch import CALLS_PER_SCRIPT_MAX, CAPS_PER_CALL_MAX
from database.errors import StoreUnavailableError
from tests.billing.conftest import fill
from tests.billing.spend_gate_contract import (
    CENT,
    CENT_A_SECOND,
    UNIT,
    S,
    SpendGateContract,
    charge,
    closing,
    neighbour_of,
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
    # The book is a second behind.
    held = [OpenCall(m.call_id, "alice", "n1", 16 * CENT, 8) for m in meters]
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


async def test_entries_of_many_partitions_are_forgotten_together(gate):
    names = [next(n for n in map(str, range(9_999)) if gate.partition(n) == p) for p in range(3)]
    for name in names[:2]:
        await gate.credit(name, 1, UNIT)
        for n in range(5):
            await gate.open(opening(f"{name}-{n}", name))
    waiting = await gate.read_outboxes(range(gate.partitions), 9)
    ids = {p: [entry.entry_id for entry in entries] for p, entries in waiting.items()}
    await gate.trim_outboxes({0: [*ids[0][:3], "9-9"], 1: ids[1], 2: []})
    left = await gate.read_outboxes(range(gate.partitions), 9)
    assert {p: [entry.entry_id for entry in entries] for p, entries in left.items()} == {
        0: ids[0][3:]
    }
    await gate.trim_outboxes({})
    assert await gate.outbox_length() == 2


async def test_a_server_that_forgot_the_scripts_is_told_them(gate, client, operator):
    await gate.open(opening())
    await operator.script_flush()
    outcome = await gate.tick(gate.partition("alice"), [tick(9 * CENT, 1)])
    assert outcome.balances == {"alice": 10 * UNIT - 9 * CENT}


async def test_what_is_wrong_with_one_partition_stops_no_other_of_its_script(gate, operator):
    accounts = {gate.partition(name): name for name in (f"n{n}" for n in range(200))}
    unfit, unready, *others = list(accounts)[:5]
    claims = {}
    for partition in (others[0], unfit, others[1], unready, others[2]):
        account_id = accounts[partition]
        await gate.credit(account_id, 1, UNIT)
        await gate.open(opening(account_id, account_id))
        claims[partition] = [tick(9 * CENT, 1, account_id, account_id)]
    await operator.rename(f"{{cr:{unfit}}}:call", "elsewhere")
    await operator.set(f"{{cr:{unfit}}}:call", "no hash")
    assert await gate.withdraw(unready)
    for _ in range(2):
        outcomes = await gate.tick_all(claims)
        for partition in (unfit, unready):
            assert isinstance(outcomes[partition], StoreUnavailableError)
        for partition in others:
            assert outcomes[partition].balances == {accounts[partition]: UNIT - 9 * CENT}
    await operator.rename("elsewhere", f"{{cr:{unfit}}}:call")
    assert (await gate.tick_all(claims))[unfit].balances == {accounts[unfit]: UNIT - 9 * CENT}


async def test_one_partition_that_fails_leaves_the_others_their_round(own):
    """Also in the round in which the server has forgotten the script."""
    gate, server = own
    await gate.open(opening())
    here = gate.partition("alice")
    there = (here + 1) % gate.partitions
    server.command("DEL", f"{{cr:{there}}}:meta")
    for second, command in enumerate((("SCRIPT", "FLUSH"), ("PING",)), 1):
        server.command(*command)
        claims = {there: [tick(CENT, 1, "c9", "bob")], here: [tick(9 * CENT, second)]}
        outcomes = await gate.tick_all(claims)
        assert isinstance(outcomes[there], StoreUnavailableError)
        assert outcomes[here].balances == {"alice": 10 * UNIT - 9 * CENT}


@pytest.mark.parametrize(
    "commands",
    [
        [("CONFIG", "SET", "maxmemory", "1")],  # OOM
        [("CONFIG", "SET", "min-replicas-to-write", "1")],  # NOREPLICAS
        [("REPLICAOF", "127.0.0.1", "1")],  # READONLY
        [("ACL", "SETUSER", "caller", "-@scripting")],  # NOPERM
    ],
)
async def test_a_server_that_refuses_to_write_is_unavailable(own, commands):
    gate, server = own
    for words in commands:
        assert server.command(*words) == b"+OK\r\n"
    with pytest.raises(StoreUnavailableError):
        await gate.open(opening())


async def test_tombstones_are_kept_for_a_day_and_then_trimmed(gate, client, operator):
    for n in range(3):
        await gate.open(opening(f"c{n}"))
        await gate.close(closing(f"c{n}"))
    age, done = [key_of(gate, name) for name in ("age", "done")]
    await operator.zincrby(age, -redis_store.TOMBSTONE_S - 5, "c0")
    await operator.zincrby(age, -redis_store.TOMBSTONE_S + 60, "c1")
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
    day = [SpendCap("day", UNIT)]
    for n in range(3):
        await gate.open(opening(f"c{n}", caps=day, per_minute_micros=UNIT))
        await gate.tick(gate.partition("alice"), [tick(9 * CENT, 1, f"c{n}", caps=day)])
        await gate.close(closing(f"c{n}", final_micros=0))
    meta, *rest = [key_of(gate, name) for name in ("meta", "call", "own", "caps", "used")]
    assert set(await client.hgetall(meta)) == {b"ready", b"filling"}
    assert await client.exists(*rest) == 0


async def test_a_period_that_begins_in_mid_call_is_dated_like_any_other(gate, client):
    today, tomorrow = [SpendCap("day 1", UNIT)], [SpendCap("day 2", UNIT)]
    await gate.open(opening(caps=today))
    await gate.tick(gate.partition("alice"), [tick(9 * CENT, 1, caps=tomorrow)])
    used, caps = [key_of(gate, name) for name in ("used", "caps")]
    assert b"day 2" in await client.hkeys(caps)
    assert sorted(await client.zrange(used, 0, -1)) == sorted(await client.hkeys(caps))


async def test_an_entry_of_no_kind_is_read_to_be_set_aside(gate, client):
    await gate.open(opening())
    partition = gate.partition("alice")
    await client.xadd(key_of(gate, "led"), {"kind": "bogus", b"\xff": b"\xff"})
    entries = await gate.read_outbox(partition, 10)
    assert [entry.kind for entry in entries] == ["O", ""]
    assert [entry.kind for entry in fold(entries[1:]).rejected] == [""]


async def test_caps_of_past_periods_are_trimmed(gate, client, operator, monkeypatch):
    monkeypatch.setattr(redis_store, "CAPS_TRIMMED_MAX", 2)
    for n in range(5):
        await gate.open(opening(f"c{n}", caps=[SpendCap(f"day {n}", UNIT)]))
    used, caps = [key_of(gate, name) for name in ("used", "caps")]
    for n in range(3):
        await operator.zincrby(used, -redis_store.CAP_UNUSED_S - 5, f"day {n}")
    await operator.zincrby(used, -redis_store.CAP_UNUSED_S + 60, "day 3")
    await gate.open(opening("c5"))
    assert len(await client.hkeys(caps)) == 5
    await gate.open(opening("c6", caps=[SpendCap("day 4", UNIT)]))
    assert len(await client.hkeys(caps)) == 3
    await gate.open(opening("c7", caps=[SpendCap("day 4", UNIT)]))
    assert sorted(await client.hkeys(caps)) == [b"day 3", b"day 4"]
    assert sorted(await client.zrange(used, 0, -1)) == [b"day 3", b"day 4"]
    # A call that outlives its cap begins it anew, and its end may still be counted.
    await gate.close(closing("c0", final_micros=9 * CENT))
    assert await client.hget(caps, "day 0") == b"%d" % CENT
    assert await operator.zscore(used, "day 0") is not None


async def test_calls_of_the_first_version_are_read_named_and_closed(gate, client):
    """Two versions of the gateway may run at once; the first kept two fields of a call."""
    own, meta = key_of(gate, "own"), key_of(gate, "meta")
    for call_id in ("c1", "c2"):
        await gate.open(opening(call_id, caps=[SpendCap("day", UNIT)], per_minute_micros=UNIT))
        await client.hset(own, call_id, '["alice","n1"]')
    plain = OpenCall("c1", "alice", "n1", 8 * CENT, 0)
    assert await gate.open_calls("n1") == [plain, replace(plain, call_id="c2")]
    outcome = await gate.tick(gate.partition("alice"), [tick(9 * CENT, 1), tick(9 * CENT, 1, "c2")])
    assert outcome.burns == {"alice": 0}
    await gate.name_carrier_call("c1", "alice", "CA1")
    named = replace(plain, held_micros=9 * CENT, seconds=1, carrier_call_id="CA1")
    assert (await gate.snapshot(gate.partition("alice"))).open_calls[0] == named
    for call_id in ("c1", "c2"):
        assert (await gate.close(closing(call_id))).charged_micros == 3 * CENT
    assert set(await client.hgetall(meta)) == {b"ready", b"filling"}


async def test_a_full_tick_of_calls_with_all_caps_fits_lua(gate):
    """As many calls as a script takes, each under as many caps of its own as a call can have."""
    count, each = CALLS_PER_SCRIPT_MAX, CAPS_PER_CALL_MAX
    caps = [[SpendCap(f"{n}-{k}", UNIT) for k in range(each)] for n in range(count)]
    for n in range(count):
        few = {"first_micros": 1, "want_micros": 1, "concurrent_calls_max": count}
        await gate.open(opening(f"c{n}", caps=caps[n], **few))
    claims = [tick(2, 1, f"c{n}", caps=caps[n]) for n in range(count)]
    outcome = await gate.tick(gate.partition("alice"), claims)
    assert outcome.short == {}
    assert outcome.spent == {f"{n}-{k}": 2 for n in range(count) for k in range(each)}


async def test_fifty_calls_at_once_on_two_nodes_spend_no_more_than_a_budget(gate, valkey_url):
    """However they begin, tick and end: neither holds nor charges are ever above it."""
    client = connect(valkey_url)
    nodes = [gate, RedisSpendGate(client, timeout_s=5)]
    budget = [SpendCap("key:k1:day:2026-11-28", 25 * CENT)]
    partition = gate.partition("alice")

    async def spent():
        return (await gate.tick(partition, [tick(0, 0, "", caps=budget)])).spent[budget[0].name]

    async def call(n):
        node, call_id = nodes[n % 2], f"c{n}"
        asked = opening(call_id, caps=budget, key_id="k1", key_calls_max=30, node=f"n{n % 2}")
        opened = await node.open(replace(asked, want_micros=CENT))
        if opened.result is not OpenResult.OPENED:
            return opened.result
        for second in range(1, 6):
            await node.tick(partition, [tick((second + 1) * CENT, second, call_id, caps=budget)])
            assert await spent() <= 25 * CENT
        held = (await node.tick(partition, [tick(0, 5, call_id, caps=budget)])).short
        assert held == {}
        return OpenResult.OPENED

    outcomes = await asyncio.gather(*(call(n) for n in range(50)))
    opened = outcomes.count(OpenResult.OPENED)
    assert 0 < opened <= 25
    assert set(outcomes) <= {OpenResult.OPENED, OpenResult.CAP_REACHED, OpenResult.TOO_MANY_CALLS}
    charged = 0
    for call_ in await gate.open_calls():
        # Whatever a node asks for at the end, within what was granted.
        charged += (await gate.close(closing(call_.call_id, call_.held_micros, 1))).charged_micros
    assert charged == await spent() == 25 * CENT
    await disconnect(client)


async def test_a_call_has_no_more_caps_than_a_script_can_count(gate):
    caps = [SpendCap(str(n), UNIT) for n in range(CAPS_PER_CALL_MAX + 1)]
    with pytest.raises(AssertionError):
        await gate.open(opening(caps=caps))
    with pytest.raises(AssertionError):
        await gate.tick(0, [tick(1, 1, caps=caps)])


async def test_a_call_is_closed_by_its_own_account_only(gate):
    await gate.open(opening())
    with pytest.raises(AssertionError):
        await gate.close(closing(account_id=neighbour_of(gate, "alice")))
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


async def test_a_gate_that_was_filled_anew_is_told_from_the_one_before(own):
    gate, server = own
    await gate.open(opening())
    before = await gate.name_carrier_call("c1", "alice", "CA1")
    server.command("FLUSHALL")
    await fill(gate)
    await gate.open(opening())
    outcome = await gate.tick(gate.partition("alice"), [tick(CENT, 1)])
    assert outcome.filling not in {before, ""}


async def test_a_gate_that_was_filled_by_an_older_version_names_no_filling(own):
    gate, server = own
    await gate.open(opening())
    server.command("HDEL", key_of(gate, "meta"), "filling")
    assert await gate.name_carrier_call("c1", "alice", "CA1") == ""
    assert (await gate.tick(gate.partition("alice"), [tick(CENT, 1)])).filling == ""


@pytest.fixture
async def redis(own_valkey):
    client = connect(own_valkey.url)
    yield client
    await disconnect(client)


def keys_of(partition):
    return [b"{cr:%d}:%d" % (partition, n) for n in range(14)]


async def test_a_script_that_the_server_does_not_know_is_sent(redis, own_valkey):
    def is_known():
        return own_valkey.command("SCRIPT", "EXISTS", script.sha) == b"*1\r\n:1\r\n"

    script = Script("withdraw")
    assert await evaluate(redis, script, keys_of(0), [""]) == 1
    assert is_known()
    assert own_valkey.command("SCRIPT", "FLUSH") == b"+OK\r\n"
    assert not is_known()
    requests = [(keys_of(0), ["another filling"]), (keys_of(1), [""])]
    assert await evaluate_all(redis, script, requests) == [0, 1]
    assert is_known()


async def test_a_script_that_fails_stops_none_of_the_others(redis):
    script = Script("withdraw")
    await redis.set(keys_of(1)[7], "no hash")
    answers = await evaluate_all(redis, script, [(keys_of(n), [""]) for n in range(3)])
    assert (answers[0], answers[2]) == (1, 1)
    assert isinstance(answers[1], ResponseError)
    with pytest.raises(ResponseError):
        await evaluate(redis, script, keys_of(1), [""])
