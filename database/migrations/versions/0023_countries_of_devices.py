"""The country that a device was in at its last sign-in, where an operator lets it be told."""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    # Said in SQL: in SQLite Alembic would copy the table.
    op.execute(
        "ALTER TABLE devices ADD COLUMN country VARCHAR DEFAULT '' NOT NULL"
        " CONSTRAINT ck_devices_country_length CHECK (length(country) BETWEEN 0 AND 2)"
    )


def downgrade() -> None:
    op.drop_column("devices", "country")
