"""Stores which countries a person has opened, together with the mail and audit line about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.audit_log import Act
from accounts.notice import Notice
from accounts.stores import audit_log, countries
from billing.clock import Clock, utc_now
from database.engine import TIMEOUT_S
from database.errors import StoreUnavailableError
from gateway.stores.people_transactions import PeopleTransactions, Queue

DAY: Final = timedelta(hours=24)


class SqlHolderCountries:
    """`gateway.people.countries.HolderCountries` in SQLite or PostgreSQL.

    `on_change` is awaited after each commit that opens or closes a country, so that processes drop
    what they have cached. If it fails, the change has still happened.
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
        self._people = PeopleTransactions(engine, queue, clock=clock, timeout_s=timeout_s)
        self._on_change = on_change

    async def opened(self, account_id: str) -> frozenset[str]:
        """Return the countries that are open. Raises StoreUnavailableError."""
        async with self._people.reading() as connection:
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
        """Open a country; None if the session is over, False if the day's limit is reached.

        An open country stays open and causes one notice. Raises StoreUnavailableError.
        """
        async with self._people.changing(account_id, credentials_epoch) as change:
            if change is None:
                return None
            connection, at = change.connection, change.at
            if country in await countries.of_account(connection, account_id):
                return True
            # Counted in the log, not in the countries: closing one does not win another.
            opened = await audit_log.count_since(
                connection, account_id, Act.COUNTRY_OPENED, at - DAY
            )
            if opened >= day_max:
                return False
            await countries.open_country(connection, account_id, country, at)
            await change.record(Act.COUNTRY_OPENED, reason=country)
            await change.tell(notice)
        await self._told()
        return True

    async def close_country(self, account_id: str, credentials_epoch: int, country: str) -> bool:
        """Close a country; False if the session is over. Raises StoreUnavailableError."""
        async with self._people.changing(account_id, credentials_epoch) as change:
            if change is None:
                return False
            if await countries.close_country(change.connection, account_id, country):
                await change.record(Act.COUNTRY_CLOSED, reason=country)
        await self._told()
        return True

    async def _told(self) -> None:
        # If this fails, cached countries are used for a few more seconds.
        with suppress(StoreUnavailableError):
            await self._on_change()
