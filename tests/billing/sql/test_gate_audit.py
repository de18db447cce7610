"""The audit of the spend gate against the book, on a real server and a real database."""

import asyncio
import itertools
import re
import sqlite3
from contextlib import closing as closing_file
from datetime import UTC, datetime, time, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from billing import reconcile
from billing.drain import Drainer
from billing.gate_rows import BURN_DIFFERS, COUNT_DIFFERS, FOREIGN_TYPE, MALFORMED, STRAY
from billing.ports import Closing, Opening, OpenResult, PartitionState, SpendCap, Tick
from billing.spend_limits import Period, cap_name
from billing.stores import gate_audit, tables
from billing.stores.audit import audit
from billing.stores.gate_audit import (
    EMPTY,
    INCOMPARABLE,
    WITHDRAWN,
    audit_gate,
    find_surpluses,
    read_detail,
)
from billing.stores.redis import _KEY_NAMES, RedisSpendGate
from billing.stores.redis_client import connect, disconnect
from billing.stores.refill import SqlPositions, here
from database.errors import StoreUnavailableError
from tests.billing.outbox_entries import START, closed, closing, opened, opening, ticked
from tests.thorough import first_of

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
    opening_ = Opening(call_id, "alice", "n1", 10_000, want, 500, detail, per_minute_micros=600_000)
    outcome = await gate.open(opening_)
    assert outcome.result is OpenResult.OPENED


async def tick(gate, call_id, second):
    claim = Tick(call_id, "alice", (second + 8) * 10_000, second)
    return await gate.tick(gate.partition("alice"), [claim])


async def close_call(gate, call_id, seconds):
    detail = msgspec.json.encode(closing(seconds))
    await gate.close(Closing(call_id, "alice", seconds * 10_000, seconds, detail))


def heads(found):
    """Return findings without their figures."""
    return [re.sub(r" \(.*\)$", "", one) for one in found]


async def findings(gate, engine):
    return heads(await audit_gate(gate, engine, PARTITIONS))


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

    monkeypatch.setattr(asyncio, "sleep", bring)
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
    read, n = gate.inspect, iter(range(1_000))

    async def inspect(partition):
        rows = await read(partition)
        if partition == gate.partition("alice"):
            await open_call(gate, f"c{next(n)}", want=10_000)
        return rows

    monkeypatch.setattr(gate, "inspect", inspect)
    partition = gate.partition("alice")
    assert await findings(gate, engine) == [f"{INCOMPARABLE}: partition {partition}"]


async def test_a_partition_that_has_lost_its_data_is_named(gate, engine, store):
    partition = gate.partition("alice")
    await gate._redis.delete(*{*gate._keys[partition]} - {gate._outbox(partition)})
    due = f"{EMPTY}: 1 of 2 partitions (not filled: {partition})"
    assert await audit_gate(gate, engine, PARTITIONS) == [due]
    assert gate_audit.ADVICE[EMPTY]
    await fill(gate, store)
    assert await findings(gate, engine) == []


async def test_a_withdrawn_partition_is_named_and_compared_like_any_other(gate, engine, store):
    """It has all its data; what it holds beyond the book is a surplus as before."""
    partition = gate.partition("alice")
    before = await gate.balance("alice")
    for _ in range(2):
        await gate.withdraw(partition)
    due = f"{WITHDRAWN}: 1 of 2 partitions ({partition})"
    assert await audit_gate(gate, engine, PARTITIONS) == [due]
    assert gate_audit.ADVICE[WITHDRAWN]
    assert await find_surpluses(gate, engine, range(PARTITIONS), PARTITIONS) == []
    await gate._redis.hincrby(f"{{cr:{partition}}}:bal", "alice", 5)
    (surplus,) = await find_surpluses(gate, engine, range(PARTITIONS), PARTITIONS)
    assert (surplus.account_id, surplus.micros) == ("alice", 5)
    found = await audit_gate(gate, engine, PARTITIONS)
    assert [one.partition(":")[0] for one in found] == [WITHDRAWN, reconcile.BALANCES_DIFFER]
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


