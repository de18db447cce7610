"""Stores rate decks in SQL: each is imported whole, takes effect at a given time, never changes.

Parses a deck only to check it before it is stored.
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
from database.engine import TIMEOUT_S, reading, writing

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
        """Store a deck under the next version; return the version.

        A deck that would be in force at that time anyway is not stored again; its version is
        returned, so that an import may be repeated.

        Raises:
            RateDeckError: the content is no deck; nothing is stored.
            StoreUnavailableError: not known to be stored; add it again.

        """
        # A deck of some hundred thousand lines would block the loop for too long.
        deck = await asyncio.to_thread(RateDeck.from_csv, content)
        digest = hashlib.sha256(content.encode()).hexdigest()
        decks = tables.rate_decks
        async with writing(self._engine, self._timeout_s) as connection:
            # Two imports at once would both take the version after the newest.
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
        """Return version and content of the deck that was activated last; None if none was.

        Withdrawn decks do not count; of several activated at one time the highest version holds.
        Raises StoreUnavailableError.
        """
        decks = tables.rate_decks.c
        # Nodes poll the version alone; the content, which may be large, is read when that has
        # changed.
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
        """Take a deck out of force for good; return False if there is none, or it was withdrawn.

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
        # Withdrawing the newest therefore brings back the deck before it.
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
    """Make other imports wait until the transaction ends; readers are not affected.

    Nothing to do for SQLite, whose write lock is taken when the transaction begins.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.text("LOCK TABLE rate_decks IN SHARE ROW EXCLUSIVE MODE"))
