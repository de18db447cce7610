"""Databases for the tests of the book of record."""

import pytest
import sqlalchemy as sa

from billing.stores import tables
from billing.stores.sql import SqlLedgerStore
from tests.billing.outbox_entries import START
from tests.postgres import database_url, engine, postgres_server, postgres_url
from tests.valkey import own_valkey, valkey_server, valkey_url

__all__ = [
    "database_url",
    "engine",
    "own_valkey",
    "postgres_server",
    "postgres_url",
    "store",
    "valkey_server",
    "valkey_url",
]


@pytest.fixture
async def store(engine):
    """A book with two accounts: `alice`, who has one unit of credit, and `bob`, who has none."""
    async with engine.begin() as connection:
        rows = [tables.new_account(name, "USD", START) for name in ("alice", "bob")]
        await connection.execute(sa.insert(tables.accounts), rows)
    store = SqlLedgerStore(engine, clock=lambda: START)
    await store.add_credit("alice", 1_000_000, reference="seed", kind="grant")
    return store