async def test_an_empty_gate_is_named_and_so_are_the_live_calls_of_the_book(
    gate, engine, store, operator
):
    await open_call(gate, "c1")
    await Drainer(gate, store, PARTITIONS).drain_once()
    await operator.flushall()
    assert await audit_gate(gate, engine, PARTITIONS) == [
        f"{EMPTY}: 2 of 2 partitions (not filled: 0, 1)",
        f"{reconcile.CALL_MISSING}: c1 (account alice, holds 0.080000)",
    ]
    assert await find_surpluses(gate, engine, range(PARTITIONS), PARTITIONS) == []
    await fill(gate, store)
    assert await findings(gate, engine) == []


NOW = START.replace(hour=18)
DAY, MONTH = (cap_name("account:alice", period, NOW) for period in Period)
KEY_DAY = cap_name("key:k1", Period.DAY, NOW)
CAPS = tuple(SpendCap(name, 1_000_000) for name in (DAY, MONTH, KEY_DAY))


async def capped_findings(gate, engine):
    return heads(await audit_gate(gate, engine, PARTITIONS, clock=lambda: NOW))


@pytest.fixture
async def about_to_be_capped(gate, engine, store):
    """The steps to a gate in which `alice` has a live call and an ended one under three caps."""
    async with engine.begin() as connection:
        await connection.execute(
            sa.update(tables.accounts)
            .where(tables.accounts.c.id == "alice")
            .values(day_cap_micros=1_000_000, month_cap_micros=1_000_000)
        )
        await connection.execute(
            sa.insert(tables.api_keys).values(
                id="k1",
                key_hash="x",
                account_id="alice",
                label="",
                created_at=START,
                day_cap_micros=1_000_000,
            )
        )

    async def steps():
        for call_id in ("live", "ended"):
            detail = msgspec.structs.replace(opening(call_id), key_id="k1")
            first = Opening(
                call_id,
                "alice",
                "n1",
                10_000,
                80_000,
                50,
                msgspec.json.encode(detail),
                caps=CAPS,
                per_minute_micros=600_000,
            )
            assert (await gate.open(first)).result is OpenResult.OPENED
            yield
            await gate.tick(gate.partition("alice"), [Tick(call_id, "alice", 100_000, 2, CAPS)])
            yield
        await close_call(gate, "ended", 3)
        yield
        await Drainer(gate, store, PARTITIONS).drain_once()
        yield

    return steps()


@pytest.fixture
async def capped(gate, about_to_be_capped):
    async for _ in about_to_be_capped:
        pass
    return gate


async def test_caps_count_as_the_book_does_at_every_step(gate, engine, about_to_be_capped):
    """In mid-call, too: what holds in advance counts as well."""
    async for _ in about_to_be_capped:
        assert await capped_findings(gate, engine) == []
    assert await gate.outbox_length() == 0


