"""Deletions of accounts, requests about data, choices, and why an account is frozen."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

TIME = sa.DateTime(timezone=True)
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    create_freezes()
    add_choices()
    create_erasures()
    create_data_requests()
    create_consent_proofs()
    op.create_table(
        "policy_notices",
        text_column("version"),
        text_column("told_to"),
        sa.Column("done_at", TIME),
        sa.PrimaryKeyConstraint("version", name="pk_policy_notices"),
        *lengths("policy_notices", version=(1, 64), told_to=(0, 64)),
    )


def downgrade() -> None:
    for table in ("policy_notices", "consent_proofs", "data_requests", "erasures", "freezes"):
        op.drop_table(table)
    for column in ("objected_at", "restricted_at", "muted"):
        op.drop_column("holders", column)
    op.drop_column("accounts", "keeps_quality")


def text_column(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def lengths(table: str, **bounds: tuple[int, int]) -> Iterable[sa.CheckConstraint]:
    """Yield constraints on numbers of characters."""
    for name, (shortest, longest) in bounds.items():
        yield sa.CheckConstraint(
            f"length({name}) BETWEEN {shortest} AND {longest}",
            # The name is final, and the naming convention must not prefix it again.
            name=op.f(f"ck_{table}_{name}_length"),
        )


def create_freezes() -> None:
    op.create_table(
        "freezes",
        text_column("account_id"),
        text_column("reason"),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "reason", name="pk_freezes"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_freezes_account_id"),
    )
    # Whose dispute froze an account is known by its payments; all others froze an operator.
    op.execute(
        "INSERT INTO freezes (account_id, reason, at)"
        " SELECT a.id, CASE WHEN EXISTS (SELECT 1 FROM payments p WHERE p.account_id = a.id"
        " AND p.state IN ('disputed', 'lost')) THEN 'dispute' ELSE 'operator' END, a.created_at"
        " FROM accounts a WHERE a.frozen AND a.deleted_at IS NULL"
    )


def add_choices() -> None:
    op.add_column(
        "accounts",
        sa.Column("keeps_quality", sa.Boolean(), nullable=False, server_default=sa.true()),
    )
    for name in ("objected_at", "restricted_at"):
        op.add_column("holders", sa.Column(name, TIME))
    # Said in SQL: in SQLite Alembic would copy the table, to which others refer.
    op.execute(
        "ALTER TABLE holders ADD COLUMN muted VARCHAR DEFAULT '' NOT NULL"
        " CONSTRAINT ck_holders_muted_length CHECK (length(muted) BETWEEN 0 AND 200)"
    )


def create_erasures() -> None:
    op.create_table(
        "erasures",
        *(text_column(name) for name in ("account_id", "state", "step", "unspent", "actor")),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("leased_until", TIME),
        sa.Column("ended_at", TIME),
        sa.PrimaryKeyConstraint("account_id", name="pk_erasures"),
        *lengths(
            "erasures",
            account_id=(1, 64),
            state=(1, 64),
            step=(1, 64),
            unspent=(1, 64),
            actor=(1, 64),
        ),
    )
    op.create_index("ix_erasures_state_due_at", "erasures", ["state", "due_at"])


def create_data_requests() -> None:
    op.create_table(
        "data_requests",
        sa.Column("id", NUMBER, nullable=False),
        text_column("account_id"),
        text_column("kind"),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("done_at", TIME),
        text_column("done_by"),
        text_column("note"),
        sa.PrimaryKeyConstraint("id", name="pk_data_requests"),
        *lengths("data_requests", account_id=(1, 64), kind=(1, 64), done_by=(0, 64), note=(0, 200)),
    )
    op.create_index("ix_data_requests_account_id_id", "data_requests", ["account_id", "id"])
    op.create_index("ix_data_requests_done_at_due_at", "data_requests", ["done_at", "due_at"])


def create_consent_proofs() -> None:
    op.create_table(
        "consent_proofs",
        *(text_column(name) for name in ("digest", "document", "version")),
        sa.Column("at", TIME, nullable=False),
        sa.Column("kept_until", TIME, nullable=False),
        sa.PrimaryKeyConstraint("digest", "document", "version", name="pk_consent_proofs"),
        *lengths("consent_proofs", digest=(64, 64), document=(1, 64), version=(1, 64)),
    )
    op.create_index("ix_consent_proofs_kept_until", "consent_proofs", ["kept_until"])
