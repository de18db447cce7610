"""Stores in SQL which text was posted as which version: the digest of each, and since when.

People accept a version, so a version must be the same text for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.consent import Document
from accounts.stores import tables as people
from database.engine import TIMEOUT_S, reading, upsert, writing

_POSTED: Final = people.posted_texts


@dataclass(frozen=True, slots=True)
class Posted:
    """A text in one language, as a version."""

    document: Document
    version: str
    language: str
    """Empty for the text that applies to everybody else."""
    digest: str


@dataclass(frozen=True, slots=True)
class Other:
    """A text that differs from the one that was posted as its version."""

    text: Posted
    posted_at: datetime


async def post(engine: AsyncEngine, texts: Sequence[Posted], at: datetime) -> Sequence[Other]:
    """Record texts as posted from now on; return those whose version was posted with another text.

    If there are any, nothing is recorded. A repeat changes nothing. Raises StoreUnavailableError.
    """
    async with writing(engine, TIMEOUT_S) as connection:
        if others := await _others(connection, texts):
            return others
        rows = [
            {
                "document": each.document.value,
                "version": each.version,
                "language": each.language,
                "digest": each.digest,
                "posted_at": at,
            }
            for each in texts
        ]
        if rows:
            await connection.execute(upsert(connection, _POSTED).on_conflict_do_nothing(), rows)
        # Another node may have been first with a different text.
        return await _others(connection, texts)


async def others(engine: AsyncEngine, texts: Sequence[Posted]) -> Sequence[Other]:
    """Return texts that differ from those posted; read-only. Raises StoreUnavailableError."""
    async with reading(engine, TIMEOUT_S) as connection:
        return await _others(connection, texts)


async def _others(connection: AsyncConnection, texts: Sequence[Posted]) -> Sequence[Other]:
    if not texts:
        return []
    asked = {(each.document.value, each.version, each.language): each for each in texts}
    key = sa.tuple_(_POSTED.c.document, _POSTED.c.version, _POSTED.c.language)
    query = sa.select(_POSTED).where(key.in_(list(asked)))
    rows = (await connection.execute(query.order_by(*_POSTED.primary_key))).all()
    return [
        Other(text, row.posted_at)
        for row in rows
        if (text := asked[row.document, row.version, row.language]).digest != row.digest
    ]
