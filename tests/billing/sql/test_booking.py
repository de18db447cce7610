"""Booking a batch: in few statements, however large, and without losing what was carried."""

import sqlalchemy as sa

from billing.stores import tables
from billing.stores.audit import audit
from billing.stores.booking import IDS_PER_QUERY, UNKNOWN_CURRENCY
from tests.billing.outbox_entries import closed, costing, opened, ticked


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

    @sa.event.listens_for(engine.sync_engine, "before_cursor_execute")
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
