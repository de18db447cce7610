"""What lets the audit prove dates of charges, and refunds and disputes of payments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

# A call that cost nothing has no transfer: its end is the closest known time.
BOOKED = """
UPDATE calls SET booked_at = coalesce(
    (SELECT at FROM transfers WHERE reference = 'charge:' || calls.id),
    (SELECT at FROM transfers WHERE reference = 'write-off:' || calls.id),
    ended_at)
WHERE closed
"""
# If an account has one disputed payment its entries say how much was taken; else it is not known.
DISPUTED = """
UPDATE payments SET disputed_micros = CASE WHEN (
    SELECT count(*) FROM payments AS other
    WHERE other.account_id = payments.account_id AND other.state IN ('disputed', 'lost')
) = 1 THEN (
    SELECT -sum(micros) FROM credits
    WHERE credits.account_id = payments.account_id AND credits.kind = 'dispute'
) END
WHERE state IN ('disputed', 'lost')
"""


def upgrade() -> None:
    op.add_column("calls", sa.Column("booked_at", sa.DateTime(timezone=True)))
    op.add_column("credits", sa.Column("payment_id", sa.String()))
    op.add_column(
        "payments", sa.Column("disputed_micros", sa.BigInteger(), server_default=sa.text("0"))
    )
    op.execute(BOOKED)
    op.execute(DISPUTED)


def downgrade() -> None:
    for table, name in (
        ("payments", "disputed_micros"),
        ("credits", "payment_id"),
        ("calls", "booked_at"),
    ):
        op.drop_column(table, name)
