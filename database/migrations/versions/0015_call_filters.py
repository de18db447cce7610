"""An account's calls are filtered within one index."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"

_NAME = "ix_calls_account_id_created_at_id"
_ORDER = ["account_id", "created_at", "id"]
_FILTERED = ["destination", "closed", "answered_at", "cause", "ended_by", "forgotten_at"]


def upgrade() -> None:
    op.drop_index(_NAME, "calls")
    op.create_index(_NAME, "calls", [*_ORDER, *_FILTERED])


def downgrade() -> None:
    op.drop_index(_NAME, "calls")
    op.create_index(_NAME, "calls", _ORDER)
