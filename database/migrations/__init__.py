"""Brings a database of any age to the newest tables; imports Alembic only where that is needed."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from database.engine import TIMEOUT_S, create_engine, reading, writing
from database.schema import Age, require_known

MIGRATION_TIMEOUT_S = 600.0
"""Bound of a start: waiting for another starter, and rewriting a year of calls."""
PATIENT_MS = int(MIGRATION_TIMEOUT_S * 1000)
"""How long a node that starts waits for another that migrates."""
ADVISORY_LOCK = 0x43414C4C4552
"""PostgreSQL's name for "someone is migrating": `CALLER` in ASCII."""


async def migrate(engine: AsyncEngine, *, lock_wait_ms: int = PATIENT_MS) -> None:
    """Run all outstanding migrations in one transaction; starters that come together take turns.

    A database that has them all is only read. Raises StoreUnavailableError, when another holds the
    database for longer than `lock_wait_ms` too; nothing is changed then.
    """
    async with reading(engine, TIMEOUT_S) as connection:
        if await connection.run_sync(require_known) is Age.CURRENT:
            return
    # An engine of its own: its bounds are minutes, because rewriting a year of calls takes some.
    patient = create_engine(engine.url, lock_wait_ms=lock_wait_ms)
    try:
        async with writing(patient, MIGRATION_TIMEOUT_S) as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
                # PostgreSQL lets several transactions migrate at once, so starters take turns. It
                # is released with the transaction, also if the process dies. SQLite's write lock
                # does the same.
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
            await connection.run_sync(_upgrade)
    finally:
        await patient.dispose()


def _upgrade(connection: sa.Connection) -> None:
    # Again, under the lock: a newer release may have migrated while this one waited.
    require_known(connection)
    # Imported here: a process that finds the tables made, as the drainer does, is 9 MB smaller.
    from database.migrations.upgrade import upgrade  # noqa: PLC0415

    upgrade(connection)
