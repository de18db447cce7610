"""Which text an operator has posted as which version of a document."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

LENGTHS = {"document": (1, 64), "version": (1, 64), "language": (0, 35), "digest": (64, 64)}


def upgrade() -> None:
    op.create_table(
        "posted_texts",
        *(sa.Column(name, sa.String(), nullable=False) for name in LENGTHS),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("document", "version", "language", name="pk_posted_texts"),
        *(
            sa.CheckConstraint(
                f"length({name}) BETWEEN {shortest} AND {longest}",
                # The name is final, and the naming convention must not prefix it again.
                name=op.f(f"ck_posted_texts_{name}_length"),
            )
            for name, (shortest, longest) in LENGTHS.items()
        ),
    )


def downgrade() -> None:
    op.drop_table("posted_texts")
