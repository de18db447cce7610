"""What a person opens for their calls, what an operator allows and why, and refusals by hour."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

TIME = sa.DateTime(timezone=True)
# By a statement of its own: neither database's ALTER TABLE is given checks of columns by Alembic.
EVENT_COLUMN = (
    "ALTER TABLE account_events ADD COLUMN {name} VARCHAR DEFAULT '' NOT NULL"
    " CONSTRAINT ck_account_events_{name}_length CHECK (length({name}) BETWEEN 0 AND {longest})"
)


def upgrade() -> None:
    for name, longest in (("reason", 300), ("operator", 64)):
        op.execute(EVENT_COLUMN.format(name=name, longest=longest))
    op.create_table(
        "opened_countries",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("country", sa.String(), nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "country", name="pk_opened_countries"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["holders.account_id"], name="fk_opened_countries_account_id"
        ),
        *lengths("opened_countries", country=(2, 2)),
    )
    op.create_table(
        "rule_overrides",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "rule", name="pk_rule_overrides"),
        *lengths("rule_overrides", account_id=(1, 64), rule=(1, 64)),
    )
    op.create_table(
        "call_refusals",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("hour", TIME, nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "hour", "rule", "run", name="pk_call_refusals"),
        *lengths("call_refusals", account_id=(1, 64), rule=(1, 64), run=(1, 64)),
    )
    op.create_index("ix_call_refusals_hour", "call_refusals", ["hour"])


def downgrade() -> None:
    for table in ("call_refusals", "rule_overrides", "opened_countries"):
        op.drop_table(table)
    # Each takes its own check along.
    for name in ("operator", "reason"):
        op.drop_column("account_events", name)


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
