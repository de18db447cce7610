"""A database with two holders: alice and bob."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from accounts.holder import Holder
from accounts.stores import holders
from database.engine import TIMEOUT_S, writing

__all__ = ["change", "holder", "people"]

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def holder(account_id):
    return Holder(account_id, f"{account_id.title()}@Example.com", None, "hash", 1, "en", NOW)


@pytest.fixture
def change(engine):
    """Opens a transaction for writing."""

    @asynccontextmanager
    async def change():
        async with writing(engine, TIMEOUT_S) as connection:
            yield connection

    return change


@pytest.fixture
async def people(change):
    """The two holders, by their accounts."""
    both = {name: holder(name) for name in ("alice", "bob")}
    async with change() as connection:
        for name, each in both.items():
            assert await holders.insert(connection, each, f"{name}@example.com")
    return both
