"""The book of record while its database does not answer, in every way it may not."""

import asyncio
import sqlite3
import time

import pytest
import sqlalchemy as sa

from billing.drain import Drainer
from billing.stores import tables
from billing.stores.audit import audit
from billing.stores.sql import SqlCdrStore, SqlLedgerStore
from database.engine import create_engine
from database.errors import StoreUnavailableError
from database.migrations import migrate
from tests.billing.outbox_entries import MemoryOutbox, closed, costing, opened
from tests.postgres import sqlite_threads_ended

TIMEOUT_S = 0.3
BOUND_S = TIMEOUT_S + 3.0
"""With what closing a connection that does not answer may take."""


def operations(ledger, records):
    return {
        "add_credit": lambda: ledger.add_credit("alice", 5, reference="away", kind="top-up"),
        "apply_outbox": lambda: ledger.apply_outbox(0, [opened("c9", 5)]),
        "freeze": lambda: ledger.freeze("alice", True),
        "credits_after": lambda: ledger.credits_after("alice", 0),
        "partition_state": lambda: ledger.partition_state(0, 64),
        "balance": lambda: ledger.balance("alice"),
        "get": lambda: records.get("alice", "c1"),
        "page": lambda: records.page("alice", limit=5),
    }


WRITES = ("add_credit", "apply_outbox", "freeze")


async def assert_unavailable(operation):
    start = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        await operation()
    assert time.monotonic() - start < BOUND_S


async def test_sqlite_locked_by_another_writer(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/book.db", lock_wait_ms=50)
    await migrate(engine)
    ledger, records = SqlLedgerStore(engine), SqlCdrStore(engine)
    outbox = MemoryOutbox(1)
    outbox.streams[0] = [opened("c1", 100, rate=costing(90)), closed("c1", 90)]
    drainer = Drainer(outbox, ledger, 1)
    other = sqlite3.connect(tmp_path / "book.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for name, operation in operations(ledger, records).items():
        if name in WRITES:
            await assert_unavailable(operation)
        else:
            await operation()
    await assert_unavailable(drainer.drain_once)
    other.execute("ROLLBACK")
    other.close()
    assert await drainer.drain_once() == 2
    assert await ledger.balance("alice") == -90
    assert await audit(engine) == []
    await engine.dispose()


async def test_sqlite_that_answers_too_late(tmp_path):
    """The wait for the lock outlasts the operation's bound: the bound holds."""
    engine = create_engine(f"sqlite:///{tmp_path}/book.db", lock_wait_ms=1_000)
    await migrate(engine)
    other = sqlite3.connect(tmp_path / "book.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ledger = SqlLedgerStore(engine, timeout_s=TIMEOUT_S)
    await assert_unavailable(lambda: ledger.apply_outbox(0, [opened("c1", 100, rate=costing(90))]))
    other.execute("ROLLBACK")
    other.close()
    ledger = SqlLedgerStore(engine)
    await ledger.apply_outbox(0, [opened("c1", 100, rate=costing(90))])
    assert await ledger.balance("alice") == -100
    await engine.dispose()


async def test_sqlite_that_cannot_be_opened(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/missing/book.db")
    for operation in operations(SqlLedgerStore(engine), SqlCdrStore(engine)).values():
        await assert_unavailable(operation)
    with pytest.raises(StoreUnavailableError):
        await migrate(engine)
    await engine.dispose()
    await sqlite_threads_ended()


@pytest.fixture
async def book(postgres_url):
    """A migrated PostgreSQL book with little patience."""
    engine = create_engine(postgres_url)
    await migrate(engine)
    yield engine
    await engine.dispose()


async def drained(drainer: Drainer) -> int:
    """Drain as the drainer does: it comes back until the book answers, as on a busy machine."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await drainer.drain_once()
            except StoreUnavailableError:
                await asyncio.sleep(0.1)


async def test_postgres_that_stands_still(book, postgres_server):
    ledger = SqlLedgerStore(book, timeout_s=TIMEOUT_S)
    records = SqlCdrStore(book, timeout_s=TIMEOUT_S)
    outbox = MemoryOutbox(1)
    outbox.streams[0] = [opened("c1", 100, rate=costing(90))]
    drainer = Drainer(outbox, ledger, 1)
    assert await drained(drainer) == 1
    outbox.streams[0] = [closed("c1", 90)]
    postgres_server.pause()
    try:
        await asyncio.gather(
            *map(assert_unavailable, operations(ledger, records).values()),
            assert_unavailable(drainer.drain_once),
        )
    finally:
        postgres_server.resume()
    assert len(outbox.streams[0]) == 1
    assert await drained(drainer) == 1
    assert await audit(book) == []


async def test_postgres_that_was_killed_and_comes_back(book, postgres_server):
    ledger = SqlLedgerStore(book, timeout_s=TIMEOUT_S)
    outbox = MemoryOutbox(1)
    outbox.streams[0] = [opened("c1", 100, rate=costing(90))]
    drainer = Drainer(outbox, ledger, 1)
    assert await drained(drainer) == 1
    outbox.streams[0] = [closed("c1", 90)]
    postgres_server.kill()
    try:
        for operation in operations(ledger, SqlCdrStore(book)).values():
            await assert_unavailable(operation)
        await assert_unavailable(drainer.drain_once)
    finally:
        postgres_server.start()
    assert await drained(drainer) == 1
    assert await SqlLedgerStore(book).balance("alice") == -90
    assert await audit(book) == []


async def test_postgres_whose_row_another_holds(postgres_url):
    engine = create_engine(postgres_url, lock_wait_ms=50)
    await migrate(engine)
    ledger = SqlLedgerStore(engine)
    await ledger.apply_outbox(0, [opened("c1", 100, rate=costing(90))])
    async with engine.connect() as connection:
        await connection.execute(sa.update(tables.accounts).values(frozen=False))
        await assert_unavailable(lambda: ledger.add_credit("alice", 5, reference="r", kind="grant"))
        await assert_unavailable(lambda: ledger.apply_outbox(0, [closed("c1", 90)]))
        # Another partition's calls are not held up.
        await ledger.apply_outbox(1, [opened("c2", 100, "bob")])
    await ledger.apply_outbox(0, [closed("c1", 90)])
    assert await audit(engine) == []
    await engine.dispose()