OPENING = msgspec.json.encode(msgspec.structs.replace(opening("live"), rate="{}")).decode()
ELSE = msgspec.json.encode(msgspec.structs.replace(opening("else"), key_id="k1")).decode()
OWNER = msgspec.json.encode(["alice", "n1", "", 600_000, [DAY, MONTH, KEY_DAY]]).decode()
FAULTS = {
    "count by one": ("HINCRBY meta n:alice 1", [f"{COUNT_DIFFERS}: alice"]),
    "no count": ("HDEL meta n:alice", [f"{COUNT_DIFFERS}: alice"]),
    "count of nobody": ("HSET meta n:ghost 1", [f"{COUNT_DIFFERS}: ghost"]),
    "count below zero": ("HSET meta n:alice -1", [f"{COUNT_DIFFERS}: alice"]),
    "burn by one": ("HINCRBY meta b:alice 1", [f"{BURN_DIFFERS}: alice"]),
    "no burn": ("HDEL meta b:alice", [f"{BURN_DIFFERS}: alice"]),
    "burn of nobody": ("HSET meta b:ghost 1", [f"{BURN_DIFFERS}: ghost"]),
    "stray field": ("HSET meta x 1", [f"{STRAY}: meta x"]),
    "day by one more": (f"HINCRBY caps {DAY} 1", [f"{reconcile.CAP_DIFFERS}: {DAY}"]),
    "day by one less": (f"HINCRBY caps {DAY} -1", [f"{reconcile.CAP_DIFFERS}: {DAY}"]),
    "month by one": (f"HINCRBY caps {MONTH} 1", [f"{reconcile.CAP_DIFFERS}: {MONTH}"]),
    "key by one": (f"HINCRBY caps {KEY_DAY} -1", [f"{reconcile.CAP_DIFFERS}: {KEY_DAY}"]),
    "no counter": (
        f"HDEL caps {DAY}",
        [f"{reconcile.CAP_DIFFERS}: {DAY}", f"{STRAY}: used {DAY}"],
    ),
    "counter that is never trimmed": (f"ZREM used {DAY}", [f"{STRAY}: caps {DAY}"]),
    "counter below zero": (
        f"HSET caps {DAY} -1",
        [f"{reconcile.CAP_DIFFERS}: {DAY}"],
    ),
    "counter of nobody": (
        "HSET caps account:ghost:day:2026-11-24 5; ZADD used 1 account:ghost:day:2026-11-24",
        [f"{reconcile.CAP_UNKNOWN}: account:ghost:day:2026-11-24"],
    ),
    "counter that is no number": (
        f"HSET caps {DAY} x",
        [f"{reconcile.CAP_DIFFERS}: {DAY}", f"{MALFORMED}: caps {DAY}"],
    ),
    "hold by one": ("HSET call live 100001:2", [f"{reconcile.HOLDS_DIFFER}: live"]),
    "second by one": ("HSET call live 100000:3", [f"{reconcile.SECONDS_DIFFER}: live"]),
    "hold that is no hold": (
        "HSET call live lots",
        [
            f"{reconcile.CALL_MISSING}: live",
            f"{COUNT_DIFFERS}: alice",
            f"{BURN_DIFFERS}: alice",
            f"{MALFORMED}: call live",
        ],
    ),
    "hold without an owner": (
        "HDEL own live",
        [
            f"{reconcile.CALL_MISSING}: live",
            f"{COUNT_DIFFERS}: alice",
            f"{BURN_DIFFERS}: alice",
            f"{STRAY}: call live",
        ],
    ),
    "owner without a hold": (
        'HSET own ghost ["alice","n1","",0,[]]',
        [f"{STRAY}: own ghost"],
    ),
    "doubled call": (
        "HSET call twin 100000:2; HSET own twin " + OWNER,
        [
            f"{reconcile.CALL_UNKNOWN}: twin",
            f"{COUNT_DIFFERS}: alice",
            f"{BURN_DIFFERS}: alice",
        ],
    ),
    "call of another account": (
        "HSET own live " + OWNER.replace('["alice"', '["bob"', 1),
        [
            f"{COUNT_DIFFERS}: alice",
            f"{COUNT_DIFFERS}: bob",
            f"{BURN_DIFFERS}: alice",
            f"{BURN_DIFFERS}: bob",
            f"{reconcile.OWNER_DIFFERS}: live",
            f"{reconcile.CAP_FOREIGN}: live",
        ],
    ),
    "call of another node": (
        "HSET own live " + OWNER.replace("n1", "n2"),
        [f"{reconcile.OWNER_DIFFERS}: live"],
    ),
    "price a minute by one": (
        "HSET own live " + OWNER.replace("600000", "600001"),
        [f"{reconcile.RATE_DIFFERS}: live", f"{BURN_DIFFERS}: alice"],
    ),
    "cap of another account": (
        "HSET own live " + OWNER.replace("account:alice:day", "account:bob:day"),
        [f"{reconcile.CAP_FOREIGN}: live"],
    ),
    "owner that is no owner": (
        "HSET own live {}",
        [
            f"{reconcile.CALL_MISSING}: live",
            f"{COUNT_DIFFERS}: alice",
            f"{BURN_DIFFERS}: alice",
            f"{MALFORMED}: own live",
        ],
    ),
    "opening of another price": (
        "HSET began live " + OPENING,
        [f"{reconcile.OPENING_MISREMEMBERED}: live"],
    ),
    "opening of nothing": ("HSET began ghost {}", [f"{STRAY}: began ghost"]),
    "opening that cannot be read": ("HSET began live {}", [f"{MALFORMED}: began live"]),
    "opening that names another call": (
        "HSET began live " + ELSE,
        [f"{MALFORMED}: began live"],
    ),
    "spent account without calls": ("SADD out bob", [f"{STRAY}: out bob"]),
    "tombstone by one": ("HSET done ended 30001", [f"{reconcile.ENDING_DIFFERS}: ended"]),
    "tombstone of a call that lives in the book": (
        "HSET done live 1; ZADD age 1 live",
        [f"{reconcile.ENDING_UNKNOWN}: live"],
    ),
    "tombstone of nothing": (
        "HSET done ghost 1; ZADD age 1 ghost",
        [f"{reconcile.ENDING_UNKNOWN}: ghost"],
    ),
    "tombstone that is never trimmed": ("ZREM age ended", [f"{STRAY}: done ended"]),
    "tombstone with something behind its number": (
        "HSET done ended 30000_",
        [f"{MALFORMED}: done ended"],
    ),
    "tombstone that is no number": ("HSET done ended x", [f"{MALFORMED}: done ended"]),
    "balance by one": ("HINCRBY bal alice -1", [f"{reconcile.BALANCES_DIFFER}: alice"]),
    "balance of nobody": ("HSET bal ghost 5", [f"{reconcile.BALANCES_DIFFER}: ghost"]),
    "balance that is no number": (
        "HSET bal alice x",
        [f"{reconcile.BALANCES_DIFFER}: alice", f"{MALFORMED}: bal alice"],
    ),
    "sequence less by one": ("HSET cseq alice 0", [f"{reconcile.CREDIT_MISSING}: alice"]),
    "sequence more by one": ("HSET cseq alice 2", [f"{reconcile.CREDIT_UNKNOWN}: alice"]),
    "sequence of nobody": ("HSET cseq ghost 1", [f"{reconcile.CREDIT_UNKNOWN}: ghost"]),
    "frozen that is not": ("SADD froz alice", [f"{reconcile.FREEZE_DIFFERS}: alice"]),
    "frozen account of nobody": ("SADD froz ghost", [f"{reconcile.FREEZE_DIFFERS}: ghost"]),
    "entry that cannot be read": (
        "XADD led 9-9 k C",
        # Its outbox began anew: it does not go on from what was booked.
        [
            f"{gate_audit.ENTRY_UNREADABLE}: 9-9",
            f"{gate_audit.OLDER_COPY}: 1 of 2 partitions",
        ],
    ),
}


