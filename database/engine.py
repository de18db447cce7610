"""Connects to the SQL database, and bounds how long any use of it may take.

SQLite by default, PostgreSQL by URL: users of this module see one kind of connection, and one error
if the database does not answer.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from database import refusals, undertaking
from database import url as urls
from database.errors import DatabaseLockedError

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

TIMEOUT_S = 5.0
"""Bound of one operation, from asking the pool for a connection to the end of the commit. Giving
up a connection that does not answer adds the two seconds of SQLAlchemy's graceful close."""
AUDIT_TIMEOUT_S = 300.0
"""Bound of an audit, which reads the whole ledger."""
LOCK_WAIT_MS = 4_000
"""Bound of the wait for another writer; below `TIMEOUT_S`, so that the database gives up first
and the connection survives. Not much below: SQLite's writers do not queue, and the worker, which
gives way to all others, may be kept from ending its turn."""
CONNECT_TIMEOUT_S = 3.0
POOL_SIZE = 5
"""Connections of one process; the book is off the media path and never needs many."""

_SQLITE_BEGIN = "sqlite_begin"
_FOR_WRITING = {_SQLITE_BEGIN: "BEGIN IMMEDIATE"}
_THREADED = "threaded_engine"

_Result = TypeVar("_Result")


def create_engine(url: str | URL, *, lock_wait_ms: int = LOCK_WAIT_MS) -> AsyncEngine:
    """Return an engine for `sqlite:///file` or `postgresql://...`; connects to nothing yet.

    Raises UrlError for any other database, and for SQLite in memory: the gateway and the drainer
    are two processes and need a file.
    """
    place = urls.parse(url)
    if place.url.get_backend_name() == "sqlite":
        return _create_sqlite_engine(place.url, lock_wait_ms)
    return create_async_engine(
        place.url,
        hide_parameters=True,
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_timeout=CONNECT_TIMEOUT_S,
        # Costs a round trip per checkout. Without it a restart of the server would fail the next
        # transaction of each pooled connection.
        pool_pre_ping=True,
        connect_args={
            "timeout": min(place.connect_timeout_s or CONNECT_TIMEOUT_S, TIMEOUT_S),
            **({"dsn": place.dsn} if place.dsn else {}),
            "server_settings": {
                "application_name": "caller",
                **place.server_settings,
                # The server has bounds of its own: a statement whose client has given up would
                # otherwise go on, and keep its locks.
                "lock_timeout": str(lock_wait_ms),
                "statement_timeout": str(int(TIMEOUT_S * 1000)),
                # A process that vanishes in mid-transaction must not hold an account's lock.
                "idle_in_transaction_session_timeout": str(int(TIMEOUT_S * 2000)),
            },
        },
    )


@asynccontextmanager
async def reading(engine: AsyncEngine, timeout_s: float) -> AsyncIterator[AsyncConnection]:
    """Open a transaction that sees one moment of the database, for reading only.

    Raises StoreUnavailableError.
    """
    # READ COMMITTED, the default, would show each statement another moment. A transaction of SQLite
    # in WAL mode reads one snapshot anyway.
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
    async with _bounded(engine, timeout_s), engine.connect() as connection:
        yield connection


@asynccontextmanager
async def reading_long(engine: AsyncEngine, timeout_s: float) -> AsyncIterator[AsyncConnection]:
    """Open the same without the database's own limit on each statement: minutes of a large ledger.

    `timeout_s` bounds it as a whole. Raises StoreUnavailableError.
    """
    async with reading(engine, timeout_s) as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        yield connection


@asynccontextmanager
async def writing(engine: AsyncEngine, timeout_s: float) -> AsyncIterator[AsyncConnection]:
    """Open a transaction for writing; commits unless the body raises.

    Raises StoreUnavailableError, also when the outcome of the commit is unknown: what is
    written this way must be safe to write again.
    """
    async with _bounded(engine, timeout_s), _engine_for_writing(engine).begin() as connection:
        await undertaking.take_along(connection)
        yield connection
        # From now on the commit may have happened, even if it fails.
        undertaking.note_commit()


def _engine_for_writing(engine: AsyncEngine) -> AsyncEngine:
    """Return the engine whose transactions take SQLite's write lock at once.

    A transaction that reads first and writes later would fail, not wait, when another writer came
    between (sqlite.org/lang_transaction.html, 2.2).
    """
    return engine.execution_options(**_FOR_WRITING)


class Transactions:
    """Runs transactions, each as one synchronous function.

    SQLite's asynchronous driver switches to its thread for each statement; here the whole
    transaction is one switch.
    """

    def __init__(self, engine: AsyncEngine, timeout_s: float) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._threaded: sa.Engine | None = engine.get_execution_options().get(_THREADED)

    async def run(self, work: Callable[[sa.Connection], _Result]) -> _Result:
        """Run the work in a transaction; commits unless it raises.

        Raises StoreUnavailableError, also when the outcome is unknown, as `writing` does.
        """
        if self._threaded is None:
            async with writing(self._engine, self._timeout_s) as connection:
                return await connection.run_sync(work)
        # Giving up does not stop the thread: the transaction may still commit, so its outcome is
        # unknown.
        undertaking.note_change()
        async with _bounded(self._engine, self._timeout_s):
            return await asyncio.to_thread(_run, self._threaded, work)

    async def read(self, work: Callable[[sa.Connection], _Result]) -> _Result:
        """Run the work in a transaction that sees one moment, for reading only.

        Raises StoreUnavailableError.
        """
        if self._threaded is None:
            async with reading(self._engine, self._timeout_s) as connection:
                return await connection.run_sync(work)
        async with _bounded(self._engine, self._timeout_s):
            return await asyncio.to_thread(_look, self._threaded, work)


