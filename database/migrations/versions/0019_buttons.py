"""Buttons on other pages with their keys, the numbers that are proven, and months of keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("month_cap_micros", sa.BigInteger()))
    op.create_table(
        "buttons",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("paused_at", TIME),
        sa.Column("budget_told", sa.String(), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("id", name="pk_buttons"),
        sa.UniqueConstraint("key_id", name="uq_buttons_key_id"),
        *lengths(
            "buttons",
            id=(1, 64),
            account_id=(1, 64),
            key_id=(1, 64),
            label=(1, 40),
            destination=(0, 16),
            rules=(2, 16_000),
            budget_told=(0, 64),
        ),
    )
    op.create_index("ix_buttons_account_id_made_at", "buttons", ["account_id", "made_at"])
    op.create_table(
        "button_keys",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("button_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("ends_at", TIME),
        sa.PrimaryKeyConstraint("key", name="pk_button_keys"),
        sa.ForeignKeyConstraint(["button_id"], ["buttons.id"], name="fk_button_keys_button_id"),
        *lengths("button_keys", key=(1, 64), account_id=(1, 64)),
    )
    op.create_index("ix_button_keys_button_id", "button_keys", ["button_id"])
    op.create_table(
        "proven_destinations",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("proven_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "number", name="pk_proven_destinations"),
        *lengths("proven_destinations", account_id=(1, 64), number=(3, 16)),
    )


def downgrade() -> None:
    for table in ("proven_destinations", "button_keys", "buttons"):
        op.drop_table(table)
    op.drop_column("api_keys", "month_cap_micros")


def lengths(table: str, **bounds: tuple[int, int]) -> list[sa.CheckConstraint]:
    """Return constraints on numbers of characters."""
    return [
        sa.CheckConstraint(
            f"length({name}) BETWEEN {shortest} AND {longest}",
            # The name is final, and the naming convention must not prefix it again.
            name=op.f(f"ck_{table}_{name}_length"),
        )
        for name, (shortest, longest) in bounds.items()
    ]
