"""Tables of buttons, their publishable keys and proven numbers, for SQLite and PostgreSQL alike.

`database/migrations/` builds these tables. Accounts and API keys are billing's; here they are
referred to by their ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from database.columns import NAMING_CONVENTION, UtcDateTime
from gateway.buttons.budget_notices import TOLD_CHARS_MAX

ID_MAX: Final = 64
LABEL_MAX: Final = 40
NUMBER_MAX: Final = 16
"""E.164: fifteen digits, preceded by a plus."""
RULES_MAX: Final = 16_000

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)


def _bounded(name: str, longest: int, shortest: int = 1) -> sa.CheckConstraint:
    check = f"length({name}) BETWEEN {shortest} AND {longest}"
    return sa.CheckConstraint(check, name=f"{name}_length")


buttons = sa.Table(
    "buttons",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("account_id", sa.String, nullable=False),
    # The API key of scope `embed` that pays for its calls; it outlives the button because call
    # records name it.
    sa.Column("key_id", sa.String, nullable=False, unique=True),
    sa.Column("label", sa.String, nullable=False),
    # E.164; empty if each call's destination is signed.
    sa.Column("destination", sa.String, nullable=False),
    # The other rules as JSON; the budgets are stored with the API key.
    sa.Column("rules", sa.Text, nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
    # Since when it has been paused; NULL while it takes calls.
    sa.Column("paused_at", UtcDateTime),
    # The last budget notice sent to its owner (`budget_notices`).
    sa.Column("budget_told", sa.String, nullable=False, server_default=sa.text("''")),
    _bounded("budget_told", TOLD_CHARS_MAX, 0),
    _bounded("id", ID_MAX),
    _bounded("account_id", ID_MAX),
    _bounded("key_id", ID_MAX),
    _bounded("label", LABEL_MAX),
    _bounded("destination", NUMBER_MAX, 0),
    _bounded("rules", RULES_MAX, 2),
    sa.Index(None, "account_id", "made_at"),
)

# Publishable keys are public, in pages: they are stored in plain text.
button_keys = sa.Table(
    "button_keys",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("button_id", sa.ForeignKey("buttons.id"), nullable=False, index=True),
    sa.Column("account_id", sa.String, nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
    # NULL while it is the current one; otherwise the end of its overlap with its successor.
    sa.Column("ends_at", UtcDateTime),
    _bounded("key", ID_MAX),
    _bounded("account_id", ID_MAX),
)

proven_destinations = sa.Table(
    "proven_destinations",
    metadata,
    sa.Column("account_id", sa.String, primary_key=True),
    sa.Column("number", sa.String, primary_key=True),
    sa.Column("proven_at", UtcDateTime, nullable=False),
    _bounded("account_id", ID_MAX),
    _bounded("number", NUMBER_MAX, 3),
)


async def erase_button_rows(connection: AsyncConnection, account_id: str) -> None:
    """Delete an account's rows from these tables."""
    # Keys first: they refer to their buttons.
    for table in (button_keys, buttons, proven_destinations):
        await connection.execute(sa.delete(table).where(table.c.account_id == account_id))


async def active_buttons(connection: AsyncConnection, account_id: str, most: int) -> Sequence[str]:
    """Return the labels of an account's buttons that are not paused, the newest first."""
    of = buttons.c
    query = sa.select(of.label).where(of.account_id == account_id, of.paused_at.is_(None))
    found = await connection.scalars(query.order_by(of.made_at.desc()).limit(most))
    return found.all()
