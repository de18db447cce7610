"""Charges of saved cards are repeated as they were first requested."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.create_table(
        "charge_requests",
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_charge_requests")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_charge_requests_account_id")
        ),
    )
    op.create_index(op.f("ix_charge_requests_account_id"), "charge_requests", ["account_id"])


def downgrade() -> None:
    op.drop_table("charge_requests")
