"""When the phone was answered, at the latest, for charged calls that do not say it."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

TIME = sa.DateTime(timezone=True)
CALLS = sa.table(
    "calls",
    sa.column("id", sa.String),
    sa.column("closed", sa.Boolean),
    sa.column("seconds", sa.Integer),
    sa.column("answered_at", TIME),
    sa.column("ended_at", TIME),
)


def upgrade() -> None:
    connection, calls = op.get_bind(), CALLS.c
    charged = sa.select(calls.id, calls.ended_at, calls.seconds).where(
        calls.closed, calls.seconds > 0, calls.answered_at.is_(None), calls.ended_at.is_not(None)
    )
    # In Python, because the two databases subtract seconds from a time in different ways.
    rows = [
        {"of": row.id, "at": row.ended_at - timedelta(seconds=row.seconds)}
        for row in connection.execute(charged)
    ]
    if rows:
        answered = sa.update(CALLS).where(calls.id == sa.bindparam("of"))
        connection.execute(answered.values(answered_at=sa.bindparam("at", type_=TIME)), rows)


def downgrade() -> None:
    """Leave what is known."""
