"""What the carrier answered in place of a call: its code, and its own words."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.add_column("calls", sa.Column("carrier_code", sa.Integer()))
    op.add_column(
        "calls",
        sa.Column("carrier_text", sa.String(), nullable=False, server_default=sa.text("''")),
    )


def downgrade() -> None:
    op.drop_column("calls", "carrier_text")
    op.drop_column("calls", "carrier_code")
