"""A person with a row in every table of the data map, each text of which is found nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from accounts.stores import tables as people
from billing.rating import Rate
from billing.stores import tables
from gateway.personal_data.rows import TABLES

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)

FIRST = (
    "accounts",
    "holders",
    "payments",
    "buttons",
    "webhook_endpoints",
    "webhook_deliveries",
)
"""Tables that others refer to."""
NOBODYS = (
    "partitions",
    "rate_decks",
    "high_risk_lists",
    "rejected_entries",
    "export_chunks",
    "consent_proofs",
    "policy_notices",
    "event_forgetting",
)
"""Tables without rows of one account."""

FITTING: dict[tuple[str, str], Any] = {
    ("accounts", "currency"): "USD",
    ("accounts", "slot"): 1,
    ("holders", "language"): "de",
    ("holders", "locked_at"): None,
    ("transfers", "currency"): "USD",
    ("transfers", "kind"): "grant",
    ("calls", "currency"): "USD",
    ("calls", "rate"): Rate(per_minute_micros=1).to_json(),
    ("calls", "closed"): True,
    ("calls", "opened"): True,
    ("calls", "forgotten_at"): None,
    ("calls", "booked_at"): AT,
    ("payments", "currency"): "USD",
    ("payments", "state"): "paid",
    ("mail_outbox", "state"): "sent",
    ("supervision_rules", "most"): "listen",
    ("webhook_deliveries", "state"): "sent",
    ("webhook_deliveries", "data_json"): "{}",
    ("webhook_deliveries", "type"): "call.cut_off",
    ("webhook_endpoints", "disabled_why"): "failing",
    ("mail_outbox", "link_purpose"): "not_me",
    ("mail_outbox", "values_json"): '{"browser":"of %s"}',
    ("opened_countries", "country"): "FR",
    ("devices", "country"): "FR",
    ("exports", "state"): "ready",
    ("exports", "progress"): 100,
    ("api_keys", "scopes"): "calls records",
    ("buttons", "destination"): "+493011111111",
    ("proven_destinations", "number"): "+493022222222",
}

REFERRING = {
    ("button_keys", "button_id"): "buttons",
    ("webhook_deliveries", "endpoint_id"): "webhook_endpoints",
    ("webhook_attempts", "delivery_id"): "webhook_deliveries",
}
"""Column -> the table to whose id it refers."""


def needle(account_id: str, table: str, column: str) -> str:
    """Return the text that a person's column has."""
    # Short, for some columns are; it begins like a formula and ends in what CSV must quote.
    return f'={account_id}.{table}.{column},"ü'


def row_of(account_id: str, name: str) -> dict[str, Any]:
    """Return a person's row of a table."""
    found: dict[str, Any] = {}
    for number, column in enumerate(TABLES[name].columns):
        key = (name, column.name)
        if column.name == "account_id" or key == ("accounts", "id"):
            found[column.name] = account_id
        elif key in REFERRING:
            found[column.name] = needle(account_id, REFERRING[key], "id")
        elif key in FITTING:
            value = FITTING[key]
            found[column.name] = value % account_id if key[1] == "values_json" else value
        elif column.name in ("digest", "session_digest"):
            found[column.name] = account_id[:1].encode().hex() * 32
        elif isinstance(column.type, sa.Boolean):
            found[column.name] = False
        elif isinstance(column.type, sa.Integer):
            # A single number is given by the database.
            if not (column.primary_key and len(column.table.primary_key) == 1):
                found[column.name] = number + 1
        elif isinstance(column.type, sa.String):
            found[column.name] = needle(account_id, name, column.name)
        else:
            found[column.name] = AT + timedelta(seconds=number)
    return found


def tables_of_people() -> list[str]:
    """Return the tables that have rows of one account, those first that others refer to."""
    rest = sorted(set(TABLES) - {*FIRST, *NOBODYS})
    return [*FIRST, *rest]


async def add_person(engine: Any, account_id: str) -> None:
    """Give a person a row in every table."""
    async with engine.begin() as connection:
        for name in tables_of_people():
            await connection.execute(sa.insert(TABLES[name]).values(row_of(account_id, name)))
        chunk = {"export_id": needle(account_id, "exports", "id"), "number": 0, "content": b"PK"}
        await connection.execute(sa.insert(people.export_chunks).values(chunk))


async def add_calls(engine: Any, account_id: str, count: int) -> None:
    """Give an account calls, each with its charge."""
    call = row_of(account_id, "calls")
    transfer = row_of(account_id, "transfers")
    async with engine.begin() as connection:
        for begin in range(0, count, 5_000):
            numbers = range(begin, min(count, begin + 5_000))
            calls = [
                call | {"id": f"{account_id}-{n}", "created_at": AT + timedelta(seconds=n)}
                for n in numbers
            ]
            await connection.execute(sa.insert(tables.calls), calls)
            charges = [
                transfer
                | {"reference": f"charge:{account_id}-{n}", "at": AT + timedelta(seconds=n)}
                for n in numbers
            ]
            await connection.execute(sa.insert(tables.transfers), charges)