async def empty_log(engine: AsyncEngine, timeout_s: float) -> bool:
    """Move SQLite's write-ahead log into its file and empty it: it has what was deleted since.

    False while somebody reads from it: try again. True at once for PostgreSQL, whose log its
    operator keeps. Raises StoreUnavailableError.
    """
    threaded: sa.Engine | None = engine.get_execution_options().get(_THREADED)
    if threaded is None:
        return True
    async with _bounded(engine, timeout_s):
        return await asyncio.to_thread(_empty_log, threaded)


def _empty_log(engine: sa.Engine) -> bool:
    # Past SQLAlchemy, which would begin a transaction.
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        rows = cursor.fetchall()
        return not rows[0][0]
    finally:
        connection.close()


def _run(engine: sa.Engine, work: Callable[[sa.Connection], _Result]) -> _Result:
    with engine.execution_options(**_FOR_WRITING).begin() as connection:
        return work(connection)


def _look(engine: sa.Engine, work: Callable[[sa.Connection], _Result]) -> _Result:
    with engine.connect() as connection:
        return work(connection)


def upsert(
    connection: AsyncConnection | sa.Connection, table: sa.Table
) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that supports ON CONFLICT, in this database's dialect."""
    return upsert_in(connection.dialect.name, table)


def upsert_in(dialect: str, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that supports ON CONFLICT, in the dialect of this name."""
    if dialect == "postgresql":
        # Imported here: where SQLite is used every process is 2 MB smaller.
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        return postgresql.insert(table)
    return sqlite.insert(table)


def _create_sqlite_engine(url: URL, lock_wait_ms: int) -> AsyncEngine:
    # Imported here: where PostgreSQL is used every process is smaller.
    from database import sqlite_driver  # noqa: PLC0415

    # For `Transactions`. Two connections are kept, one to write and one to read: to open one is a
    # fifth of what the drainer does.
    threaded = sa.create_engine(
        url.set(drivername="sqlite+pysqlite"),
        pool_size=2,
        max_overflow=POOL_SIZE,
        pool_timeout=CONNECT_TIMEOUT_S,
        **_sqlite_options(lock_wait_ms),
    )
    sa.event.listen(threaded, "connect", lambda connection, _: _prepare_sqlite(connection))
    sa.event.listen(threaded, "begin", _begin_sqlite)
    engine = create_async_engine(
        url,
        pool_size=POOL_SIZE,
        pool_timeout=CONNECT_TIMEOUT_S,
        execution_options={_THREADED: threaded},
        **_sqlite_options(lock_wait_ms, async_creator_fn=sqlite_driver.connect(_prepare_sqlite)),
    )
    sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
    sa.event.listen(engine.sync_engine, "engine_disposed", lambda _: threaded.dispose())
    return engine


def _sqlite_options(lock_wait_ms: int, **connect_args: Any) -> dict[str, Any]:
    return {
        # An error's text would quote them, and with them numbers and addresses.
        "hide_parameters": True,
        # The driver must not begin transactions of its own accord; `_begin_sqlite` does.
        "connect_args": {"isolation_level": None, "timeout": lock_wait_ms / 1000, **connect_args},
    }


def _is_utf8(content: bytes | None) -> bool:
    try:
        (content or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _prepare_sqlite(connection: Any) -> None:
    # SQLite keeps any bytes as text, and has no function that tells whether they are UTF-8.
    connection.create_function("is_utf8", 1, _is_utf8, deterministic=True)
    cursor = connection.cursor()
    # WAL lets readers and a writer work at once. The mode is the file's, and most connections find
    # it set. Setting it needs the whole database: SQLite refuses, instead of waiting, if another
    # process that starts is doing the same. That refusal is harmless, because this connection
    # follows the file's mode, and no durability depends on it.
    cursor.execute("PRAGMA journal_mode")
    if cursor.fetchone() != ("wal",):
        with suppress(sqlite3.OperationalError):
            cursor.execute("PRAGMA journal_mode = WAL")
    # NORMAL may forget the last commits when power fails; by then the outbox has been trimmed and
    # a payment acknowledged, so that money would be gone. FULL syncs each commit, a few a second.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    # What is deleted is overwritten: an erasure must reach the file, too.
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_SQLITE_BEGIN, "BEGIN"))


@asynccontextmanager
async def _bounded(engine: AsyncEngine, timeout_s: float) -> AsyncIterator[None]:
    # In this order: lasting refusals are recognised by the raw error, before all the rest becomes
    # "did not answer".
    with _translated(engine), refusals.told_plainly():
        async with asyncio.timeout(timeout_s):
            yield


@contextmanager
def _translated(engine: AsyncEngine) -> Iterator[None]:
    """Turn every way of not answering into StoreUnavailableError; let our own mistakes through."""
    try:
        yield
    # These are our own mistakes, which trying again would only repeat.
    except (sa.exc.IntegrityError, sa.exc.ProgrammingError, sa.exc.DataError):
        raise
    except (
        sa.exc.DBAPIError,
        sa.exc.TimeoutError,
        OSError,  # includes TimeoutError
    ) as error:
        if _is_locked(error):
            raise DatabaseLockedError(engine.url.database or "") from error
        raise refusals.unavailable("the book of record did not answer", error) from error


def _is_locked(error: Exception) -> bool:
    """Whether SQLite waited in vain for another process; extended codes have more bits."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else None
    return getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
