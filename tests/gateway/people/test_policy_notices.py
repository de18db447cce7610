"""New terms are told to all holders, some at a time, each of them once."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from accounts.consent import Document, Version
from accounts.holder import Holder
from accounts.stores import consents, holders
from billing.stores import tables
from database.engine import TIMEOUT_S, reading, writing
from gateway.people import policy_notices
from gateway.people.policy_notices import PolicyNotices
from gateway.stores.mail_outbox import mail_outbox

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HISTORY = {
    Document.TERMS: (Version("2026-11-27"), Version("2027-02-01")),
    Document.PRIVACY: (Version("2026-11-27"),),
}


@pytest.fixture
async def notices(engine, monkeypatch):
    monkeypatch.setattr(policy_notices, "PACE", 2)
    async with writing(engine, TIMEOUT_S) as connection:
        for name in ("ada", "bea", "cid", "dan", "eve"):
            row = tables.new_account(name, "USD", NOW)
            await connection.execute(sa.insert(tables.accounts).values(row))
            proven = None if name == "dan" else NOW
            email = f"{name}@example.com"
            await holders.insert(connection, Holder(name, email, proven, "", 1, "en", NOW), email)
        await consents.accept(connection, "cid", {"terms": "2027-02-01"}, NOW)
    return PolicyNotices(engine, HISTORY, clock=lambda: NOW)


async def told(engine):
    rows = mail_outbox.c
    async with reading(engine, TIMEOUT_S) as connection:
        found = await connection.execute(
            sa.select(rows.account_id, rows.notice, rows.values_json).order_by(rows.account_id)
        )
        return [tuple(row) for row in found]


async def test_all_are_told_once_at_a_pace(engine, notices):
    await notices.round()
    assert [row[0] for row in await told(engine)] == ["ada", "bea"]
    # Another process goes on where this one was.
    other = PolicyNotices(engine, HISTORY, clock=lambda: NOW)
    for each in (other, notices, other, notices):
        await each.round()
    found = await told(engine)
    # Who has accepted it knows; an address that nobody has proven is not written to.
    assert [row[0] for row in found] == ["ada", "bea", "eve"]
    assert {row[1] for row in found} == {"policy_changed"}
    assert '"version":"2027-02-01"' in found[0][2]


async def test_who_accepted_a_later_version_is_told_of_no_earlier_one(engine, notices):
    history = {Document.TERMS: (*HISTORY[Document.TERMS], Version("2027-03-01", False))}
    async with writing(engine, TIMEOUT_S) as connection:
        for name in ("ada", "bea"):
            await consents.accept(connection, name, {"terms": "2027-03-01"}, NOW)
    for _ in range(4):
        await PolicyNotices(engine, history, clock=lambda: NOW).round()
    # `cid` has accepted the second version, and is told of the third alone.
    assert [row[0] for row in await told(engine)] == ["cid", "eve", "eve"]


async def test_a_first_version_is_told_to_nobody(engine, notices):
    first = {Document.TERMS: HISTORY[Document.TERMS][:1]}
    await PolicyNotices(engine, first, clock=lambda: NOW).round()
    assert await told(engine) == []