KEYS = {
    **dict.fromkeys(
        ("bal", "call", "own", "done", "cseq", "meta", "caps", "ends", "began"), "hash"
    ),
    **dict.fromkeys(("froz", "out"), "set"),
    **dict.fromkeys(("age", "used"), "sorted set"),
    "led": "stream",
}
OTHERS = {
    "string": "SET {} x",
    "list": "RPUSH {} alice 1",
    "set": "SADD {} x",
    "hash": "HSET {} x 1",
}
KEY_COLUMNS = (
    ("accounts", "id", "alice"),
    ("calls", "id", "live"),
    ("calls", "id", "ended"),
    ("calls", "account_id", "live"),
    ("calls", "key_id", "live"),
    ("api_keys", "id", "k1"),
)


@pytest.mark.parametrize("key", first_of(KEYS))
async def test_a_key_of_another_type_is_named_and_ends_no_comparison(capped, engine, key):
    partition = capped.partition("alice")
    name, other = f"{{cr:{partition}}}:{key}", f"{{cr:{1 - partition}}}:froz"
    await capped._redis.sadd(other, "ghost")
    for kind, command in OTHERS.items():
        if kind != KEYS[key]:
            await capped._redis.delete(name)
            await capped._redis.execute_command(*command.format(name).split(" "))
            found = await audit_gate(capped, engine, PARTITIONS, clock=lambda: NOW)
            assert f"{FOREIGN_TYPE}: {name}" in found
            assert [one for one in found if one.startswith(f"{reconcile.FREEZE_DIFFERS}: ghost")]
    assert gate_audit.ADVICE[FOREIGN_TYPE]


