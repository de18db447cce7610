"""Opens the stores, Redis and SQL, and builds the drainer between them.

A drainer process needs nothing else, so no carrier, page or payment service is imported here.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from billing.drain import Drainer, OnTurn
from billing.ports import PARTITIONS
from billing.stores.redis import RedisSpendGate
from billing.stores.redis_client import connect, disconnect, preflight
from billing.stores.refill import SqlPositions
from billing.stores.sql import SqlCdrStore, SqlLedgerStore
from database.engine import create_engine
from database.errors import StoreUnavailableError
from database.migrations import PATIENT_MS, migrate
from database.url import UrlError
from gateway import regular_files
from gateway.charging.call_refunds import CallRefunds
from gateway.charging.refilling import Refilling
from gateway.errors import SettingsError
from gateway.ports import Notify, to_nobody
from gateway.roles.booked_news import tell_of_credit
from gateway.settings import Settings
from gateway.stores import private_files, rights
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.drain_mark import RedisDrainMark
from gateway.stores.embedded import EmbeddedValkey
from gateway.stores.key_epochs import UNTOLD, RedisKeyEpochs
from gateway.stores.opened import Stores
from gateway.webhooks.spool import queue_ended_calls


def no_file(settings: Settings) -> str:
    """Return the message for something at SQLite's path that is not a file."""
    named = "CALLER_DATABASE_URL" if settings.database_url else "CALLER_DATA_DIR"
    where = "" if settings.database_url else f" in its {private_files.DATABASE}"
    return f"{named} does not name a regular file{where}, so it cannot be a database."


def database_url(settings: Settings) -> str:
    """Return the URL of the database; without one, that of a file in the data folder."""
    own = settings.data_dir.absolute() / private_files.DATABASE
    return settings.database_url.reveal() or f"sqlite:///{own}"


@dataclass(slots=True)
class Book:
    """An open connection to SQL alone; Redis is reached only to invalidate the key epoch."""

    engine: AsyncEngine
    ledger: SqlLedgerStore
    accounts: SqlAccountStore
    end_key_epoch: Callable[[], Awaitable[None]]
    """Makes every node ask the book again. Raises StoreUnavailableError: repeat it."""

    async def close(self) -> None:
        """Close it."""
        await self.engine.dispose()


async def open_book(settings: Settings) -> Book:
    """Open SQL, and migrate it, for commands that must work without Redis.

    Raises StoreUnavailableError, SettingsError. A later change of keys also raises them if Redis
    cannot be notified; the change is saved nevertheless.
    """
    if settings.redis_url:
        # Report an unusable URL before anything is changed. This connects to nothing.
        await disconnect(_connect(settings.redis_url.reveal()))
    engine = await _open_migrated(settings, COMMAND_LOCK_WAIT_MS)

    async def end_epoch() -> None:
        try:
            # Opened only here, so that commands that change no key never need Redis.
            async with open_redis_alone(settings) as redis:
                await RedisKeyEpochs(redis).invalidate()
        except StoreUnavailableError as error:
            raise StoreUnavailableError(UNTOLD) from error

    accounts = SqlAccountStore(engine, on_change=end_epoch)
    return Book(engine, SqlLedgerStore(engine), accounts, end_epoch)


@contextlib.asynccontextmanager
async def open_redis_alone(settings: Settings) -> AsyncIterator[Any]:
    """Open Redis alone, for a command that needs it in addition to the book.

    Raises StoreUnavailableError, SettingsError.
    """
    async with contextlib.AsyncExitStack() as stack:
        redis, _ = await _open_redis(settings, stack, is_child=False)
        yield redis


COMMAND_LOCK_WAIT_MS = 10_000
"""How long a command waits for another process that is migrating the database."""


