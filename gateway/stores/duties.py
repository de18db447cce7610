"""Stores in SQL which process does a duty of the whole deployment, and when it was last done.

One row per duty, with a lease that expires, so that another process takes over when its holder
dies. Losing a lease is harmless: each step of a duty may be done twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.clock import Clock, utc_now
from database.columns import NAMING_CONVENTION, UtcDateTime
from database.engine import TIMEOUT_S, reading, upsert, writing

LEASE = timedelta(minutes=2)
"""How long a silent holder keeps a duty: many times as long as one step takes."""

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)

duties = sa.Table(
    "duties",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    # Random; the process that holds it now, or held it last.
    sa.Column("holder", sa.String, nullable=False),
    sa.Column("held_until", UtcDateTime, nullable=False),
    # When it was last done completely; NULL for never.
    sa.Column("done_at", UtcDateTime),
)


class SqlDuties:
    """The duties as one process sees them. Every method raises StoreUnavailableError."""

    def __init__(
        self,
        engine: AsyncEngine,
        holder: str,
        *,
        clock: Clock = utc_now,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Take a name unique to this process."""
        self._engine = engine
        self._holder = holder
        self._clock = clock
        self._timeout_s = timeout_s

    async def is_due(self, name: str, every: timedelta) -> bool:
        """Return whether a duty was last done that long ago; takes no lock."""
        async with reading(self._engine, self._timeout_s) as connection:
            done_at = await connection.scalar(sa.select(duties.c.done_at).where(_is(name)))
        return done_at is None or done_at <= self._clock() - every

    async def take(self, name: str) -> bool:
        """Take or renew the lease of a duty; False while another process holds it."""
        now = self._clock()
        mine = {"holder": self._holder, "held_until": now + LEASE}
        async with writing(self._engine, self._timeout_s) as connection:
            await connection.execute(
                upsert(connection, duties)
                .values(name=name, holder=self._holder, held_until=now)
                .on_conflict_do_nothing()
            )
            taken = await connection.execute(
                sa.update(duties)
                .where(
                    _is(name),
                    sa.or_(duties.c.holder == self._holder, duties.c.held_until <= now),
                )
                .values(mine)
                .returning(duties.c.name)
            )
            return taken.scalar() is not None

    async def held_until(self, name: str) -> datetime | None:
        """Return until when another process holds a duty unless it renews it; else None."""
        now = self._clock()
        held = sa.select(duties.c.held_until).where(
            _is(name), duties.c.holder != self._holder, duties.c.held_until > now
        )
        async with reading(self._engine, self._timeout_s) as connection:
            until: datetime | None = await connection.scalar(held)
        return until

    async def done(self, name: str) -> None:
        """Record that a duty was done, and release its lease; does nothing if another holds it."""
        now = self._clock()
        async with writing(self._engine, self._timeout_s) as connection:
            await connection.execute(
                sa.update(duties)
                .where(_is(name), duties.c.holder == self._holder)
                .values(done_at=now, held_until=now)
            )


def _is(name: str) -> sa.ColumnElement[bool]:
    return duties.c.name == name
