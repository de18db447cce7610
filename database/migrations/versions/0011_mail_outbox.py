"""Mails to people wait in SQL until a mail server has taken them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def _text(name: str, length_max: int) -> tuple[sa.Column[str], sa.CheckConstraint]:
    check = sa.CheckConstraint(f"length({name}) <= {length_max}", name=f"{name}_length")
    return sa.Column(name, sa.String(), nullable=False, server_default=sa.text("''")), check


def upgrade() -> None:
    op.create_table(
        "mail_outbox",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("notice", sa.String(), nullable=False),
        *_text("recipient", 320),
        *_text("values_json", 4_000),
        *_text("link_purpose", 40),
        *_text("link_email", 320),
        *_text("once", 200),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        *_text("message_id", 400),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        *_text("failure", 200),
        sa.CheckConstraint("state IN ('queued', 'sending', 'sent', 'abandoned')", name="state"),
    )
    op.create_index("ix_mail_outbox_account_id", "mail_outbox", ["account_id"])
    op.create_index("ix_mail_outbox_created_at", "mail_outbox", ["created_at"])
    pending = sa.text("state IN ('queued', 'sending')")
    op.create_index(
        "ix_mail_outbox_pending",
        "mail_outbox",
        ["next_try_at"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
    once = sa.text("once <> ''")
    op.create_index(
        "uq_mail_outbox_once",
        "mail_outbox",
        ["account_id", "once"],
        unique=True,
        sqlite_where=once,
        postgresql_where=once,
    )


def downgrade() -> None:
    op.drop_table("mail_outbox")
