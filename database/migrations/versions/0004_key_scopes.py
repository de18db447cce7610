"""Scopes and expiry of API keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column(
        "api_keys",
        sa.Column("scopes", sa.String(), nullable=False, server_default=sa.text("'calls'")),
    )
    op.add_column("api_keys", sa.Column("expires_at", sa.DateTime(timezone=True)))
    # Existing keys keep what they could do; only new ones get the default.
    op.execute("UPDATE api_keys SET scopes = 'calls records payments account'")


def downgrade() -> None:
    for name in ("expires_at", "scopes"):
        op.drop_column("api_keys", name)
