"""What a caller says of a call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column(
        "calls", sa.Column("feedback", sa.String(), nullable=False, server_default=sa.text("''"))
    )


def downgrade() -> None:
    op.drop_column("calls", "feedback")
