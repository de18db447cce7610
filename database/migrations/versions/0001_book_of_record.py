"""The first tables of the book of record."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

IMMUTABLE = ("credits", "transfers")
ZERO = sa.text("0")
TIME = sa.DateTime(timezone=True)

# Each transfer as its two signed legs: sums per ledger account need no case for the direction.
POSTINGS_VIEW = """
CREATE VIEW postings AS
SELECT reference, target AS ledger_account, account_id, currency, micros, at FROM transfers
UNION ALL
SELECT reference, source AS ledger_account, account_id, currency, -micros, at FROM transfers
"""

# The database itself refuses changes, so that neither a bug nor a hand at the console rewrites the
# ledger.
POSTGRESQL_REFUSAL = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '% rows are immutable', TG_TABLE_NAME; END $$
"""


def upgrade() -> None:
    create_account_tables()
    create_ledger_tables()
    create_call_tables()
    op.execute(POSTINGS_VIEW)
    dialect = op.get_context().dialect.name
    for statement in refusals(dialect):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP VIEW postings")
    # Tables that refer to others go before these.
    for table in (
        "rejected_entries",
        "partitions",
        "calls",
        "transfers",
        "credits",
        "api_keys",
        "accounts",
    ):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        # After the tables, whose triggers call it.
        op.execute("DROP FUNCTION refuse_change")


def refusals(dialect: str) -> Iterable[str]:
    """Yield the triggers that keep transfers and credits as they were written."""
    if dialect == "postgresql":
        yield POSTGRESQL_REFUSAL
        for table in IMMUTABLE:
            # TRUNCATE fires no trigger for rows, so it has one for the statement.
            for event, each in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
                yield (
                    f"CREATE TRIGGER {table}_{each.lower()}_immutable BEFORE {event} ON {table}"
                    f" FOR EACH {each} EXECUTE FUNCTION refuse_change()"
                )
        return
    for table in IMMUTABLE:
        for event in ("UPDATE", "DELETE"):
            yield (
                f"CREATE TRIGGER {table}_{event.lower()}_immutable BEFORE {event} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{table} rows are immutable'); END"
            )


def text_column(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def flag_column(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())


def account_reference(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=f"fk_{table}_account_id")


def create_account_tables() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(), nullable=False),
        # A CRC-32 is unsigned and does not fit a signed integer of 32 bits.
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("balance_micros", sa.BigInteger(), nullable=False, server_default=ZERO),
        sa.Column("credit_sequence", sa.BigInteger(), nullable=False, server_default=ZERO),
        flag_column("frozen"),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        text_column("label"),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
        account_reference("api_keys"),
    )
    op.create_index("ix_api_keys_account_id", "api_keys", ["account_id"])


def create_ledger_tables() -> None:
    op.create_table(
        "credits",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("micros", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        # No two credits of an account can have one number, by which the gate knows them.
        sa.PrimaryKeyConstraint("account_id", "sequence", name="pk_credits"),
        # Makes booking the same event twice impossible, however many webhooks report it.
        sa.UniqueConstraint("reference", name="uq_credits_reference"),
        account_reference("credits"),
    )
    op.create_table(
        "transfers",
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("micros", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        # No foreign key: the ledger does not depend on call records.
        sa.Column("call_id", sa.String()),
        sa.Column("at", TIME, nullable=False),
        # op.f: the name is final, and the naming convention must not prefix it again.
        sa.CheckConstraint("micros > 0", name=op.f("ck_transfers_positive")),
        sa.CheckConstraint("source <> target", name=op.f("ck_transfers_moves")),
        # The same for charges and write-offs, whose references name their call.
        sa.PrimaryKeyConstraint("reference", name="pk_transfers"),
        account_reference("transfers"),
    )
    op.create_index("ix_transfers_account_id_at", "transfers", ["account_id", "at"])


def create_call_tables() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        flag_column("opened"),
        *map(
            text_column,
            ("node", "destination", "country", "codec", "origin", "currency", "rate"),
        ),
        sa.Column("created_at", TIME, nullable=False),
        flag_column("closed"),
        sa.Column("ringing_at", TIME),
        sa.Column("answered_at", TIME),
        sa.Column("ended_at", TIME),
        sa.Column("spent_micros", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("written_off_micros", sa.BigInteger(), nullable=False, server_default=ZERO),
        sa.Column("cause", sa.Integer()),
        text_column("cause_name"),
        sa.Column("ended_by", sa.String()),
        text_column("carrier_call_id"),
        sa.Column("carrier_seconds", sa.Integer()),
        text_column("browser_quality"),
        text_column("carrier_quality"),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
        account_reference("calls"),
    )
    # For pages of an account's calls, each of which begins after a row (`newest_first`).
    op.create_index(
        "ix_calls_account_id_created_at_id", "calls", ["account_id", "created_at", "id"]
    )
    # For what looks at all accounts by time: tombstones of a filling, recent calls of an audit.
    op.create_index("ix_calls_created_at", "calls", ["created_at"])
    op.create_index(
        # Partial, because of a year of calls only a few are live, and these are read often.
        "ix_calls_live",
        "calls",
        ["account_id"],
        sqlite_where=sa.text("closed = 0"),
        postgresql_where=sa.text("NOT closed"),
    )
    op.create_table(
        "partitions",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("drained_count", sa.BigInteger(), nullable=False),
        sa.Column("drained_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("partition", name="pk_partitions"),
    )
    op.create_table(
        "rejected_entries",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("fields", sa.String(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("partition", "entry_id", name="pk_rejected_entries"),
    )
