"""How far each partition's outbox is booked, which tells a spend gate that is an older copy."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

NAMES = ("booked_id", "fork_id")


def upgrade() -> None:
    for name in NAMES:
        # What is booked is not known until the next draining: empty, not a guess.
        op.add_column(
            "partitions", sa.Column(name, sa.String(), nullable=False, server_default=sa.text("''"))
        )


def downgrade() -> None:
    for name in reversed(NAMES):
        op.drop_column("partitions", name)
