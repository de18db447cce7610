"""Tells which tables a database has: none, older ones, this release's, or another release's.

Reads only. Knows no migration but its number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from database.engine import TIMEOUT_S, reading
from database.errors import UnfitBookError


class Age(Enum):
    """How old a database's tables are, compared with this release."""

    NEW = "has no tables yet; `caller serve` makes them"
    OLDER = "has tables of an older release; `caller serve` brings them up to date"
    CURRENT = "has the tables of this release"


@dataclass(frozen=True, slots=True)
class Schema:
    """What was found."""

    age: Age
    may_change: bool
    """Whether the user may make and change tables."""


async def look(engine: AsyncEngine) -> Schema:
    """Look at a database. Raises UnfitBookError for another release's, StoreUnavailableError."""
    async with reading(engine, TIMEOUT_S) as connection:
        return Schema(
            await connection.run_sync(require_known), await connection.run_sync(_may_change)
        )


def require_known(connection: sa.Connection) -> Age:
    """Return the age of the tables. Raises UnfitBookError for another release's."""
    known, found = _revisions(), set[str]()
    if sa.inspect(connection).has_table("alembic_version"):
        found = set(connection.scalars(sa.text("SELECT version_num FROM alembic_version")))
    if unknown := found - set(known):
        raise UnfitBookError(
            f"The database was made by another release of Caller (tables {', '.join(unknown)},"
            f" which this one does not know; it knows {known[-1]}). Install that release or a newer"
            " one, or use the copy that was made before."
        )
    if not found:
        return Age.NEW
    return Age.CURRENT if found == {known[-1]} else Age.OLDER


def _revisions() -> list[str]:
    """Return all revisions of the tables, the newest last: files are named by their number."""
    # From the names of files, so that a process that only looks need not import Alembic.
    files = (Path(__file__).parent / "migrations" / "versions").glob("[0-9]*_*.py")
    return sorted(file.name.partition("_")[0] for file in files)


def _may_change(connection: sa.Connection) -> bool:
    if connection.dialect.name != "postgresql":
        return True
    asked = "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"
    return bool(connection.execute(sa.text(asked)).scalar_one())
