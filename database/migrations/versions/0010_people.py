"""The holders of accounts: addresses, credentials, consent, links, devices and what was done."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

TIME = sa.DateTime(timezone=True)
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# An audit log that can be rewritten proves nothing. Rows may go, as their time is up, but not
# change.
POSTGRESQL_REFUSAL = (
    "CREATE TRIGGER account_events_row_immutable BEFORE UPDATE ON account_events"
    " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
)
SQLITE_REFUSAL = (
    "CREATE TRIGGER account_events_update_immutable BEFORE UPDATE ON account_events"
    " BEGIN SELECT RAISE(ABORT, 'account_events rows are immutable'); END"
)


def upgrade() -> None:
    create_holders()
    create_links()
    create_devices()
    create_account_events()
    is_postgresql = op.get_context().dialect.name == "postgresql"
    op.execute(POSTGRESQL_REFUSAL if is_postgresql else SQLITE_REFUSAL)


def downgrade() -> None:
    # Tables that refer to holders go before them.
    for table in ("account_events", "devices", "links", "expected_links", "consents", "holders"):
        op.drop_table(table)


def text_column(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def time_column(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, TIME, nullable=nullable)


def lengths(table: str, **bounds: tuple[int, int]) -> Iterable[sa.CheckConstraint]:
    """Yield constraints on numbers of characters."""
    for name, (shortest, longest) in bounds.items():
        yield sa.CheckConstraint(
            f"length({name}) BETWEEN {shortest} AND {longest}",
            # The name is final, and the naming convention must not prefix it again.
            name=op.f(f"ck_{table}_{name}_length"),
        )


def holder_reference(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["account_id"], ["holders.account_id"], name=f"fk_{table}_account_id"
    )


def create_holders() -> None:
    op.create_table(
        "holders",
        text_column("account_id"),
        text_column("email"),
        text_column("email_key"),
        time_column("email_proven_at", nullable=True),
        text_column("password_hash"),
        sa.Column("credentials_epoch", sa.Integer(), nullable=False),
        text_column("language"),
        time_column("created_at"),
        time_column("locked_at", nullable=True),
        sa.PrimaryKeyConstraint("account_id", name="pk_holders"),
        sa.UniqueConstraint("email_key", name="uq_holders_email_key"),
        *lengths(
            "holders",
            account_id=(1, 64),
            email=(3, 254),
            email_key=(3, 512),
            password_hash=(0, 255),
            language=(2, 35),
        ),
    )
    op.create_table(
        "consents",
        text_column("account_id"),
        text_column("document"),
        text_column("version"),
        time_column("at"),
        sa.PrimaryKeyConstraint("account_id", "document", "version", name="pk_consents"),
        holder_reference("consents"),
        *lengths("consents", document=(1, 64), version=(1, 64)),
    )


def create_links() -> None:
    op.create_table(
        "expected_links",
        text_column("account_id"),
        text_column("purpose"),
        text_column("email"),
        text_column("email_key"),
        time_column("asked_at"),
        time_column("lapses_at"),
        sa.PrimaryKeyConstraint("account_id", "purpose", "email", name="pk_expected_links"),
        holder_reference("expected_links"),
        *lengths("expected_links", purpose=(1, 64), email=(3, 254), email_key=(0, 512)),
    )
    # Each sign-up and each change of an address asks whether it is kept for somebody.
    op.create_index("ix_expected_links_email_key", "expected_links", ["email_key"])
    op.create_table(
        "links",
        text_column("digest"),
        text_column("purpose"),
        text_column("account_id"),
        text_column("email"),
        time_column("asked_at"),
        time_column("expires_at"),
        time_column("used_at", nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_links"),
        holder_reference("links"),
        *lengths("links", digest=(64, 64), purpose=(1, 64), email=(3, 254)),
    )
    op.create_index("ix_links_account_id", "links", ["account_id"])


def create_devices() -> None:
    op.create_table(
        "devices",
        text_column("account_id"),
        text_column("id"),
        text_column("browser"),
        text_column("system"),
        time_column("first_seen_at"),
        time_column("last_seen_at"),
        sa.PrimaryKeyConstraint("account_id", "id", name="pk_devices"),
        holder_reference("devices"),
        *lengths("devices", id=(1, 64), browser=(0, 64), system=(0, 64)),
    )


def create_account_events() -> None:
    op.create_table(
        "account_events",
        sa.Column("id", NUMBER, nullable=False),
        text_column("account_id"),
        time_column("at"),
        text_column("act"),
        text_column("actor"),
        sa.PrimaryKeyConstraint("id", name="pk_account_events"),
        *lengths("account_events", account_id=(1, 64), act=(1, 64), actor=(1, 64)),
    )
    op.create_index("ix_account_events_account_id_id", "account_events", ["account_id", "id"])
