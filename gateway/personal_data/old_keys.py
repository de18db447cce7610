"""Deletes from SQL the API keys that ended years ago, once no call names them.

The search blocks no writers: for an account with many calls it may take a while. An ended key is no
longer used, so nothing can change in between.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.personal_data import years_before
from billing.clock import Clock
from billing.stores import tables
from billing.stores.freezes import is_used
from database.engine import AUDIT_TIMEOUT_S, reading_long, writing
from gateway.buttons.tables import buttons

BATCH: Final = 100
"""Keys per transaction."""

_KEYS = tables.api_keys.c


class SqlOldKeys:
    """Deletes the old keys of one database. Every method raises StoreUnavailableError."""

    def __init__(
        self, engine: AsyncEngine, books_kept_years: int, clock: Clock, timeout_s: float
    ) -> None:
        self._engine = engine
        self._years = books_kept_years
        self._clock = clock
        self._timeout_s = timeout_s

    async def due(self) -> int:
        """Return how many keys are to be deleted; changes nothing."""
        counted = sa.select(sa.func.count()).select_from(tables.api_keys)
        async with reading_long(self._engine, AUDIT_TIMEOUT_S) as connection:
            return int(await connection.scalar(counted.where(self._is_due())) or 0)

    async def sweep(self) -> tuple[int, bool]:
        """Delete one batch; return how many keys, and whether more may be left."""
        query = sa.select(_KEYS.id).where(self._is_due()).limit(BATCH)
        async with reading_long(self._engine, AUDIT_TIMEOUT_S) as connection:
            found = (await connection.scalars(query)).all()
        if found:
            async with writing(self._engine, self._timeout_s) as connection:
                await connection.execute(sa.delete(tables.api_keys).where(_KEYS.id.in_(found)))
        return len(found), len(found) >= BATCH

    def _is_due(self) -> sa.ColumnElement[bool]:
        before: datetime = years_before(self._clock(), self._years)
        calls = tables.calls.c
        users = (
            sa.select(calls.id).where(
                calls.account_id == _KEYS.account_id, calls.key_id == _KEYS.id
            ),
            sa.select(buttons.c.id).where(buttons.c.key_id == _KEYS.id),
        )
        return sa.and_(
            sa.or_(_KEYS.revoked_at < before, _KEYS.expires_at < before),
            is_used(_KEYS.account_id),
            *(~each.exists() for each in users),
        )
