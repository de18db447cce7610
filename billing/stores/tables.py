"""Tables of the book of record, for SQLite and PostgreSQL alike.

Says what is kept, not how it is used. `database/migrations/` builds these tables and adds what
SQLAlchemy cannot describe: the `postings` view, and triggers that refuse to change a transfer or a
credit, and to delete one without carrying it forward to `closed_books`. Money is micros: integer
millionths of the row's currency. Times are UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from billing.cdr import MEASURED
from billing.figures import Figure, Unit
from billing.ledger import LEDGER_ACCOUNTS
from billing.ports import partition_of
from database.columns import NAMING_CONVENTION, UtcDateTime

SLOTS = 2**32
"""A multiple of every number of partitions that is a power of two."""

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)


def new_account(
    account_id: str, currency: str, created_at: datetime, *, frozen: bool = False
) -> dict[str, Any]:
    """Return the row of an account that has neither credit nor calls."""
    return {
        "id": account_id,
        "slot": partition_of(account_id, SLOTS),
        "currency": currency,
        "frozen": frozen,
        "created_at": created_at,
    }


def _micros(name: str, *, default: int | None = None) -> sa.Column[int]:
    server_default = None if default is None else sa.text(str(default))
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=server_default)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String, nullable=False)


_TYPES: dict[Unit, sa.types.TypeEngine[Any] | type[sa.types.TypeEngine[Any]]] = {
    Unit.SECONDS: sa.Integer,
    Unit.COUNT: sa.Integer,
    Unit.MICROS: sa.BigInteger,
    Unit.RATIO: sa.Float,
    Unit.TIME: UtcDateTime,
}


def _measured(figure: Figure) -> sa.Column[Any]:
    if figure.unit is Unit.TEXT:
        return sa.Column(figure.column, sa.String, nullable=False, server_default=sa.text("''"))
    return sa.Column(figure.column, _TYPES[figure.unit])


accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    # Its partition were there `SLOTS` of them; modulo their number, the one it is in.
    sa.Column("slot", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    # Credits less charges less the holds of live calls: what the spend gate must hold as well.
    _micros("balance_micros", default=0),
    # Number of the last credit; the gate applies credits in this order, without gaps.
    sa.Column("credit_sequence", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    _flag("frozen"),
    # Whether the sound's quality is kept with its calls; False once its holder objects.
    sa.Column("keeps_quality", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # Most that one call, one UTC day and one UTC month may cost; NULL for no cap.
    sa.Column("call_cap_micros", sa.BigInteger),
    sa.Column("day_cap_micros", sa.BigInteger),
    sa.Column("month_cap_micros", sa.BigInteger),
    # From when on all its calls count under its day and month; NULL for always.
    sa.Column("caps_counted_from", UtcDateTime),
    # Where the account holder is notified; empty if not given.
    sa.Column("email", sa.String, nullable=False, server_default=sa.text("''")),
    # A deleted account stays frozen for good, and keeps what the books need.
    sa.Column("deleted_at", UtcDateTime),
)

credits = sa.Table(
    "credits",
    metadata,
    sa.Column("account_id", sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    _micros("micros"),
    sa.Column("reference", sa.String, nullable=False, unique=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    # Of a top-up, refund or dispute; NULL for other kinds, and where it was not noted.
    sa.Column("payment_id", sa.String),
)

# A transfer names its call without a foreign key: the ledger does not depend on call records.
transfers = sa.Table(
    "transfers",
    metadata,
    sa.Column("reference", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("target", sa.String, nullable=False),
    _micros("micros"),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("call_id", sa.String),
    sa.Column("at", UtcDateTime, nullable=False),
    # Why, for the customer; empty if the kind explains it.
    sa.Column("reason", sa.String, nullable=False, server_default=sa.text("''")),
    sa.CheckConstraint("micros > 0", name="positive"),
    sa.CheckConstraint("source <> target", name="moves"),
    sa.Index(None, "account_id", "at"),
)

# Partial: of refunds of calls, as the migration that makes it says; see `ix_calls_live` below.
sa.Index("ix_transfers_refunds_of_calls", transfers.c.call_id)

closed_books = sa.Table(
    "closed_books",
    metadata,
    # What the transfers of an account came to that are too old to be kept: its opening balance.
    sa.Column("account_id", sa.ForeignKey("accounts.id"), primary_key=True),
    # Nothing that can be closed is dated before it.
    sa.Column("until", UtcDateTime, nullable=False),
    # Rows dated before it may be deleted, each of which a trigger adds to the sums below. Set only
    # within a transaction that closes.
    sa.Column("closing", UtcDateTime),
    # Signed, what each ledger account of `billing.ledger` was left with; together nothing.
    *(_micros(f"{name}_micros", default=0) for name in LEDGER_ACCOUNTS),
)

closed_credits = sa.Table(
    "closed_credits",
    metadata,
    # What is left of a credit: so that its number is not missed, and nothing is booked twice.
    sa.Column("account_id", sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("reference", sa.String, nullable=False, unique=True),
)

postings = sa.table(
    "postings",
    sa.column("reference", sa.String),
    sa.column("ledger_account", sa.String),
    sa.column("account_id", sa.String),
    sa.column("currency", sa.String),
    sa.column("micros", sa.BigInteger),
    sa.column("at", UtcDateTime),
)
"""View: each transfer as its two signed legs, negative where the money left."""

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    # False while only the call's end has arrived; the columns down to `created_at` are then blank
    # and `created_at` is the end.
    _flag("opened"),
    _text("node"),
    _text("destination"),
    _text("country"),
    _text("codec"),
    _text("origin"),
    _text("currency"),
    _text("rate"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    _flag("closed"),
    sa.Column("ended_at", UtcDateTime),
    # The hold while the call lives, its charge once closed.
    _micros("spent_micros"),
    sa.Column("seconds", sa.Integer, nullable=False),
    _micros("written_off_micros", default=0),
    sa.Column("cause", sa.Integer),
    _text("cause_name"),
    sa.Column("ended_by", sa.String),
    _text("carrier_call_id"),
    # Each with the type of its unit, and NULL where it was not measured; text is empty then.
    *map(_measured, MEASURED),
    # `LegQuality` as JSON.
    _text("browser_quality"),
    _text("carrier_quality"),
    # What the caller has said of it; empty for nothing.
    sa.Column("feedback", sa.String, nullable=False, server_default=sa.text("''")),
    # When the end was booked, which is the date of the call's transfers.
    sa.Column("booked_at", UtcDateTime),
    sa.Column("key_id", sa.String, nullable=False, server_default=sa.text("''")),
    # Since when the row says only what the money needs; NULL while it is a whole record.
    sa.Column("forgotten_at", UtcDateTime),
    # The first three order an account's calls; the others let a filter look at no row.
    sa.Index(
        "ix_calls_account_id_created_at_id",
        "account_id",
        "created_at",
        "id",
        "destination",
        "closed",
        "answered_at",
        "cause",
        "ended_by",
        "forgotten_at",
    ),
    # For what looks at all accounts by time: tombstones of a filling, recent calls of an audit.
    sa.Index(None, "created_at"),
)

# Partial: of calls that are not closed, as the migration that makes it says. Saying so here would
# make every process load PostgreSQL's dialect.
sa.Index("ix_calls_live", calls.c.account_id)
# Partial as well: of calls that are not forgotten.
sa.Index("ix_calls_kept", calls.c.created_at)
# And of calls that the end of the credit has ended.
sa.Index("ix_calls_cut_off", calls.c.ended_at)

partitions = sa.Table(
    "partitions",
    metadata,
    # The lock of all who drain this partition of the spend gate.
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("drained_count", sa.BigInteger, nullable=False),
    sa.Column("drained_at", UtcDateTime, nullable=False),
    # Outbox entry up to which all is booked; empty where none was since the column exists.
    sa.Column("booked_id", sa.String, nullable=False, server_default=sa.text("''")),
    # Entry that proves the partition an older copy than the book, until it is filled; else empty.
    sa.Column("fork_id", sa.String, nullable=False, server_default=sa.text("''")),
)

rejected_entries = sa.Table(
    "rejected_entries",
    metadata,
    # Outbox entries that could not be read, kept for a human.
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("entry_id", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    # JSON object; each byte of a value is the character of the same number.
    sa.Column("fields", sa.String, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    # What people call the key: the head of its hash, which opens nothing.
    sa.Column("id", sa.String, primary_key=True),
    # SHA-256 in hexadecimal; the key itself is kept nowhere.
    sa.Column("key_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False, index=True),
    _text("label"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("revoked_at", UtcDateTime),
    # Most that the calls of this key may cost in one UTC day and one UTC month; NULL for no cap.
    sa.Column("day_cap_micros", sa.BigInteger),
    sa.Column("month_cap_micros", sa.BigInteger),
    # Names of what it may do, with blanks between.
    sa.Column("scopes", sa.String, nullable=False, server_default=sa.text("'calls'")),
    # NULL for never.
    sa.Column("expires_at", UtcDateTime),
    # From when on all its calls count under its day and month; NULL for always.
    sa.Column("caps_counted_from", UtcDateTime),
)

rate_decks = sa.Table(
    "rate_decks",
    metadata,
    # The deck in force is the one that was activated last and has not been withdrawn.
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    # SHA-256 of the content, in hexadecimal.
    sa.Column("digest", sa.String(64), nullable=False),
    _text("source"),
    sa.Column("prefixes", sa.Integer, nullable=False),
    # The deck as CSV, as it was imported.
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("imported_at", UtcDateTime, nullable=False),
    sa.Column("activates_at", UtcDateTime, nullable=False, index=True),
    sa.Column("withdrawn_at", UtcDateTime),
)

high_risk_lists = sa.Table(
    "high_risk_lists",
    metadata,
    # The newest is in force.
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    # JSON object: leading digits -> whose they are.
    sa.Column("content", sa.Text, nullable=False),
    # When the carrier last gave this very list.
    sa.Column("synced_at", UtcDateTime, nullable=False),
)

payments = sa.Table(
    "payments",
    metadata,
    # Ours, and the root of every idempotency key that is sent for it.
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    # `checkout` or `auto`.
    _text("kind"),
    _micros("micros"),
    _micros("refunded_micros", default=0),
    # What disputes have taken and not given back; NULL where it was not noted.
    sa.Column("disputed_micros", sa.BigInteger, server_default=sa.text("0")),
    sa.Column("currency", sa.String(3), nullable=False),
    # created, open, processing, paid, failed, expired, disputed, won, lost.
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("checkout_id", sa.String, unique=True),
    sa.Column("payment_intent_id", sa.String, unique=True),
    sa.Column("receipt_url", sa.String, nullable=False, server_default=sa.text("''")),
    sa.Column("failure", sa.String, nullable=False, server_default=sa.text("''")),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Index(None, "account_id", "created_at"),
)

charge_requests = sa.Table(
    "charge_requests",
    metadata,
    # Of a charge of a saved card that has no outcome yet. Without a foreign key: an old payment may
    # be deleted, whoever has edited it.
    sa.Column("payment_id", sa.String, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False, index=True),
    # What is sent to the payment service, the same each time: ids, no card and no address.
    _text("body"),
    # NULL until it is first sent.
    sa.Column("tried_at", UtcDateTime),
)

payment_profiles = sa.Table(
    "payment_profiles",
    metadata,
    sa.Column("account_id", sa.ForeignKey("accounts.id"), primary_key=True),
    # Ids at the payment service; no card details are kept here.
    sa.Column("customer_id", sa.String, unique=True),
    sa.Column("payment_method_id", sa.String),
    sa.Column("email", sa.String, nullable=False, server_default=sa.text("''")),
    _flag("auto_enabled"),
    _micros("auto_threshold_micros", default=0),
    _micros("auto_amount_micros", default=0),
    # Why the gateway switched it off; empty if the person did, or it is on.
    sa.Column("auto_off_reason", sa.String, nullable=False, server_default=sa.text("''")),
)

freezes = sa.Table(
    "freezes",
    metadata,
    # Why an account is frozen: `accounts.frozen` is whether there is a row, or it was deleted.
    sa.Column("account_id", sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("reason", sa.String, primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
)
