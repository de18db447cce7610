"""Second factors, their recovery codes, and passkeys."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "second_factors",
        text_column("account_id"),
        text_column("sealed_secret"),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_second_factors"),
        holder_reference("second_factors"),
        *lengths("second_factors", sealed_secret=(1, 255)),
    )
    op.create_table(
        "recovery_codes",
        text_column("account_id"),
        text_column("digest"),
        sa.PrimaryKeyConstraint("account_id", "digest", name="pk_recovery_codes"),
        holder_reference("recovery_codes"),
        *lengths("recovery_codes", digest=(64, 64)),
    )
    op.create_table(
        "passkeys",
        text_column("credential_id"),
        text_column("account_id"),
        text_column("public_key"),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        text_column("name"),
        sa.Column("is_synced", sa.Boolean(), nullable=False),
        sa.Column("is_backed_up", sa.Boolean(), nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.Column("used_at", TIME),
        sa.PrimaryKeyConstraint("credential_id", name="pk_passkeys"),
        holder_reference("passkeys"),
        *lengths("passkeys", credential_id=(1, 1364), public_key=(1, 1368), name=(0, 64)),
    )
    op.create_index("ix_passkeys_account_id", "passkeys", ["account_id"])


def downgrade() -> None:
    for table in ("passkeys", "recovery_codes", "second_factors"):
        op.drop_table(table)


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


def holder_reference(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["account_id"], ["holders.account_id"], name=f"fk_{table}_account_id"
    )