@pytest.mark.parametrize("kind", FAULTS)
async def test_each_kind_of_fault_of_the_gate_is_named(capped, engine, kind):
    commands, findings = FAULTS[kind]
    prefix = f"{{cr:{capped.partition('alice')}}}:"
    if kind.startswith("entry"):
        await capped._redis.delete(prefix + "led")
    for command in commands.split("; "):
        verb, key, *words = command.split(" ")
        await capped._redis.execute_command(verb, prefix + key, *words)
    found = await capped_findings(capped, engine)
    assert sorted(found) == sorted(findings)
    assert all(gate_audit.ADVICE[finding.partition(": ")[0]] for finding in found)


async def test_a_cap_counts_from_when_all_nodes_know_it(capped, engine, store):
    """And calls that reach over midnight count in part."""
    await open_call(capped, "unbound", want=20_000)
    await Drainer(capped, store, PARTITIONS).drain_once()
    expected = [f"{reconcile.CAP_DIFFERS}: {name}" for name in (DAY, MONTH)]
    assert await capped_findings(capped, engine) == expected
    async with engine.begin() as connection:
        later = START + timedelta(seconds=1)
        await connection.execute(sa.update(tables.accounts).values(caps_counted_from=later))
    assert await capped_findings(capped, engine) == []
    async with engine.begin() as connection:
        await connection.execute(sa.update(tables.accounts).values(caps_counted_from=None))
        before = {"created_at": datetime.combine(START, time(), UTC) - timedelta(seconds=9)}
        await connection.execute(
            sa.update(tables.calls).where(tables.calls.c.id == "unbound").values(before)
        )
    await capped._redis.hdel(f"{{cr:{capped.partition('alice')}}}:began", "unbound")
    assert await capped_findings(capped, engine) == [f"{reconcile.CAP_DIFFERS}: {MONTH}"]


FAMILIES = {
    "bal": "balance by one",
    "call": "hold by one",
    "own": "call of another account",
    "done": "tombstone by one",
    "cseq": "sequence more by one",
    "froz": "frozen that is not",
    "led": "entry that cannot be read",
    "meta": "count by one",
    "age": "tombstone that is never trimmed",
    "caps": "day by one more",
    "used": "counter that is never trimmed",
    "ends": "",
    "began": "opening of another price",
    "out": "spent account without calls",
}
"""Key of a partition -> a fault of it among `FAULTS`; that of `ends` are `OTHER_END`."""


def test_every_key_of_a_partition_has_a_fault_that_is_named():
    assert set(_KEY_NAMES) == FAMILIES.keys()
    for key, kind in FAMILIES.items():
        assert not kind or f" {key} " in FAULTS[kind][0]


