"""What a spend cap's counter can be, by what the book says of its calls."""

from datetime import UTC, datetime, time, timedelta

import sqlalchemy as sa

from billing.ports import PartitionState
from billing.spend_limits import Period, cap_name
from billing.stores import tables
from billing.stores.gate_detail import read_detail
from billing.stores.refill import here
from tests.billing.outbox_entries import START, closed, opened, ticked

MIDNIGHT = datetime.combine(START, time(), UTC)
SHORTLY_BEFORE = MIDNIGHT - timedelta(seconds=30)
DAY, MONTH = (cap_name("account:alice", period, START) for period in Period)


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
    assert (await caps(engine)).caps == {DAY: (1, 111), MONTH: (118, 118)}
    await limit(engine, caps_counted_from=MIDNIGHT)
    assert (await caps(engine)).caps == {DAY: (1, 111), MONTH: (1, 118)}
    await limit(engine, month_cap_micros=None)
    assert (await caps(engine)).caps == {DAY: (1, 111)}


async def test_only_what_the_gate_speaks_of_is_looked_up(engine, store):
    await store.apply_outbox(0, [opened("c1", 5), closed("c1", 3), opened("c2", 5)])
    gate = PartitionState(
        closed_calls=[("c1", 3), ("c2", 5), ("ghost", 1)],
        spent=[(DAY, 1), ("account:ghost:day:2026-11-24", 1), ("key:k9:day:2026-11-24", 1)],
    )
    found = await caps(engine, gate)
    assert {name: end.charged_micros for name, end in found.endings.items()} == {"c1": 3}
    assert found.owners == {"account:alice": "alice"}
