"""Databases for the tests of the book of record."""

import pytest
import sqlalchemy as sa

from billing.stores import tables
from billing.stores.sql import SqlLedgerStore
from tests.billing.outbox_entries import START

__all__ = ["store"]


@pytest.fixture
async def store(engine):
    """A book with two accounts: `alice`, who has one unit of credit, and `bob`, who has none."""
    async with engine.begin() as connection:
        rows = [tables.new_account(name, "USD", START) for name in ("alice", "bob")]
        await connection.execute(sa.insert(tables.accounts), rows)
    store = SqlLedgerStore(engine, clock=lambda: START)
    await store.add_credit("alice", 1_000_000, reference="seed", kind="grant")
    return store
