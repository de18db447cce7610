"""Booking a batch: in few statements, however large, and without losing what was carried."""

import asyncio
import random
import re

import msgspec
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from billing.drain import Drainer
from billing.ledger import Transfer
from billing.stores import tables
from billing.stores.audit import audit
from billing.stores.booking import IDS_PER_QUERY, UNKNOWN_CURRENCY, insert_transfers
from tests.billing.outbox_entries import (
    START,
    MemoryOutbox,
    closed,
    costing,
    entry,
    opened,
    opening,
    ticked,
)


async def test_an_account_the_book_has_lost_is_opened_frozen_and_still_charged(store, engine):
    lost = [opened("c1", 100, "carol", rate=costing(60)), closed("c2", 30, 1, "dave")]
    await store.apply_outbox(5, lost)
    await store.apply_outbox(5, [closed("c1", 60, 2, "carol")])
    assert (await store.balance("carol"), await store.balance("dave")) == (-60, -30)
    assert sorted((await store.partition_state(0, 1)).frozen) == ["carol", "dave"]
    accounts = tables.accounts.c
    async with engine.connect() as connection:
        rows = await connection.execute(
            sa.select(accounts.id, accounts.currency).where(accounts.frozen)
        )
        assert {row.id: row.currency for row in rows} == {"carol": "USD", "dave": UNKNOWN_CURRENCY}
    assert await audit(engine) == []


async def test_more_calls_than_one_query_may_name(store, engine):
    count = 2 * IDS_PER_QUERY + 1
    opens = [opened(f"c{n}", 10) for n in range(count)]
    await store.apply_outbox(3, opens)
    await store.apply_outbox(3, [ticked(*((f"c{n}", 11, 1) for n in range(count))), *opens[:9]])
    assert await store.balance("alice") == 1_000_000 - count * 11
    assert await audit(engine) == []


async def test_a_thousand_calls_take_no_more_statements_than_one(store, engine):
    statements = []

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def count(_connection, _cursor, statement, _parameters, _context, _executemany):
        statements.append(statement)

    async def statements_for(name, count):
        statements.clear()
        ids = [f"{name}{n}" for n in range(count)]
        for entries in (
            [opened(call_id, 10) for call_id in ids],
            [ticked(*((call_id, 11, 1) for call_id in ids))],
            [closed(call_id, 5, written_off=1) for call_id in ids],
        ):
            await store.apply_outbox(3, entries)
        return len(statements)

    assert await statements_for("few", 1) == await statements_for("many", 1_000)


async def test_many_partitions_take_no_more_statements_than_one(store, engine):
    statements = []

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def count(_connection, _cursor, statement, _parameters, _context, _executemany):
        statements.append(statement)

    async def statements_for(name, partitions):
        statements.clear()
        ids = {p: f"{name}{p}" for p in partitions}
        for kind in (
            lambda call_id: opened(call_id, 10),
            lambda call_id: ticked((call_id, 11, 1)),
            lambda call_id: closed(call_id, 5, written_off=1),
        ):
            await store.apply_outboxes({p: [kind(call_id)] for p, call_id in ids.items()})
        return len(statements)

    assert await statements_for("few", [3]) == await statements_for("many", range(64))
    assert await store.balance("alice") == 1_000_000 - 65 * 5
    async with engine.connect() as connection:
        rows = await connection.execute(
            sa.select(tables.partitions.c.partition, tables.partitions.c.drained_count)
        )
        assert dict(rows.all()) == dict.fromkeys(range(64), 3) | {3: 6}


async def poison(engine, call_id):
    """See to it that no end of this call can be booked."""
    transfer = Transfer(f"charge:{call_id}", "charge", "a", "b", 1, "alice", "USD", call_id)
    async with engine.begin() as connection:
        await connection.run_sync(insert_transfers, [transfer], START)


async def test_a_poisoned_entry_stops_only_its_own_partition(store, engine):
    await poison(engine, "c2")
    outbox = MemoryOutbox(3)
    outbox.streams[0] = [opened("c1", 10), closed("c1", 5)]
    outbox.streams[1] = [opened("c2", 10, "bob"), closed("c2", 5, 60, "bob")]
    outbox.streams[2] = [opened("c3", 10), closed("c3", 7)]
    drainer = Drainer(outbox, store, 3)
    for n in range(2):
        with capture_logs(), pytest.raises(sa.exc.IntegrityError):
            await drainer.drain_once()
        assert await store.balance("alice") == 1_000_000 - 12 - n
        assert [len(stream) for stream in outbox.streams] == [0, 2, 0]
        outbox.streams[0] = [opened("c4", 1)]
    # Nothing of it, not even what could have been booked without the rest.
    assert await store.balance("bob") == 0


async def test_a_call_named_in_two_partitions_is_booked_one_partition_at_a_time(store):
    outbox = MemoryOutbox(2)
    outbox.streams = [[opened("c1", 10)], [ticked(("c1", 12, 2))]]
    with capture_logs() as logs:
        assert await Drainer(outbox, store, 2).drain_once() == 2
    assert await store.balance("alice") == 1_000_000 - 12
    assert [line["event"] for line in logs] == ["outbox booked partition by partition"]


async def test_drainers_of_the_same_partitions_wait_for_one_another(store, engine):
    """Whatever order they name partitions and accounts in: nobody waits in a ring."""
    names = [f"account{n}" for n in range(16)]
    async with engine.begin() as connection:
        rows = [tables.new_account(name, "USD", START) for name in names]
        await connection.execute(sa.insert(tables.accounts), rows)

    async def drain(seed):
        chance = random.Random(seed)
        for second in range(1, 9):
            order = chance.sample(range(16), 12)
            await store.apply_outboxes(
                {
                    n: [opened(f"c{n}", 1, names[n]), ticked((f"c{n}", second, second))]
                    for n in order
                }
            )

    await asyncio.gather(*map(drain, range(4)))
    assert await audit(engine) == []


async def test_a_key_that_the_book_has_lost_is_noted_as_revoked(store, engine):
    """A book restored from an older copy: its calls say whose the key was."""
    detail = msgspec.structs.replace(opening("c1"), key_id="k" * 255)
    fields = {"c": b"c1", "a": b"alice", "s": b"70", "m": msgspec.json.encode(detail)}
    for _ in range(2):
        await store.apply_outbox(0, [entry("O", **fields)])
    async with engine.connect() as connection:
        (key,) = (await connection.execute(sa.select(tables.api_keys))).all()
    assert (key.id, key.account_id) == ("k" * 255, "alice")
    assert key.revoked_at is not None
    assert not re.fullmatch("[0-9a-f]{64}", key.key_hash), "nothing is a hash of it"
    assert await audit(engine) == []
