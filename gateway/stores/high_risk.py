"""Stores the carrier's list of high-risk prefixes in SQL, where every node reads it.

It is replaced as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.clock import Clock, utc_now
from billing.stores import tables
from database.engine import TIMEOUT_S, reading, writing
from database.errors import StoreUnavailableError

KEPT_VERSIONS = 10
"""Lists stored, to show what a sync has changed."""

_Prefix = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,14}$")]
_Content = dict[_Prefix, str]


@dataclass(frozen=True, slots=True)
class SyncedList:
    """A list as the carrier provided it."""

    version: int
    prefixes: Mapping[str, str]
    """Leading digits -> ISO 3166 alpha-2 of the country under which the carrier lists them."""
    synced_at: datetime
    """When it was last read from the carrier, in UTC."""


class SqlHighRiskLists:
    """The carrier's lists in SQLite or PostgreSQL."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        timeout_s: float = TIMEOUT_S,
        clock: Clock = utc_now,
    ) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._clock = clock

    async def replace(self, prefixes: Mapping[str, str]) -> int:
        """Put a list in force; return its version, which stays the same if nothing changed.

        Raises StoreUnavailableError: perhaps not saved; try again.
        """
        lists = tables.high_risk_lists
        # Sorted, so that the same list is always the same text, in whatever order the carrier sends
        # it.
        content = msgspec.json.encode(dict(sorted(prefixes.items()))).decode()
        async with writing(self._engine, self._timeout_s) as connection:
            # Before the newest is read: two syncs could otherwise take the same version.
            await _lock(connection)
            newest = (await connection.execute(_newest())).one_or_none()
            # The same list keeps its version, so that no node reads it again.
            if newest is not None and newest.content == content:
                await connection.execute(
                    sa.update(lists)
                    .where(lists.c.version == newest.version)
                    .values(synced_at=self._clock())
                )
                return int(newest.version)
            version = 1 if newest is None else newest.version + 1
            await connection.execute(
                sa.insert(lists).values(version=version, content=content, synced_at=self._clock())
            )
            await connection.execute(
                sa.delete(lists).where(lists.c.version <= version - KEPT_VERSIONS)
            )
        return version

    async def version(self) -> int | None:
        """Return the version in force; None if there was never a sync.

        Raises StoreUnavailableError.
        """
        async with reading(self._engine, self._timeout_s) as connection:
            newest = sa.select(sa.func.max(tables.high_risk_lists.c.version))
            version: int | None = await connection.scalar(newest)
        return version

    async def newest(self) -> SyncedList | None:
        """Return the list in force; None if there was never a sync.

        Raises StoreUnavailableError, also if the row cannot be read.
        """
        async with reading(self._engine, self._timeout_s) as connection:
            row = (await connection.execute(_newest())).one_or_none()
        if row is None:
            return None
        try:
            prefixes = msgspec.json.decode(row.content, type=_Content)
        except msgspec.MsgspecError:
            raise StoreUnavailableError(
                "the high-risk list in the database cannot be read; sync it again"
            ) from None
        return SyncedList(row.version, prefixes, row.synced_at)


def _newest() -> sa.Select[int, str, datetime]:
    lists = tables.high_risk_lists.c
    return (
        sa.select(lists.version, lists.content, lists.synced_at)
        .order_by(lists.version.desc())
        .limit(1)
    )


async def _lock(connection: AsyncConnection) -> None:
    """Make other syncs wait until the transaction ends; readers are not blocked.

    SQLite's write lock is taken when the transaction begins.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.text("LOCK TABLE high_risk_lists IN SHARE ROW EXCLUSIVE MODE"))
