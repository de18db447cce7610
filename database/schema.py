"""Finds which tables a database has: none, older ones, this release's, or another release's.

Reads only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from database.engine import TIMEOUT_S, reading
from database.errors import UnfitBookError

TABLES: Final = frozenset(
    (
        "account_events",
        "accounts",
        "api_keys",
        "button_keys",
        "buttons",
        "call_refusals",
        "calls",
        "charge_requests",
        "closed_books",
        "closed_credits",
        "consent_proofs",
        "consents",
        "credits",
        "data_requests",
        "devices",
        "duties",
        "erasures",
        "event_forgetting",
        "expected_links",
        "export_chunks",
        "exports",
        "freezes",
        "high_risk_lists",
        "holders",
        "links",
        "mail_outbox",
        "opened_countries",
        "partitions",
        "passkeys",
        "payment_profiles",
        "payments",
        "policy_notices",
        "posted_texts",
        "proven_destinations",
        "rate_decks",
        "recovery_codes",
        "rejected_entries",
        "rule_overrides",
        "second_factors",
        "sent_forms",
        "supervision_rules",
        "transfers",
        "webhook_attempts",
        "webhook_deliveries",
        "webhook_endpoints",
    )
)
"""The names of the tables that the migrations make."""


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
    """Look at a database.

    Raises UnfitBookError for another release's or another program's, StoreUnavailableError.
    """
    async with reading(engine, TIMEOUT_S) as connection:
        return Schema(
            await connection.run_sync(require_known), await connection.run_sync(_may_change)
        )


def require_known(connection: sa.Connection) -> Age:
    """Return the age of the tables.

    Raises UnfitBookError for another release's, and for another program's of the same names.
    """
    known, found = _revisions(), set[str]()
    inspector = sa.inspect(connection)
    # A view takes a table's name as well.
    present = {*inspector.get_table_names(), *inspector.get_view_names()}
    if "alembic_version" in present:
        found = set(connection.scalars(sa.text("SELECT version_num FROM alembic_version")))
    if unknown := found - set(known):
        raise UnfitBookError(
            f"The database was made by another release of Caller (tables {', '.join(unknown)},"
            f" which this one does not know; it knows {known[-1]}). Install that release or a newer"
            " one, or use the copy that was made before."
        )
    if not found:
        # Made in one transaction, ours never come without their number.
        if foreign := TABLES & present:
            raise UnfitBookError(
                "The database belongs to another program: it has tables of its own that are named"
                f" like Caller's ({', '.join(sorted(foreign))}). Name an empty database, or one of"
                " Caller's."
            )
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
