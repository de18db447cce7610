"""The reason of a line of the audit log can be taken from it, and nothing else of it changes."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"

KEPT = ("id", "account_id", "at", "act", "actor", "operator")
# As a line is deleted: within the transaction that forgets, which the row of a table tells.
MAY_CHANGE = " AND ".join(
    (
        "EXISTS (SELECT 1 FROM event_forgetting)",
        "NEW.reason = ''",
        *(f"NEW.{name} = OLD.{name}" for name in KEPT),
    )
)
REFUSAL = "account_events rows are immutable"
POSTGRESQL = (
    "DROP TRIGGER account_events_row_immutable ON account_events",
    "CREATE FUNCTION refuse_change_of_events() RETURNS trigger LANGUAGE plpgsql AS $$"
    f" BEGIN IF NOT ({MAY_CHANGE}) THEN RAISE EXCEPTION '{REFUSAL}'; END IF; RETURN NEW; END $$",
    "CREATE TRIGGER account_events_row_immutable BEFORE UPDATE ON account_events"
    " FOR EACH ROW EXECUTE FUNCTION refuse_change_of_events()",
)
SQLITE = (
    "DROP TRIGGER account_events_update_immutable",
    "CREATE TRIGGER account_events_update_immutable BEFORE UPDATE ON account_events"
    f" WHEN NOT ({MAY_CHANGE}) BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
)


def upgrade() -> None:
    for statement in POSTGRESQL if is_postgresql() else SQLITE:
        op.execute(statement)
    # Of accounts that were erased before, whose lines are looked for once a day.
    has_reason = sa.text("reason <> ''")
    op.create_index(
        "ix_account_events_reason",
        "account_events",
        ["account_id"],
        sqlite_where=has_reason,
        postgresql_where=has_reason,
    )


def downgrade() -> None:
    op.drop_index("ix_account_events_reason", "account_events")
    for statement in undone():
        op.execute(statement)


def undone() -> Iterable[str]:
    """Yield what puts the triggers in place that were there before."""
    if not is_postgresql():
        yield "DROP TRIGGER account_events_update_immutable"
        yield (
            "CREATE TRIGGER account_events_update_immutable BEFORE UPDATE ON account_events"
            f" BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )
        return
    yield "DROP TRIGGER account_events_row_immutable ON account_events"
    yield (
        "CREATE TRIGGER account_events_row_immutable BEFORE UPDATE ON account_events"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    yield "DROP FUNCTION refuse_change_of_events"


def is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"
