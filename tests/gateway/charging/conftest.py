"""These tests run in virtual time on the stage, but for those on real stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.stores.redis_client import connect, disconnect
from tests.gateway.charging.books import CREDIT, Books
from tests.gateway.stage import stage
from tests.gateway.virtual_time import VirtualTimeLoop

__all__ = ["stage"]

Loop = asyncio.AbstractEventLoop

ON_REAL_STORES = {"test_call_refunds.py", "test_grants.py", "test_reconcile.py", "test_recovery.py"}


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], Loop]]:
    """Run the tests in virtual time, but for those on real stores."""
    if item.path.name in ON_REAL_STORES:
        return {"asyncio": asyncio.new_event_loop}
    return {"virtual": VirtualTimeLoop}


@pytest.fixture
async def books(valkey_url: str, sqlite_engine: AsyncEngine) -> AsyncIterator[Books]:
    """A filled gate, and `alice`, who has credit."""
    redis = connect(valkey_url)
    books = Books(redis, sqlite_engine)
    await books.accounts.create_account("alice", "USD")
    await books.grant(CREDIT, "first")
    try:
        await books.fill()
        yield books
    finally:
        await disconnect(redis)
