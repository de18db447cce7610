"""Reasons and calls of credits, spend caps, rate decks, payments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TIME = sa.DateTime(timezone=True)
EMPTY = sa.text("''")
ZERO = sa.text("0")


def upgrade() -> None:
    for name in ("call_cap_micros", "day_cap_micros", "month_cap_micros"):
        op.add_column("accounts", sa.Column(name, sa.BigInteger()))
    op.add_column("api_keys", sa.Column("day_cap_micros", sa.BigInteger()))
    op.add_column(
        "transfers", sa.Column("reason", sa.String(), nullable=False, server_default=EMPTY)
    )
    # Empty, not NULL, for a call that was placed without a key: one value means none.
    op.add_column("calls", sa.Column("key_id", sa.String(), nullable=False, server_default=EMPTY))
    create_rate_decks()
    create_payments()
    create_payment_profiles()


def downgrade() -> None:
    for table in ("payment_profiles", "payments", "rate_decks"):
        op.drop_table(table)
    op.drop_column("calls", "key_id")
    op.drop_column("transfers", "reason")
    op.drop_column("api_keys", "day_cap_micros")
    for name in ("month_cap_micros", "day_cap_micros", "call_cap_micros"):
        op.drop_column("accounts", name)


def create_rate_decks() -> None:
    op.create_table(
        "rate_decks",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("prefixes", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("imported_at", TIME, nullable=False),
        sa.Column("activates_at", TIME, nullable=False),
        sa.Column("withdrawn_at", TIME),
        sa.PrimaryKeyConstraint("version", name="pk_rate_decks"),
    )
    op.create_index("ix_rate_decks_activates_at", "rate_decks", ["activates_at"])


def create_payments() -> None:
    op.create_table(
        "payments",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("micros", sa.BigInteger(), nullable=False),
        sa.Column("refunded_micros", sa.BigInteger(), nullable=False, server_default=ZERO),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("checkout_id", sa.String()),
        sa.Column("payment_intent_id", sa.String()),
        sa.Column("receipt_url", sa.String(), nullable=False, server_default=EMPTY),
        sa.Column("failure", sa.String(), nullable=False, server_default=EMPTY),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payments"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_payments_account_id"),
        # Unique where there is one: both databases let any number of rows have NULL.
        sa.UniqueConstraint("checkout_id", name="uq_payments_checkout_id"),
        sa.UniqueConstraint("payment_intent_id", name="uq_payments_payment_intent_id"),
    )
    op.create_index("ix_payments_account_id_created_at", "payments", ["account_id", "created_at"])
    # The reconciler looks for pending payments, which are few among many.
    op.create_index("ix_payments_state", "payments", ["state"])


def create_payment_profiles() -> None:
    op.create_table(
        "payment_profiles",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String()),
        sa.Column("payment_method_id", sa.String()),
        sa.Column("email", sa.String(), nullable=False, server_default=EMPTY),
        sa.Column("auto_enabled", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("auto_threshold_micros", sa.BigInteger(), nullable=False, server_default=ZERO),
        sa.Column("auto_amount_micros", sa.BigInteger(), nullable=False, server_default=ZERO),
        sa.Column("auto_off_reason", sa.String(), nullable=False, server_default=EMPTY),
        sa.PrimaryKeyConstraint("account_id", name="pk_payment_profiles"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_payment_profiles_account_id"
        ),
        sa.UniqueConstraint("customer_id", name="uq_payment_profiles_customer_id"),
    )
