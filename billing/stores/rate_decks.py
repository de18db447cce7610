"""Rate decks in SQL: imported whole, activated at a time, never changed.

Knows what a deck is worth only by reading it before it is kept. Which deck is in use by a node is
the node's own affair.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.clock import Clock, utc_now
from billing.rate_deck import RateDeck
from billing.stores import tables
from billing.stores.database import TIMEOUT_S, reading, writing

PAGE_ROWS_MAX = 500
"""Decks of one list."""


@dataclass(frozen=True, slots=True)
class DeckVersion:
    """An imported deck, without its content. Times are UTC."""

    version: int
    digest: str
    """SHA-256 of the content, in hexadecimal."""
    source: str
    """Where it came from, for people."""
    prefixes: int
    imported_at: datetime
    activates_at: datetime
    withdrawn_at: datetime | None


class SqlRateDeckStore:
    """Rate decks in SQLite or PostgreSQL."""

    def __init__(
        self, engine: AsyncEngine, *, timeout_s: float = TIMEOUT_S, clock: Clock = utc_now
    ) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._clock = clock

    async def add(self, content: str, source: str, activates_at: datetime) -> int:
        """Keep a deck under the next version; return it.

        A deck that would be in force at that time anyway is not kept again; its version is
        returned, so that an import may be repeated.

        Raises:
            RateDeckError: the content is no deck; nothing is kept.
            StoreUnavailableError: not known to be kept; add it again.

        """
        deck = await asyncio.to_thread(RateDeck.from_csv, content)
        digest = hashlib.sha256(content.encode()).hexdigest()
        decks = tables.rate_decks
        async with writing(self._engine, self._timeout_s) as connection:
            await _lock(connection)
            in_force = (await connection.execute(_in_force(activates_at))).one_or_none()
            if in_force is not None and in_force.digest == digest:
                return int(in_force.version)
            newest = await connection.scalar(sa.select(sa.func.max(decks.c.version)))
            version = (newest or 0) + 1
            await connection.execute(
                sa.insert(decks).values(
                    version=version,
                    digest=digest,
                    source=source,
                    prefixes=len(deck),
                    content=content,
                    imported_at=self._clock(),
                    activates_at=activates_at,
                )
            )
        return version

    async def version_in_force(self, at: datetime) -> int | None:
        """Return the version that `in_force` would return, without reading its content.

        Raises StoreUnavailableError.
        """
        async with reading(self._engine, self._timeout_s) as connection:
            row = (await connection.execute(_in_force(at))).one_or_none()
        return None if row is None else int(row.version)

    async def in_force(self, at: datetime) -> tuple[int, str] | None:
        """Return version and content of the deck that was activated last, None where none was.

        Withdrawn ones do not count; of those activated at once, the highest version holds.
        Raises StoreUnavailableError.
        """
        decks = tables.rate_decks.c
        query = _in_force(at).with_only_columns(decks.version, decks.content)
        async with reading(self._engine, self._timeout_s) as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (row.version, row.content)

    async def content(self, version: int) -> str | None:
        """Return the deck as it was imported. Raises StoreUnavailableError."""
        decks = tables.rate_decks.c
        async with reading(self._engine, self._timeout_s) as connection:
            content: str | None = await connection.scalar(
                sa.select(decks.content).where(decks.version == version)
            )
        return content

    async def list(self, limit: int) -> Sequence[DeckVersion]:
        """Return the newest versions first, withdrawn ones too.

        At most `PAGE_ROWS_MAX`. Raises StoreUnavailableError.
        """
        query = (
            _versions()
            .order_by(tables.rate_decks.c.version.desc())
            .limit(max(0, min(limit, PAGE_ROWS_MAX)))
        )
        async with reading(self._engine, self._timeout_s) as connection:
            return [DeckVersion(*row) for row in await connection.execute(query)]

    async def withdraw(self, version: int) -> bool:
        """Take a deck out of force for good; False where there is none or it was withdrawn.

        Raises StoreUnavailableError.
        """
        decks = tables.rate_decks
        async with writing(self._engine, self._timeout_s) as connection:
            changed = await connection.execute(
                sa.update(decks)
                .where(decks.c.version == version, decks.c.withdrawn_at.is_(None))
                .values(withdrawn_at=self._clock())
            )
        return changed.rowcount == 1


def _in_force(at: datetime) -> sa.Select[int, str]:
    decks = tables.rate_decks.c
    return (
        sa.select(decks.version, decks.digest)
        .where(decks.activates_at <= at, decks.withdrawn_at.is_(None))
        .order_by(decks.activates_at.desc(), decks.version.desc())
        .limit(1)
    )


def _versions() -> sa.Select[int, str, str, int, datetime, datetime, datetime]:
    decks = tables.rate_decks.c
    return sa.select(
        decks.version,
        decks.digest,
        decks.source,
        decks.prefixes,
        decks.imported_at,
        decks.activates_at,
        decks.withdrawn_at,
    )


async def _lock(connection: AsyncConnection) -> None:
    """Make other imports wait until the transaction ends; readers go on.

    SQLite's write lock is taken when the transaction begins.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.text("LOCK TABLE rate_decks IN SHARE ROW EXCLUSIVE MODE"))
