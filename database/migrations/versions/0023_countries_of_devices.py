"""The country that a device was in at its last sign-in, where an operator lets it be told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    country = sa.Column("country", sa.String(2), nullable=False, server_default=sa.text("''"))
    op.add_column("devices", country)


def downgrade() -> None:
    op.drop_column("devices", "country")
