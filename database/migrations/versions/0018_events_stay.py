"""Lines of the audit log are not deleted either, but by whoever forgets those whose time is up."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

# A trigger cannot see a setting of the connection in both databases, but the row of a table: it is
# there within the transaction that forgets, which nobody else sees, and gone with its commit.
POSTGRESQL = (
    "CREATE FUNCTION refuse_deletion_of_events() RETURNS trigger LANGUAGE plpgsql AS $$"
    " BEGIN IF NOT EXISTS (SELECT 1 FROM event_forgetting) THEN"
    " RAISE EXCEPTION '% rows are immutable', TG_TABLE_NAME; END IF; RETURN OLD; END $$",
    "CREATE TRIGGER account_events_delete_immutable BEFORE DELETE ON account_events"
    " FOR EACH ROW EXECUTE FUNCTION refuse_deletion_of_events()",
    "CREATE TRIGGER account_events_truncate_immutable BEFORE TRUNCATE ON account_events"
    " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
)
SQLITE = (
    "CREATE TRIGGER account_events_delete_immutable BEFORE DELETE ON account_events"
    " WHEN NOT EXISTS (SELECT 1 FROM event_forgetting)"
    " BEGIN SELECT RAISE(ABORT, 'account_events rows are immutable'); END",
)


def upgrade() -> None:
    op.create_table(
        "event_forgetting",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event_forgetting"),
    )
    for statement in POSTGRESQL if is_postgresql() else SQLITE:
        op.execute(statement)


def downgrade() -> None:
    for statement in undone():
        op.execute(statement)
    op.drop_table("event_forgetting")


def undone() -> Iterable[str]:
    """Yield what takes the triggers away."""
    if not is_postgresql():
        yield "DROP TRIGGER account_events_delete_immutable"
        return
    for event in ("delete", "truncate"):
        yield f"DROP TRIGGER account_events_{event}_immutable ON account_events"
    yield "DROP FUNCTION refuse_deletion_of_events"


def is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"