OTHER_END = {
    "charged": ((1, "40000"), "charged: gate 0.040000, book 0.030000"),
    "written off": ((2, "5"), "written off: gate 0.000005, book 0.000000"),
    "seconds": ((3, "4"), "seconds: gate 4, book 3"),
    "cause": ((4, '"cause":17'), "cause: gate 17, book 16"),
    "ended by": ((4, '"ended_by":"callee"'), "ended by: gate callee, book caller"),
    "ended": ((4, '"ended_at":"2026-11-24T12:00:09Z"'), "ended: gate 2026-11-24 12:00:09+00:00"),
    "ringing": ((4, '"ringing_at":"2026-11-24T11:00:01Z"'), "ringing: gate 2026-11-24 11:00:01"),
    "carrier's": ((4, '"carrier_seconds":61'), "carrier's seconds: gate 61, book 60"),
}


@pytest.mark.parametrize("part", OTHER_END)
async def test_an_end_that_is_remembered_otherwise_is_named(capped, engine, part):
    (place, value), figures = OTHER_END[part]
    key = f"{{cr:{capped.partition('alice')}}}:ends"
    words = (await capped._redis.hget(key, "ended")).decode().split(" ", 4)
    if place < 4:
        words[place] = value
    else:
        name = value.partition(":")[0]
        words[4] = re.sub(name + r':("[^"]*"|\d+)', value, words[4])
    await capped._redis.hset(key, "ended", " ".join(words))
    (found,) = await audit_gate(capped, engine, PARTITIONS, clock=lambda: NOW)
    assert found.startswith(f"{reconcile.ENDING_MISREMEMBERED}: ended (account alice, {figures}")


async def test_an_end_that_is_remembered_and_cannot_be_read_is_named(capped, engine):
    key = f"{{cr:{capped.partition('alice')}}}:ends"
    await capped._redis.hset(key, "ended", "1-1 30000 0 3 {}")
    assert await capped_findings(capped, engine) == [f"{MALFORMED}: ends ended"]
    await capped._redis.hset(key, "ended", "nonsense")
    assert await capped_findings(capped, engine) == [f"{MALFORMED}: ends ended"]
    await capped._redis.hdel(key, "ended")
    await capped._redis.hset(key, "ghost", "1-1 30000 0 3 {}")
    assert await capped_findings(capped, engine) == [f"{STRAY}: ends ghost"]


async def test_both_sides_are_shown(capped, engine):
    prefix = f"{{cr:{capped.partition('alice')}}}:"
    await capped._redis.hincrby(prefix + "bal", "alice", -1)
    await capped._redis.hset(prefix + "call", "live", "100001:3")
    found = await audit_gate(capped, engine, PARTITIONS, clock=lambda: NOW)
    assert found == [
        f"{reconcile.BALANCES_DIFFER}: alice (gate 0.869999, book 0.870000)",
        f"{reconcile.HOLDS_DIFFER}: live (account alice, gate 0.100001, book 0.100000)",
        f"{reconcile.SECONDS_DIFFER}: live (account alice, gate 3 s, book 2 s)",
    ]


async def test_a_live_call_that_one_side_lacks_is_named_with_its_account(capped, engine):
    prefix = f"{{cr:{capped.partition('alice')}}}:"
    rows = [await capped._redis.hget(prefix + key, "live") for key in ("own", "call")]
    for key in ("own", "call"):
        await capped._redis.hdel(prefix + key, "live")
    found = await audit_gate(capped, engine, PARTITIONS, clock=lambda: NOW)
    assert f"{reconcile.CALL_MISSING}: live (account alice, holds 0.100000)" in found
    for key, row in zip(("own", "call"), rows, strict=True):
        await capped._redis.hset(prefix + key, "live", row)
    async with engine.begin() as connection:
        await connection.execute(sa.delete(tables.calls).where(tables.calls.c.id == "live"))
    found = await audit_gate(capped, engine, PARTITIONS, clock=lambda: NOW)
    assert f"{reconcile.CALL_UNKNOWN}: live (account alice, holds 0.100000)" in found


