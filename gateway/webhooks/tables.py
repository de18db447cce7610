"""Tables of webhook endpoints, deliveries and attempts, for SQLite and PostgreSQL alike.

`database/migrations/` builds these tables. For an ended call a delivery stores only the id of the
call's record, which is read when the event is sent, so that a forgotten call is not reported. Of a
secret only the seed is stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.personal_data import DELIVERIES_KEPT
from database.columns import NAMING_CONVENTION, UtcDateTime
from gateway.app import PersonalRows
from gateway.stores.people_transactions import Change
from gateway.webhooks.ports import LABEL_MAX, EndReason, called
from gateway.webhooks.target import URL_CHARS_MAX

DATA_LENGTH_MAX: Final = 16_000
REASON_LENGTH_MAX: Final = 40

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)


def _text(name: str, longest: int) -> tuple[sa.Column[str], sa.CheckConstraint]:
    check = sa.CheckConstraint(f"length({name}) <= {longest}", name=f"{name}_length")
    return sa.Column(name, sa.String, nullable=False, server_default=sa.text("''")), check


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=sa.text("0"))


endpoints = sa.Table(
    "webhook_endpoints",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    # NULL for the operator's, whose address and secret are settings.
    sa.Column("account_id", sa.String, index=True),
    *_text("url", URL_CHARS_MAX),
    *_text("label", LABEL_MAX),
    # Names separated by spaces; empty for all that an account may have.
    *_text("types", 1_000),
    # What the secret is derived from (`webhooks.signature.SecretMaker`), and the one before it.
    *_text("seed", 100),
    *_text("old_seed", 100),
    sa.Column("old_until", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # When its address was last set.
    sa.Column("set_at", UtcDateTime, nullable=False),
    sa.Column("disabled_at", UtcDateTime),
    *_text("disabled_why", REASON_LENGTH_MAX),
    sa.Column("failing_since", UtcDateTime),
    # In a row.
    _number("failures"),
    # Nothing is sent before this, even if it is due.
    sa.Column("rests_until", UtcDateTime, nullable=False),
    # Until when one process sends to it; past that the process counts as dead.
    sa.Column("claimed_until", UtcDateTime, nullable=False),
)

deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column(
        "endpoint_id", sa.ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("account_id", sa.String, index=True),
    *_text("event_id", 64),
    *_text("type", 40),
    # When it happened.
    sa.Column("at", UtcDateTime, nullable=False),
    *_text("call_id", 100),
    *_text("data_json", DATA_LENGTH_MAX),
    sa.Column("state", sa.String, nullable=False),
    _number("tries"),
    # Those before it was last sent again by hand.
    _number("tries_before"),
    sa.Column("next_try_at", UtcDateTime, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    *_text("failure", REASON_LENGTH_MAX),
    sa.UniqueConstraint("endpoint_id", "event_id"),
    sa.CheckConstraint("state IN ('queued', 'sent', 'abandoned')", name="state"),
    sa.Index(None, "endpoint_id", "created_at"),
    sa.Index(None, "created_at"),
)
# Of rows that wait: said by the migration alone, for SQLAlchemy would bring the other database's
# dialect into every process.
sa.Index("ix_webhook_deliveries_queued", deliveries.c.endpoint_id, deliveries.c.next_try_at)

attempts = sa.Table(
    "webhook_attempts",
    metadata,
    sa.Column(
        "delivery_id",
        sa.ForeignKey("webhook_deliveries.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.String, index=True),
    sa.Column("at", UtcDateTime, nullable=False),
    # NULL if there was no answer.
    sa.Column("status", sa.Integer),
    sa.Column("ms", sa.Integer, nullable=False),
    *_text("reason", REASON_LENGTH_MAX),
)


async def erase_webhook_rows(connection: AsyncConnection, account_id: str) -> None:
    """Delete an account's endpoints, with everything queued for them."""
    # Deliveries and attempts go with their endpoints.
    await connection.execute(sa.delete(endpoints).where(endpoints.c.account_id == account_id))


async def working_webhooks(
    connection: AsyncConnection, account_id: str, most: int
) -> Sequence[str]:
    """Return the names of an account's enabled endpoints, newest first."""
    of = endpoints.c
    query = sa.select(of.label, of.url).where(of.account_id == account_id, of.disabled_at.is_(None))
    found = await connection.execute(query.order_by(of.created_at.desc()).limit(most))
    return [called(*row) for row in found]


async def take_webhooks_back(change: Change, begin: datetime) -> Mapping[str, Sequence[str]]:
    """Disable endpoints that were set or enabled since `begin`, which would let a thief read on.

    Return their names, as `webhooks`.
    """
    of = endpoints.c
    taken = await change.connection.execute(
        sa.update(endpoints)
        .where(of.account_id == change.holder.account_id, of.set_at >= begin)
        .values(disabled_at=change.at, disabled_why=EndReason.TAKEN_BACK)
        .returning(of.label, of.url)
    )
    return {"webhooks": [called(*row) for row in taken]}


def have_ended(before: datetime) -> sa.ColumnElement[bool]:
    """Return the condition that a delivery was sent or abandoned before a time."""
    # A delivery was created before it ended, so the index on `created_at` helps.
    return sa.and_(deliveries.c.created_at < before, deliveries.c.ended_at < before)


PERSONAL_ROWS: Final = PersonalRows(
    tables=(endpoints, deliveries, attempts),
    order={deliveries.name: ("created_at", "id")},
    outdated={
        "webhook_deliveries": (deliveries, lambda now: have_ended(now - DELIVERIES_KEPT)),
    },
    erase=erase_webhook_rows,
    active=working_webhooks,
    take_back=take_webhooks_back,
)
