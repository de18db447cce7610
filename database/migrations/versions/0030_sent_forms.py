"""Forms of pages that were received: the same one sent again is not done twice."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    op.create_table(
        "sent_forms",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_sent_forms"),
    )
    op.create_index("ix_sent_forms_at", "sent_forms", ["at"])


def downgrade() -> None:
    op.drop_table("sent_forms")