async def open_stores(
    settings: Settings, *, is_child: bool = False, is_node: bool = False, fills: bool = True
) -> Stores:
    """Open Redis and SQL, and make them ready; a child leaves the bundled Valkey to its parent.

    A node waits longer than a command for another process that migrates. With `fills`, partitions
    that the spend gate has lost are filled from the book; an audit must see them as they are.
    Raises StoreUnavailableError, SettingsError.
    """
    async with contextlib.AsyncExitStack() as stack:
        redis, valkey = await _open_redis(settings, stack, is_child=is_child)
        # Before SQL: credits must not be put into a server that evicts keys or is too old.
        await preflight(redis)
        await rights.require(redis)
        engine = await _open_migrated(settings, PATIENT_MS if is_node else COMMAND_LOCK_WAIT_MS)
        stack.push_async_callback(engine.dispose)
        gate = RedisSpendGate(redis)
        ledger = SqlLedgerStore(
            engine,
            gate_sequence=gate.credit_sequence,
            on_ended=queue_ended_calls,
            on_news=tell_of_credit,
        )
        epochs = RedisKeyEpochs(redis)
        accounts = SqlAccountStore(engine, on_change=epochs.invalidate)
        stores = Stores(redis, engine, gate, ledger, SqlCdrStore(engine), accounts, epochs, valkey)
        if fills:
            drain = build_drainer(stores, settings).drain_once
            positions = SqlPositions(engine)
            refilling = Refilling(gate, ledger, stores.records, positions, PARTITIONS, drain)
            await refilling.fill()
        # Everything is open; from here on `Stores.close` closes it.
        stack.pop_all()
    return stores


async def _open_redis(
    settings: Settings, stack: contextlib.AsyncExitStack, *, is_child: bool
) -> tuple[Any, EmbeddedValkey | None]:
    """Return a client, and the bundled Valkey if there is one; the stack closes them."""
    valkey, url = None, settings.redis_url.reveal()
    if not url:
        private_files.restrict_folder(settings.data_dir)
        # A child must not start the server: it would take the server down when it ends.
        valkey = EmbeddedValkey(settings.data_dir / private_files.VALKEY, may_own=not is_child)
        url = await valkey.start()
        stack.push_async_callback(valkey.stop)
    redis = _connect(url)
    stack.push_async_callback(disconnect, redis)
    return redis, valkey


async def _open_migrated(settings: Settings, lock_wait_ms: int) -> AsyncEngine:
    if not settings.database_url:
        private_files.restrict_folder(settings.data_dir)
    engine = open_database(settings)
    try:
        # Whichever process comes first migrates: all need the current tables.
        await migrate(engine, lock_wait_ms=lock_wait_ms)
    except BaseException:
        await engine.dispose()
        raise
    return engine


def _connect(url: str) -> Any:
    try:
        return connect(url)
    except ValueError as error:
        raise SettingsError(f"CALLER_REDIS_URL is not usable: {error}.") from None


def open_database(settings: Settings) -> AsyncEngine:
    """Return the database alone, without checking its tables. Raises SettingsError."""
    try:
        engine = create_engine(database_url(settings))
    except UrlError as error:
        raise SettingsError(f"CALLER_DATABASE_URL {error}.") from None
    file = engine.url.database or ""
    # SQLite itself would only say "unable to open database file".
    if engine.dialect.name == "sqlite" and not Path(file).parent.is_dir():
        raise SettingsError("CALLER_DATABASE_URL names a file in a folder that does not exist.")
    if engine.dialect.name == "sqlite" and regular_files.is_other(Path(file)):
        raise SettingsError(no_file(settings))
    if engine.dialect.name == "sqlite":
        private_files.restrict_database(Path(file))
    return engine


@contextlib.asynccontextmanager
async def migrated_database(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """Open the database alone, with migrated tables: for what needs no credit store.

    Raises StoreUnavailableError, SettingsError.
    """
    engine = await _open_migrated(settings, COMMAND_LOCK_WAIT_MS)
    try:
        yield engine
    finally:
        await engine.dispose()


def build_drainer(
    stores: Stores,
    settings: Settings,
    notify: Notify = to_nobody,
    on_turn: OnTurn = lambda: None,
) -> Drainer:
    """Return the drainer of the spend gate's outbox into the book of record.

    It also refunds calls by the rules of the settings, and records when the outbox was last empty.
    `on_turn` is called at each turn of its work.
    """
    refunds = CallRefunds(
        stores.ledger,
        stores.gate,
        short_call_s=settings.refund_short_call_s,
        per_day_max=settings.refunds_day_max,
        notify=notify,
    )
    return Drainer(
        stores.gate,
        stores.ledger,
        PARTITIONS,
        refunds.on_booked,
        on_turn=on_turn,
        on_drained=RedisDrainMark(stores.redis).set,
    )
