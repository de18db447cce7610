"""Address and deletion of account holders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column(
        "accounts", sa.Column("email", sa.String(), nullable=False, server_default=sa.text("''"))
    )
    op.add_column("accounts", sa.Column("deleted_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    for name in ("deleted_at", "email"):
        op.drop_column("accounts", name)
