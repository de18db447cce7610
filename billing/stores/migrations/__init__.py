"""Brings a database of any age to the newest tables."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.stores.database import create_engine, writing

MIGRATION_TIMEOUT_S = 600.0
"""Bound of a start: waiting for another starter, and rewriting a year of calls."""
ADVISORY_LOCK = 0x43414C4C4552
"""PostgreSQL's name for "someone is migrating": `CALLER` in ASCII."""


async def migrate(engine: AsyncEngine) -> None:
    """Run all outstanding migrations in one transaction; starters that come together take turns.

    Raises StoreUnavailableError; nothing is changed then.
    """
    # Its own connection, as this one must wait for locks far longer than any other.
    patient = create_engine(engine.url, lock_wait_ms=int(MIGRATION_TIMEOUT_S * 1000))
    try:
        async with writing(patient, MIGRATION_TIMEOUT_S) as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
            await connection.run_sync(_upgrade)
    finally:
        await patient.dispose()


def newest() -> str:
    """Return the revision of the newest tables: migrations are numbered, and named by number."""
    files = (Path(__file__).parent / "versions").glob("[0-9]*_*.py")
    return max(file.name.partition("_")[0] for file in files)


def _upgrade(connection: sa.Connection) -> None:
    if sa.inspect(connection).has_table("alembic_version"):
        versions = connection.execute(sa.text("SELECT version_num FROM alembic_version"))
        if versions.scalars().all() == [newest()]:
            return
    # Imported here: a process that finds the tables made, as the drainer does, is 9 MB smaller.
    from billing.stores.migrations.upgrade import upgrade  # noqa: PLC0415

    upgrade(connection)
