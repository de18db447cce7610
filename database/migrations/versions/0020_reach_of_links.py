"""From when on a link takes back what was added, in the link and in the mail that waits for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

TIME = sa.DateTime(timezone=True)
TABLES = ("links", "mail_outbox")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("reach", TIME))


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "reach")