async def test_a_tombstone_in_another_accounts_partition_is_named(capped, engine):
    other = 1 - capped.partition("alice")
    await capped._redis.hset(f"{{cr:{other}}}:done", "ended", "30000")
    await capped._redis.zadd(f"{{cr:{other}}}:age", {"ended": 1})
    assert await capped_findings(capped, engine) == [f"{reconcile.ENDING_UNKNOWN}: ended"]


async def test_a_call_of_today_that_the_gate_knows_nothing_of_is_named(capped, engine):
    """Somebody has invented it: record, charge, and both balances."""
    copy = "INSERT INTO calls SELECT * FROM invented"
    async with engine.begin() as connection:
        for statement in (
            "CREATE TEMPORARY TABLE invented AS SELECT * FROM calls WHERE id = 'ended'",
            "UPDATE invented SET id = 'forged'",
            copy,
            "UPDATE accounts SET balance_micros = balance_micros - 30000 WHERE id = 'alice'",
            "DROP TABLE invented",
        ):
            await connection.exec_driver_sql(statement)
    prefix = f"{{cr:{capped.partition('alice')}}}:"
    await capped._redis.hincrby(prefix + "bal", "alice", -30_000)
    for name in (DAY, MONTH, KEY_DAY):
        await capped._redis.hincrby(prefix + "caps", name, 30_000)
    found = await audit_gate(capped, engine, PARTITIONS, clock=lambda: NOW)
    assert found == [f"{reconcile.ENDING_FORGOTTEN}: forged (account alice, cost 0.030000)"]
    assert gate_audit.ADVICE[reconcile.ENDING_FORGOTTEN]
    longer_ago = NOW + timedelta(hours=20)
    assert longer_ago.date() != NOW.date()
    found = await audit_gate(capped, engine, PARTITIONS, clock=lambda: longer_ago)
    assert not [one for one in found if one.startswith(reconcile.ENDING_FORGOTTEN)]


async def test_what_is_left_of_a_call_still_says_whose_it_is(capped, engine):
    prefix = f"{{cr:{capped.partition('alice')}}}:"
    await capped._redis.hincrby(prefix + "caps", KEY_DAY, 1)
    found = await audit_gate(capped, engine, PARTITIONS, clock=lambda: NOW)
    assert len(found) == 1
    assert found[0].startswith(f"{reconcile.CAP_DIFFERS}: {KEY_DAY} (account alice, gate ")
    await capped._redis.hincrby(prefix + "caps", KEY_DAY, -1)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("DELETE FROM calls WHERE id = 'ended'")
    await capped._redis.hdel(prefix + "ends", "ended")
    found = await audit_gate(capped, engine, PARTITIONS, clock=lambda: NOW)
    assert f"{reconcile.ENDING_UNKNOWN}: ended (account alice, cost 0.030000)" in found
    await capped._redis.hdel(prefix + "done", "ended")
    await capped._redis.zrem(prefix + "age", "ended")
    found = await audit_gate(capped, engine, PARTITIONS, clock=lambda: NOW)
    assert f"{STRAY}: began ended (account alice)" in found


async def test_a_value_of_the_book_that_cannot_be_read_ends_no_comparison(capped, engine):
    if engine.dialect.name != "sqlite":
        pytest.skip("platform: PostgreSQL refuses such values")
    prefix = f"{{cr:{capped.partition('alice')}}}:"
    for table, column, row in (
        ("calls", "created_at", "live"),
        ("calls", "ended_at", "ended"),
        ("calls", "spent_micros", "live"),
        ("accounts", "balance_micros", "alice"),
        ("api_keys", "day_cap_micros", "k1"),
    ):
        async with engine.begin() as connection:
            query = f"SELECT {column} FROM {table} WHERE id = '{row}'"
            kept = (await connection.exec_driver_sql(query)).scalar_one()
            change = f"UPDATE {table} SET {column} = ? WHERE id = '{row}'"
            await connection.exec_driver_sql(change, ("x",))
        await capped._redis.sadd(prefix + "froz", "bob")
        assert f"{reconcile.FREEZE_DIFFERS}: bob" in await capped_findings(capped, engine)
        await capped._redis.srem(prefix + "froz", "bob")
        async with engine.begin() as connection:
            await connection.exec_driver_sql(change, (kept,))
    assert await capped_findings(capped, engine) == []


