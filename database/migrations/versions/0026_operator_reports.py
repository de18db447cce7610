"""What operators watch is found by time: newest freezes, and calls that the end of credit ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.create_index("ix_freezes_at", "freezes", ["at"])
    ended = sa.text("ended_by = 'credit'")
    op.create_index(
        "ix_calls_cut_off", "calls", ["ended_at"], sqlite_where=ended, postgresql_where=ended
    )


def downgrade() -> None:
    op.drop_index("ix_calls_cut_off", "calls")
    op.drop_index("ix_freezes_at", "freezes")
