"""The keys of people on both databases: each with its mail and its line in the audit log."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from accounts.audit_log import Act
from accounts.notice import Notice
from billing.stores import tables
from database.errors import StoreUnavailableError
from gateway.own_keys import KeyMaking, NewKey
from gateway.people.key_store import KEYS_MAX, SqlHolderKeys
from gateway.scopes import Scope
from gateway.stores.accounts import SqlAccountStore
from tests.gateway.people.two_people import TwoPeople

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NEW = NewKey(
    "ab" * 32, "robot", frozenset({Scope.CALLS, Scope.RECORDS}), 5_000_000, NOW + timedelta(days=30)
)
NOTICE = Notice("key_made", values={"label": "robot", "at": NOW.isoformat()})


class World(TwoPeople):
    """Their keys."""

    def __init__(self, engine):
        super().__init__(engine, NOW)
        self.keys = SqlHolderKeys(engine, self.tell, clock=lambda: self.now)
        self.accounts = SqlAccountStore(engine)

    async def acts(self, account_id="ada"):
        acts = [entry.act for entry in await self.entries(account_id)]
        return [act for act in acts if act in (Act.KEY_MADE, Act.KEY_REVOKED)]


@pytest.fixture
async def world(engine):
    world = World(engine)
    await world.sign_up()
    return world


async def test_a_key_is_made_once_with_its_mail_and_its_line(world):
    for _ in range(2):
        assert await world.keys.make("ada", 1, NEW, NOTICE) is KeyMaking.MADE
    assert await world.acts() == [Act.KEY_MADE]
    assert await world.mails("key_made") == ["key_made"]
    (key,) = await world.keys.standing("ada")
    assert (key.id, key.label, key.created_at) == ("ab" * 8, "robot", NOW)
    assert (key.scopes, key.day_cap_micros) == (NEW.scopes, 5_000_000)
    assert key.expires_at == NEW.expires_at
    found = await world.accounts.account_by_key_hash(NEW.key_hash)
    assert (found.id, found.scopes) == ("ada", NEW.scopes)
    assert await world.keys.standing("bob") == []


async def test_a_key_is_revoked_once_and_every_node_told(world):
    await world.keys.make("ada", 1, NEW, NOTICE)
    world.is_untold = True
    with pytest.raises(StoreUnavailableError):
        await world.keys.revoke("ada", 1, "ab" * 8)
    world.is_untold = False
    assert await world.keys.revoke("ada", 1, "ab" * 8)
    assert (await world.acts(), world.told) == ([Act.KEY_REVOKED, Act.KEY_MADE], 1)
    assert await world.accounts.account_by_key_hash(NEW.key_hash) is None
    assert await world.keys.standing("ada") == []
    # The form that made it makes it no more.
    assert await world.keys.make("ada", 1, NEW, NOTICE) is KeyMaking.REVOKED
    assert await world.keys.standing("ada") == []


async def test_nobody_reaches_a_key_of_somebody_else(world):
    await world.keys.make("ada", 1, NEW, NOTICE)
    assert await world.keys.revoke("bob", 1, "ab" * 8)
    assert len(await world.keys.standing("ada")) == 1
    assert await world.acts("bob") == []


@pytest.mark.parametrize("over", ["epoch", "deleted", "nobody"])
async def test_a_session_that_is_over_changes_nothing(world, over):
    await world.keys.make("ada", 1, NEW, NOTICE)
    epoch, account_id = 2 if over == "epoch" else 1, "carol" if over == "nobody" else "ada"
    if over == "deleted":
        await world.accounts.mark_deleted("ada")
    other = replace(NEW, key_hash="cd" * 32)
    assert await world.keys.make(account_id, epoch, other, NOTICE) is KeyMaking.SESSION_OVER
    assert not await world.keys.revoke(account_id, epoch, "ab" * 8)
    assert (await world.acts(), len(await world.mails("key_made"))) == ([Act.KEY_MADE], 1)


async def test_keys_are_bounded_and_the_newest_comes_first(world):
    for n in range(KEYS_MAX):
        world.now = NOW + timedelta(minutes=n)
        key = replace(NEW, key_hash=f"{n:02}" * 32, label=f"key {n}")
        assert await world.keys.make("ada", 1, key, NOTICE) is KeyMaking.MADE
    assert await world.keys.make("ada", 1, NEW, NOTICE) is KeyMaking.TOO_MANY
    found = await world.keys.standing("ada")
    assert [key.label for key in found] == [f"key {n}" for n in reversed(range(KEYS_MAX))]
    await world.keys.revoke("ada", 1, found[0].id)
    assert await world.keys.make("ada", 1, NEW, NOTICE) is KeyMaking.MADE


async def test_a_mail_that_cannot_be_queued_makes_no_key(world):
    with pytest.raises(ValueError, match="too long"):
        await world.keys.make("ada", 1, NEW, Notice("key_made", values={"label": "x" * 5_000}))
    assert await world.keys.standing("ada") == await world.acts() == []
    async with world.engine.connect() as connection:
        assert not await connection.scalar(sa.select(sa.func.count()).select_from(tables.api_keys))
