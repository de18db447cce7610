"""What has been forgotten of calls, exports of personal data, and who does a daily duty."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("calls", sa.Column("forgotten_at", TIME))
    create_partial_index("ix_calls_kept", "calls", ["created_at"], "forgotten_at IS NULL")
    op.create_index("ix_devices_last_seen_at", "devices", ["last_seen_at"])
    op.create_index("ix_links_expires_at", "links", ["expires_at"])
    op.create_index("ix_expected_links_lapses_at", "expected_links", ["lapses_at"])
    op.create_index("ix_account_events_at", "account_events", ["at"])
    create_partial_index(
        "ix_holders_unproven", "holders", ["created_at"], "email_proven_at IS NULL"
    )
    create_exports()
    op.create_table(
        "duties",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("held_until", TIME, nullable=False),
        sa.Column("done_at", TIME),
        sa.PrimaryKeyConstraint("name", name="pk_duties"),
    )


def create_partial_index(
    name: str, table: str, columns: list[str], condition: str, *, unique: bool = False
) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)


def create_exports() -> None:
    op.create_table(
        "exports",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("progress", sa.Integer(), nullable=False),
        sa.Column("session_digest", sa.String(), nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("claimed_until", TIME),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", TIME),
        sa.Column("expires_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_exports"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["holders.account_id"], name="fk_exports_account_id"
        ),
        sa.CheckConstraint("length(id) BETWEEN 1 AND 64", name="id_length"),
        sa.CheckConstraint(
            "length(session_digest) BETWEEN 64 AND 64", name="session_digest_length"
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'making', 'ready', 'expired', 'failed')", name="state"
        ),
        sa.CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
    )
    op.create_index("ix_exports_account_id_asked_at", "exports", ["account_id", "asked_at"])
    pending = "state IN ('queued', 'making')"
    create_partial_index("ix_exports_pending", "exports", ["asked_at"], pending)
    create_partial_index("uq_exports_under_way", "exports", ["account_id"], pending, unique=True)
    op.create_table(
        "export_chunks",
        sa.Column("export_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("export_id", "number", name="pk_export_chunks"),
        sa.ForeignKeyConstraint(["export_id"], ["exports.id"], name="fk_export_chunks_export_id"),
        sa.CheckConstraint("length(content) BETWEEN 1 AND 1048576", name="content_length"),
    )


def downgrade() -> None:
    """Take away what was added; what has been forgotten stays so."""
    for table in ("duties", "export_chunks", "exports"):
        op.drop_table(table)
    for table, index in (
        ("holders", "ix_holders_unproven"),
        ("account_events", "ix_account_events_at"),
        ("expected_links", "ix_expected_links_lapses_at"),
        ("links", "ix_links_expires_at"),
        ("devices", "ix_devices_last_seen_at"),
        ("calls", "ix_calls_kept"),
    ):
        op.drop_index(index, table)
    op.drop_column("calls", "forgotten_at")
