"""Which tables a database has: none, older ones, those of this release, or another release's.

Only reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.errors import UnfitBookError
from billing.stores.database import TIMEOUT_S, reading


class Age(Enum):
    """How a database's tables stand to this release."""

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
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    found = set(MigrationContext.configure(connection).get_current_heads())
    unknown = found - {script.revision for script in scripts.walk_revisions()}
    if unknown:
        raise UnfitBookError(
            f"The database was made by another release of Caller (tables {', '.join(unknown)},"
            f" which this one does not know; it knows {', '.join(scripts.get_heads())}). Install"
            " that release or a newer one, or use the copy that was made before."
        )
    if not found:
        return Age.NEW
    return Age.CURRENT if found == set(scripts.get_heads()) else Age.OLDER


def _may_change(connection: sa.Connection) -> bool:
    if connection.dialect.name != "postgresql":
        return True
    asked = "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"
    return bool(connection.execute(sa.text(asked)).scalar_one())
