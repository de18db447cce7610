"""Since when the calls of an account or a key count under its spend caps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    # NULL until a cap is set; then the time from which all calls of its holder are counted.
    for table in ("accounts", "api_keys"):
        op.add_column(table, sa.Column("caps_counted_from", sa.DateTime(timezone=True)))


def downgrade() -> None:
    for table in ("api_keys", "accounts"):
        op.drop_column(table, "caps_counted_from")
