"""Webhooks wait in SQL until an endpoint has taken them; each attempt is noted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

TIME = sa.DateTime(timezone=True)


def _text(name: str, longest: int) -> tuple[sa.Column[str], sa.CheckConstraint]:
    check = sa.CheckConstraint(f"length({name}) <= {longest}", name=f"{name}_length")
    return sa.Column(name, sa.String(), nullable=False, server_default=sa.text("''")), check


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text("0"))


def upgrade() -> None:
    make_endpoints()
    make_deliveries()
    make_attempts()


def make_endpoints() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("account_id", sa.String()),
        *_text("url", 2_000),
        *_text("label", 80),
        *_text("types", 1_000),
        *_text("seed", 100),
        *_text("old_seed", 100),
        sa.Column("old_until", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("set_at", TIME, nullable=False),
        sa.Column("disabled_at", TIME),
        *_text("disabled_why", 40),
        sa.Column("failing_since", TIME),
        _number("failures"),
        sa.Column("rests_until", TIME, nullable=False),
        sa.Column("claimed_until", TIME, nullable=False),
    )
    op.create_index("ix_webhook_endpoints_account_id", "webhook_endpoints", ["account_id"])


def make_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column(
            "endpoint_id",
            sa.String(),
            sa.ForeignKey(
                "webhook_endpoints.id",
                name="fk_webhook_deliveries_endpoint_id",
                ondelete="CASCADE",
            ),
            nullable=False,
        ),
        sa.Column("account_id", sa.String()),
        *_text("event_id", 64),
        *_text("type", 40),
        sa.Column("at", TIME, nullable=False),
        *_text("call_id", 100),
        *_text("data_json", 16_000),
        sa.Column("state", sa.String(), nullable=False),
        _number("tries"),
        _number("tries_before"),
        sa.Column("next_try_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        *_text("failure", 40),
        sa.UniqueConstraint("endpoint_id", "event_id", name="uq_webhook_deliveries_endpoint_id"),
        sa.CheckConstraint("state IN ('queued', 'sent', 'abandoned')", name="state"),
    )
    op.create_index("ix_webhook_deliveries_account_id", "webhook_deliveries", ["account_id"])
    op.create_index(
        "ix_webhook_deliveries_endpoint_id_created_at",
        "webhook_deliveries",
        ["endpoint_id", "created_at"],
    )
    op.create_index("ix_webhook_deliveries_created_at", "webhook_deliveries", ["created_at"])
    queued = sa.text("state = 'queued'")
    op.create_index(
        "ix_webhook_deliveries_queued",
        "webhook_deliveries",
        ["endpoint_id", "next_try_at"],
        sqlite_where=queued,
        postgresql_where=queued,
    )


def make_attempts() -> None:
    op.create_table(
        "webhook_attempts",
        sa.Column(
            "delivery_id",
            sa.String(),
            sa.ForeignKey(
                "webhook_deliveries.id", name="fk_webhook_attempts_delivery_id", ondelete="CASCADE"
            ),
            primary_key=True,
        ),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("account_id", sa.String()),
        sa.Column("at", TIME, nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("ms", sa.Integer(), nullable=False),
        *_text("reason", 40),
    )
    op.create_index("ix_webhook_attempts_account_id", "webhook_attempts", ["account_id"])


def downgrade() -> None:
    for table in ("webhook_attempts", "webhook_deliveries", "webhook_endpoints"):
        op.drop_table(table)
