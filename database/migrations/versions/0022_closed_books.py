"""Books that end: what an account's oldest entries came to, so that they need not be kept."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

TIME = sa.DateTime(timezone=True)
LEDGER_ACCOUNTS = ("customer", "payments", "grants", "revenue", "write_off")
CLOSED = ("closed_books", "closed_credits")

SUMS = ", ".join(
    f"{name}_micros = {name}_micros + CASE '{name}'"
    " WHEN OLD.target THEN OLD.micros WHEN OLD.source THEN -OLD.micros ELSE 0 END"
    for name in LEDGER_ACCOUNTS
)
IS_CLOSING = "account_id = OLD.account_id AND OLD.at < closing"
# What may be deleted is carried by the same trigger that otherwise refuses: so no program, and no
# person with the database's own tools, can do the one without the other.
CARRIED = {
    "transfers": f"UPDATE closed_books SET {SUMS} WHERE {IS_CLOSING}",  # noqa: S608
    "credits": (
        "INSERT INTO closed_credits (account_id, sequence, reference)"  # noqa: S608
        " SELECT OLD.account_id, OLD.sequence, OLD.reference"
        f" FROM closed_books WHERE {IS_CLOSING}"
    ),
}
# The sums change within a transaction that closes, and `closing` alone outside of it.
MAY_CHANGE = {
    "closed_books": "OLD.closing IS NOT NULL",
    "closed_credits": (
        "EXISTS (SELECT 1 FROM closed_books b"
        " WHERE b.account_id = OLD.account_id AND b.closing IS NOT NULL)"
    ),
}
KEPT_COLUMNS = {
    "closed_books": ("account_id", "until", *(f"{name}_micros" for name in LEDGER_ACCOUNTS)),
    "closed_credits": ("account_id", "sequence", "reference"),
}


def upgrade() -> None:
    op.create_table(
        "closed_books",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.Column("closing", TIME),
        *(
            sa.Column(f"{name}_micros", sa.BigInteger(), nullable=False, server_default="0")
            for name in LEDGER_ACCOUNTS
        ),
        sa.PrimaryKeyConstraint("account_id", name="pk_closed_books"),
        account_reference("closed_books"),
    )
    op.create_table(
        "closed_credits",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "sequence", name="pk_closed_credits"),
        sa.UniqueConstraint("reference", name="uq_closed_credits_reference"),
        account_reference("closed_credits"),
    )
    # Partial: what a call has cost is found by its name; only refunds may bear any.
    of_refunds = sa.text("kind = 'call-refund'")
    op.create_index(
        "ix_transfers_refunds_of_calls",
        "transfers",
        ["call_id"],
        sqlite_where=of_refunds,
        postgresql_where=of_refunds,
    )
    for statement in on_postgresql() if is_postgresql() else on_sqlite():
        op.execute(statement)


def downgrade() -> None:
    for table in CLOSED:
        if op.get_bind().scalar(sa.text(f"SELECT count(*) FROM {table}")):  # noqa: S608
            # The entries that they stand for are gone: without them no balance would add up.
            raise RuntimeError(f"{table} has rows: books that are closed cannot be opened again")
    for statement in undone():
        op.execute(statement)
    op.drop_index("ix_transfers_refunds_of_calls", "transfers")
    for table in reversed(CLOSED):
        op.drop_table(table)


def account_reference(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=f"fk_{table}_account_id")


def on_postgresql() -> Iterable[str]:
    """Yield the triggers for PostgreSQL."""
    for table, carry in CARRIED.items():
        yield (
            f"CREATE FUNCTION carry_{table}() RETURNS trigger LANGUAGE plpgsql AS $$"
            f" BEGIN {carry}; IF NOT FOUND THEN"
            " RAISE EXCEPTION '% rows are immutable', TG_TABLE_NAME; END IF; RETURN OLD; END $$"
        )
        yield f"DROP TRIGGER {table}_row_immutable ON {table}"
        yield (
            f"CREATE TRIGGER {table}_row_immutable BEFORE UPDATE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        yield (
            f"CREATE TRIGGER {table}_delete_immutable BEFORE DELETE ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION carry_{table}()"
        )
    for table, may_change in MAY_CHANGE.items():
        yield (
            f"CREATE FUNCTION refuse_change_of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$"
            f" BEGIN IF NOT ({may_change}) THEN"
            " RAISE EXCEPTION '% rows are immutable', TG_TABLE_NAME; END IF;"
            " IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$"
        )
        events = f"DELETE OR UPDATE OF {', '.join(KEPT_COLUMNS[table])}"
        yield (
            f"CREATE TRIGGER {table}_row_immutable BEFORE {events} ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION refuse_change_of_{table}()"
        )
        yield (
            f"CREATE TRIGGER {table}_statement_immutable BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def on_sqlite() -> Iterable[str]:
    """Yield the triggers for SQLite."""
    for table, carry in CARRIED.items():
        yield f"DROP TRIGGER {table}_delete_immutable"
        yield (
            f"CREATE TRIGGER {table}_delete_immutable BEFORE DELETE ON {table} BEGIN"  # noqa: S608
            f" SELECT RAISE(ABORT, '{table} rows are immutable')"
            f" WHERE NOT EXISTS (SELECT 1 FROM closed_books WHERE {IS_CLOSING}); {carry}; END"
        )
    for table, may_change in MAY_CHANGE.items():
        for event in ("DELETE", f"UPDATE OF {', '.join(KEPT_COLUMNS[table])}"):
            yield (
                f"CREATE TRIGGER {table}_{event[:6].lower()}_immutable BEFORE {event} ON {table}"
                f" WHEN NOT ({may_change})"
                f" BEGIN SELECT RAISE(ABORT, '{table} rows are immutable'); END"
            )


def undone() -> Iterable[str]:
    """Yield what takes the triggers away, and puts those in their place that were there before."""
    if not is_postgresql():
        for table in CARRIED:
            yield f"DROP TRIGGER {table}_delete_immutable"
            yield (
                f"CREATE TRIGGER {table}_delete_immutable BEFORE DELETE ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{table} rows are immutable'); END"
            )
        for table in CLOSED:
            for event in ("delete", "update"):
                yield f"DROP TRIGGER {table}_{event}_immutable"
        return
    for table in CARRIED:
        yield f"DROP TRIGGER {table}_delete_immutable ON {table}"
        yield f"DROP FUNCTION carry_{table}"
        yield f"DROP TRIGGER {table}_row_immutable ON {table}"
        yield (
            f"CREATE TRIGGER {table}_row_immutable BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
    for table in CLOSED:
        for each in ("row", "statement"):
            yield f"DROP TRIGGER {table}_{each}_immutable ON {table}"
        yield f"DROP FUNCTION refuse_change_of_{table}"


def is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"
