"""Reaching the database: URLs, settings, and what a transaction promises."""

import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa

from database.engine import (
    TIMEOUT_S,
    Transactions,
    create_engine,
    empty_log,
    reading,
    reading_long,
    upsert,
    writing,
)
from database.errors import DatabaseLockedError, StoreUnavailableError
from tests.postgres import sqlite_threads_ended

words = sa.Table("words", sa.MetaData(), sa.Column("word", sa.String, primary_key=True))
COUNT = sa.select(sa.func.count()).select_from(words)


@pytest.fixture
async def engine(database_url):
    """A database with one table: `words`, which has none."""
    engine = create_engine(database_url)
    async with writing(engine, TIMEOUT_S) as connection:
        await connection.run_sync(words.metadata.create_all)
    yield engine
    await engine.dispose()
    await sqlite_threads_ended()


async def count(engine):
    async with reading(engine, TIMEOUT_S) as connection:
        return await connection.scalar(COUNT)


async def add(engine, word):
    async with writing(engine, TIMEOUT_S) as connection:
        await connection.execute(sa.insert(words).values(word=word))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:////data/book.db", "sqlite+aiosqlite:////data/book.db"),
        ("sqlite+aiosqlite:///book.db", "sqlite+aiosqlite:///book.db"),
        ("postgresql://u:p@db/caller", "postgresql+asyncpg://u:p@db/caller"),
        ("postgres://u:p@db:5433/caller", "postgresql+asyncpg://u:p@db:5433/caller"),
        (
            "postgresql://u:p@db/caller?sslmode=require",
            "postgresql+asyncpg://u:p@db/caller?ssl=require",
        ),
        ("postgresql+asyncpg://db/caller", "postgresql+asyncpg://db/caller"),
    ],
)
def test_the_url_names_the_asynchronous_driver(url, expected):
    assert create_engine(url).url.render_as_string(hide_password=False) == expected


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "mysql://db/x", "postgresql+psycopg2://db/x"]
)
def test_other_databases_are_refused(url):
    with pytest.raises(ValueError, match=r"SQLite|PostgreSQL"):
        create_engine(url)


async def test_sqlite_keeps_what_it_acknowledged(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/book.db")
    async with engine.connect() as connection:
        pragmas = {
            name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    await engine.dispose()
    full = 2
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "busy_timeout": 4000,
    }


async def test_a_read_sees_one_moment(engine):
    async with reading(engine, TIMEOUT_S) as connection:
        assert await connection.scalar(COUNT) == 0
        await add(engine, "later")
        assert await connection.scalar(COUNT) == 0
    assert await count(engine) == 1


async def test_a_write_that_fails_leaves_nothing(engine):
    async def fail():
        async with writing(engine, TIMEOUT_S) as connection:
            await connection.execute(sa.insert(words).values(word="half"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await count(engine) == 0


async def test_a_transaction_is_one_function(engine):
    def work(connection):
        connection.execute(sa.insert(words).values(word="whole"))
        return connection.scalar(COUNT)

    def fail(connection):
        connection.execute(sa.insert(words).values(word="half"))
        raise RuntimeError

    transactions = Transactions(engine, TIMEOUT_S)
    assert await transactions.run(work) == 1
    with pytest.raises(RuntimeError):
        await transactions.run(fail)
    assert await count(engine) == 1


async def test_a_reading_transaction_is_one_function_that_leaves_nothing(engine):
    def work(connection):
        connection.execute(sa.insert(words).values(word="half"))
        return connection.scalar(COUNT)

    transactions = Transactions(engine, TIMEOUT_S)
    await add(engine, "whole")
    assert await transactions.read(lambda connection: connection.scalar(COUNT)) == 1
    if engine.dialect.name == "sqlite":
        assert await transactions.read(work) == 2
    else:
        with pytest.raises(StoreUnavailableError):
            await transactions.read(work)
    assert await count(engine) == 1


async def test_a_reading_transaction_waits_for_no_writer(engine):
    transactions = Transactions(engine, TIMEOUT_S)
    async with writing(engine, TIMEOUT_S) as connection:
        await connection.execute(sa.insert(words).values(word="later"))
        assert await transactions.read(lambda connection: connection.scalar(COUNT)) == 0


async def test_a_repeated_row_may_be_passed_over(engine):
    async with writing(engine, TIMEOUT_S) as connection:
        for _ in range(2):
            statement = upsert(connection, words).values(word="once").on_conflict_do_nothing()
            await connection.execute(statement)
    assert await count(engine) == 1


async def test_our_own_mistakes_are_not_taken_for_an_outage(engine):
    await add(engine, "once")
    with pytest.raises(sa.exc.IntegrityError):
        await add(engine, "once")


async def test_a_file_that_another_process_holds_is_named(tmp_path):
    file = tmp_path / "book.db"
    engine = create_engine(f"sqlite:///{file}", lock_wait_ms=1)
    async with writing(engine, TIMEOUT_S) as connection:
        await connection.run_sync(words.metadata.create_all)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseLockedError) as locked:
            await add(engine, "later")
        assert locked.value.file == str(file)
        assert await count(engine) == 0, "it can be read all the same"
    await add(engine, "later")
    assert await count(engine) == 1
    await engine.dispose()
    await sqlite_threads_ended()


async def test_an_audit_is_bounded_as_a_whole_and_not_by_each_statement(engine):
    bounds = []
    for look in (reading, reading_long):
        async with look(engine, TIMEOUT_S) as connection:
            if engine.dialect.name == "postgresql":
                bounds.append(await connection.scalar(sa.text("SHOW statement_timeout")))
            assert await connection.scalar(COUNT) == 0
    assert bounds == (["5s", "0"] if engine.dialect.name == "postgresql" else [])


async def test_a_log_that_nobody_reads_from_is_emptied_or_its_operators(engine):
    await add(engine, "once")
    assert await empty_log(engine, TIMEOUT_S)


async def test_what_is_deleted_is_in_no_file(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/book.db")
    async with writing(engine, TIMEOUT_S) as connection:
        await connection.run_sync(words.metadata.create_all)
        await connection.execute(sa.insert(words).values(word="needle" * 20))
    async with writing(engine, TIMEOUT_S) as connection:
        await connection.execute(sa.delete(words))
    assert await empty_log(engine, TIMEOUT_S)
    found = [path.name for path in tmp_path.iterdir() if b"needle" in path.read_bytes()]
    assert found == []
    await engine.dispose()


async def test_a_log_that_is_read_from_is_emptied_later(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/book.db", lock_wait_ms=1)
    async with writing(engine, TIMEOUT_S) as connection:
        await connection.run_sync(words.metadata.create_all)
    async with reading(engine, TIMEOUT_S) as reader:
        await reader.scalar(COUNT)
        await add(engine, "later")
        assert not await empty_log(engine, TIMEOUT_S)
    assert await empty_log(engine, TIMEOUT_S)
    await engine.dispose()
