"""One statement for many rows, on both databases: it writes what SQLAlchemy would write."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from database.columns import UtcDateTime
from database.engine import TIMEOUT_S, Transactions, create_engine, reading, upsert_in, writing
from database.many import execute_many
from tests.postgres import sqlite_threads_ended

calls = sa.Table(
    "calls",
    sa.MetaData(),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("spent", sa.BigInteger, nullable=False),
    sa.Column("at", UtcDateTime),
)
INSERT = sa.insert(calls)
UPDATE = sa.update(calls).where(calls.c.name == sa.bindparam("of"))
RAISE = UPDATE.values(spent=calls.c.spent + sa.bindparam("more"))
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 24, 15, tzinfo=timezone(timedelta(hours=2)))


@pytest.fixture
async def engine(database_url):
    """A database with two calls."""
    engine = create_engine(database_url)
    async with writing(engine, TIMEOUT_S) as connection:
        await connection.run_sync(calls.metadata.create_all)
    await run(engine, INSERT, [{"name": name, "spent": 1, "at": None} for name in ("a", "b")])
    yield engine
    await engine.dispose()
    await sqlite_threads_ended()


async def run(engine, statement, rows):
    """Run it as the book does: in one visit of a thread where the database is SQLite."""
    await Transactions(engine, TIMEOUT_S).run(lambda it: execute_many(it, statement, rows))


async def content(engine):
    async with reading(engine, TIMEOUT_S) as connection:
        return (await connection.execute(sa.select(calls).order_by(calls.c.name))).all()


async def test_each_row_is_written(engine):
    await run(engine, UPDATE, [{"of": "a", "spent": 2**53}, {"of": "b", "spent": 3}])
    assert await content(engine) == [("a", 2**53, None), ("b", 3, None)]
    await run(engine, RAISE, [{"of": "b", "more": 4}, {"of": "b", "more": -1}])
    assert await content(engine) == [("a", 2**53, None), ("b", 6, None)]


async def test_values_are_converted_as_their_column_says(engine):
    await run(engine, UPDATE, [{"of": "a", "at": NOON}, {"of": "b", "at": LATER}])
    assert await content(engine) == [("a", 1, NOON), ("b", 1, NOON + timedelta(hours=1))]
    await run(engine, UPDATE, [{"of": "a", "at": None}])
    assert (await content(engine))[0] == ("a", 1, None)


async def test_rows_with_other_names_are_another_text(engine):
    await run(engine, UPDATE, [{"of": "a", "spent": 5}])
    await run(engine, UPDATE, [{"at": NOON, "spent": 6, "of": "a"}])
    assert (await content(engine))[0] == ("a", 6, NOON)


async def test_no_row_asks_nothing(engine):
    await run(engine, UPDATE, [])
    assert await content(engine) == [("a", 1, None), ("b", 1, None)]


async def test_an_insert_that_meets_a_row_updates_it(engine):
    insert = upsert_in(engine.dialect.name, calls)
    add = insert.on_conflict_do_update(
        index_elements=["name"], set_={"spent": calls.c.spent + insert.excluded.spent}
    )
    await run(engine, add, [{"name": "b", "spent": 7}, {"name": "c", "spent": 8}])
    assert await content(engine) == [("a", 1, None), ("b", 8, None), ("c", 8, None)]


async def test_a_refusal_takes_back_all_rows(engine):
    again = [{"name": "c", "spent": 1}, {"name": "a", "spent": 1}]
    with pytest.raises(sa.exc.IntegrityError) as caught:
        await run(engine, INSERT, again)
    assert "parameters hidden" in str(caught.value)
    assert len(await content(engine)) == 2


async def test_a_name_that_is_missing_is_a_bug_of_the_caller(engine):
    with pytest.raises(KeyError):
        await run(engine, UPDATE, [{"of": "a", "spent": 1}, {"of": "b", "more": 1}])