@pytest.mark.parametrize("form", ["CAST(? AS TEXT)", "CAST(? AS BLOB)"])
@pytest.mark.parametrize(("table", "column", "row"), first_of(KEY_COLUMNS))
async def test_a_key_of_the_book_that_cannot_be_read_ends_no_comparison(
    capped, engine, table, column, row, form
):
    if engine.dialect.name != "sqlite":
        pytest.skip("platform: PostgreSQL refuses such values")
    change = f"UPDATE {table} SET {column} = {form} WHERE id = '{row}'"
    # As a person with the database's own tools, which keep no foreign keys.
    with closing_file(sqlite3.connect(engine.url.database)) as file, file:
        file.execute(change, (b"\xff\xfe\x00",))
    other = f"{{cr:{1 - capped.partition('alice')}}}:froz"
    await capped._redis.sadd(other, "ghost")
    assert f"{reconcile.FREEZE_DIFFERS}: ghost" in await capped_findings(capped, engine)


async def test_a_ringing_time_that_the_book_has_lost_is_named(capped, engine):
    async with engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE calls SET ringing_at = NULL WHERE id = 'ended'")
    (found,) = await audit_gate(capped, engine, PARTITIONS, clock=lambda: NOW)
    assert found.startswith(f"{reconcile.ENDING_MISREMEMBERED}: ended (account alice, ringing: ")


MIDNIGHT = datetime.combine(START, time(), UTC)
SHORTLY_BEFORE = MIDNIGHT - timedelta(seconds=30)
DAY_CAP, MONTH_CAP = (cap_name("account:alice", period, START) for period in Period)


NOTHING = PartitionState()


async def caps(engine, gate=NOTHING):
    async with engine.connect() as connection:
        return await connection.run_sync(read_detail, gate, here(0, 1), START)


async def limit(engine, **values):
    async with engine.begin() as connection:
        accounts = sa.update(tables.accounts).where(tables.accounts.c.id == "alice")
        await connection.execute(accounts.values(values))


async def test_a_call_over_midnight_counts_in_part(engine, store):
    await limit(engine, day_cap_micros=1_000, month_cap_micros=1_000)
    entries = [
        opened("today", 5),
        closed("today", 1),
        opened("over", 50, at=SHORTLY_BEFORE),
        closed("over", 10, 60, at=SHORTLY_BEFORE),
        opened("live", 50, at=SHORTLY_BEFORE),
        ticked(("live", 100, 1)),
        opened("before", 9, at=SHORTLY_BEFORE),
        closed("before", 7, 9, at=SHORTLY_BEFORE),
    ]
    await store.apply_outbox(0, entries)
    assert (await caps(engine)).caps == {DAY_CAP: (1, 111), MONTH_CAP: (118, 118)}
    await limit(engine, caps_counted_from=MIDNIGHT)
    assert (await caps(engine)).caps == {DAY_CAP: (1, 111), MONTH_CAP: (1, 118)}
    await limit(engine, month_cap_micros=None)
    assert (await caps(engine)).caps == {DAY_CAP: (1, 111)}


async def test_only_what_the_gate_speaks_of_is_looked_up(engine, store):
    await store.apply_outbox(0, [opened("c1", 5), closed("c1", 3), opened("c2", 5)])
    gate = PartitionState(
        closed_calls=[("c1", 3), ("c2", 5), ("ghost", 1)],
        spent=[(DAY_CAP, 1), ("account:ghost:day:2026-11-24", 1), ("key:k9:day:2026-11-24", 1)],
    )
    found = await caps(engine, gate)
    assert {name: end.charged_micros for name, end in found.endings.items()} == {"c1": 3}
    assert found.owners == {"account:alice": "alice"}
