"""What accounts let supervisors do in their calls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.create_table(
        "supervision_rules",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("most", sa.String(), nullable=False),
        sa.Column("silent_reason", sa.String(), nullable=False, server_default=sa.text("''")),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_supervision_rules"),
        sa.CheckConstraint(
            "most IN ('listen', 'whisper', 'barge', 'take-over')",
            name=op.f("ck_supervision_rules_most"),
        ),
        sa.CheckConstraint(
            "length(silent_reason) <= 300",
            name=op.f("ck_supervision_rules_silent_reason_length"),
        ),
    )


def downgrade() -> None:
    op.drop_table("supervision_rules")
