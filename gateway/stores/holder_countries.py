"""Keeps which countries a person has opened: with the mail and the line about it, or not at all.

Knows no HTTP and no country's name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.audit_log import Act
from accounts.holder import Holder
from accounts.notice import Notice
from accounts.session import is_of_epoch
from accounts.stores import audit_log, countries, holders, links
from accounts.stores.tables import holders as holders_table
from billing.clock import Clock, utc_now
from billing.stores.tables import accounts
from database.engine import TIMEOUT_S, reading, writing
from database.errors import StoreUnavailableError

Queue = Callable[[AsyncConnection, str, Notice, datetime], Awaitable[None]]
"""Queues a notice to the holder of an account (connection, account id, notice, now)."""
DAY: Final = timedelta(hours=24)


class SqlHolderCountries:
    """`gateway.people.countries.HolderCountries` in SQLite or PostgreSQL.

    `on_change` is awaited after each commit that opens or closes a country, so that no process
    believes what it remembers. Where it fails the change has happened all the same.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        queue: Queue,
        *,
        on_change: Callable[[], Awaitable[None]],
        clock: Clock = utc_now,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._engine = engine
        self._queue = queue
        self._on_change = on_change
        self._clock = clock
        self._timeout_s = timeout_s

    async def opened(self, account_id: str) -> frozenset[str]:
        """Return the countries that are open. Raises StoreUnavailableError."""
        async with reading(self._engine, self._timeout_s) as connection:
            return await countries.of_account(connection, account_id)

    async def open_country(
        self,
        account_id: str,
        credentials_epoch: int,
        country: str,
        *,
        day_max: int,
        notice: Notice,
    ) -> bool | None:
        """Open a country; None where the session is over, False where the day's are used up.

        A country that is open stays so, and is told of once. Raises StoreUnavailableError.
        """
        at = self._clock()
        async with self._standing(account_id, credentials_epoch) as (connection, holder):
            if holder is None:
                return None
            if country in await countries.of_account(connection, account_id):
                return True
            # Of the log and not of the countries: who closes one again gets none back.
            opened = await audit_log.count_since(
                connection, account_id, Act.COUNTRY_OPENED, at - DAY
            )
            if opened >= day_max:
                return False
            await countries.open_country(connection, account_id, country, at)
            act = Act.COUNTRY_OPENED
            await audit_log.record(connection, account_id, act, at, reason=country)
            if notice.link is not None:
                await links.expect(connection, account_id, notice.link, holder.email, at)
            await self._queue(connection, account_id, notice, at)
        await self._told()
        return True

    async def close_country(self, account_id: str, credentials_epoch: int, country: str) -> bool:
        """Close a country; False where the session is over. Raises StoreUnavailableError."""
        at = self._clock()
        async with self._standing(account_id, credentials_epoch) as (connection, holder):
            if holder is None:
                return False
            if await countries.close_country(connection, account_id, country):
                act = Act.COUNTRY_CLOSED
                await audit_log.record(connection, account_id, act, at, reason=country)
        await self._told()
        return True

    async def _told(self) -> None:
        # Where this fails what is remembered is used for some seconds more.
        with suppress(StoreUnavailableError):
            await self._on_change()

    @asynccontextmanager
    async def _standing(
        self, account_id: str, credentials_epoch: int
    ) -> AsyncIterator[tuple[AsyncConnection, Holder | None]]:
        """Open a transaction with the holder's lock; None where the session is over."""
        query = (
            holders.SELECT.join(accounts, accounts.c.id == holders_table.c.account_id)
            .where(holders_table.c.account_id == account_id, accounts.c.deleted_at.is_(None))
            .with_for_update(of=holders_table)
        )
        async with writing(self._engine, self._timeout_s) as connection:
            holder = await holders.fetch(connection, query)
            stands = holder is not None and is_of_epoch(credentials_epoch, holder)
            yield connection, holder if stands else None
