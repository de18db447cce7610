"""API keys that ended years ago go, once nothing names them; all others stay."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from accounts.personal_data import years_before
from billing.stores import tables
from billing.stores.freezes import FreezeReason, set_freeze
from gateway.buttons.tables import buttons
from gateway.personal_data import old_keys
from gateway.personal_data.retention import SqlRetention
from tests.gateway.personal_data.test_retention import add_holder, call

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NEW = years_before(NOW, 10)
OLD = NEW - timedelta(minutes=1)
LONG_AGO = years_before(NOW, 15)

KEYS = {
    "revoked": {"revoked_at": OLD},
    "expired": {"expires_at": OLD},
    "named by a call": {"revoked_at": OLD},
    "of a button": {"expires_at": OLD},
    "revoked later": {"revoked_at": NEW},
    "in use": {},
}


@pytest.fixture
async def book(engine):
    """Alice has keys of every kind."""
    async with engine.begin() as connection:
        await add_holder(connection, "alice", LONG_AGO, proven=True)
        for number, (name, ends) in enumerate(KEYS.items()):
            key = {"id": name, "key_hash": f"{number:064}", "account_id": "alice", "label": ""}
            row = key | {"created_at": LONG_AGO} | ends
            await connection.execute(sa.insert(tables.api_keys).values(row))
        paid = call("c1", OLD, key_id="named by a call")
        await connection.execute(sa.insert(tables.calls).values(paid))
        button = {"id": "b1", "account_id": "alice", "key_id": "of a button", "label": "b"}
        rules = {"destination": "+15005550001", "rules": "{}", "made_at": LONG_AGO}
        await connection.execute(sa.insert(buttons).values(button | rules))
    return engine


async def left(engine):
    async with engine.connect() as connection:
        return set(await connection.scalars(sa.select(tables.api_keys.c.id)))


async def test_keys_that_ended_go_once_nothing_names_them(book):
    retention = SqlRetention(book, clock=lambda: NOW)
    assert await retention.due("keys") == 2
    assert await retention.sweep("keys") == (2, False)
    assert await retention.sweep("keys") == (0, False)
    assert await left(book) == set(KEYS) - {"revoked", "expired"}
    async with book.begin() as connection:
        await connection.execute(sa.delete(tables.calls))
        await connection.execute(sa.delete(buttons))
    assert await retention.sweep("keys") == (2, False)
    assert await left(book) == {"revoked later", "in use"}


async def test_a_batch_is_bounded_and_the_next_goes_on(book, monkeypatch):
    monkeypatch.setattr(old_keys, "BATCH", 1)
    retention = SqlRetention(book, clock=lambda: NOW)
    assert [await retention.sweep("keys") for _ in range(3)] == [(1, True), (1, True), (0, False)]


async def test_while_a_restriction_holds_they_stay(book):
    retention = SqlRetention(book, clock=lambda: NOW)
    async with book.begin() as connection:
        await set_freeze(connection, "alice", FreezeReason.RESTRICTED, True, NOW)
    assert await retention.due("keys") == 0
    assert await retention.sweep("keys") == (0, False)
    assert await left(book) == set(KEYS)
