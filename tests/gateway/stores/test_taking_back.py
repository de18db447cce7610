"""What a lock takes back: what was added since the act that is disputed, and nothing older."""

import os
from datetime import timedelta

import pytest
import sqlalchemy as sa

from accounts import recovery_codes
from accounts.audit_log import Act
from accounts.erasure import State, Unspent
from accounts.link import Purpose
from accounts.notice import Notice
from accounts.passkey import Passkey
from accounts.ports import NewSecondFactor
from accounts.stores.secret_box import SecretBox
from billing.stores import tables
from gateway.scopes import LEAST
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.departures import SqlDepartures
from gateway.stores.passkeys import SqlPasskeys
from gateway.stores.second_factors import SqlSecondFactors
from tests.gateway.stores.test_people import HOME, SIGN_UP, VERIFY, World, mails

CODES = recovery_codes.make(bytes(range(150)))
FACTOR = NewSecondFactor(bytes(20), 100, [recovery_codes.digest(each) for each in CODES])
CHANGED = Notice("changed", HOME)
LOCKED = Notice("locked", HOME, link=Purpose.RESET_PASSWORD)
DAY = timedelta(days=1)


@pytest.fixture
async def world(engine):
    async with engine.begin() as connection:
        await connection.run_sync(mails.create)
    world = World(engine)
    assert await world.people.sign_up(SIGN_UP, VERIFY)
    world.factors = SqlSecondFactors(world.people, SecretBox(["k" * 32], os.urandom))
    world.passkeys = SqlPasskeys(world.people)
    world.accounts = SqlAccountStore(engine, clock=lambda: world.now)
    world.departures = SqlDepartures(world.people)
    return world


async def epoch(world):
    return (await world.people.holder("alice")).credentials_epoch


async def add_passkey(world, name):
    key = Passkey(name, "alice", b"key", 0, "", True, True, world.now)
    assert await world.passkeys.add(key, await epoch(world), CHANGED)


async def keys_that_work(world):
    async with world.engine.connect() as connection:
        keys = tables.api_keys.c
        labels = sa.select(keys.label).where(keys.revoked_at.is_(None)).order_by(keys.label)
        return (await connection.scalars(labels)).all()


async def test_what_a_thief_added_is_gone_and_what_the_owner_had_is_there(world):
    await add_passkey(world, "owner's")
    await world.accounts.add_api_key("alice", "1" * 64, "owner's", scopes=LEAST)
    world.now += DAY
    link = await world.ask(Purpose.NOT_ME)
    await add_passkey(world, "thief's")
    await world.accounts.add_api_key("alice", "2" * 64, "thief's", scopes=LEAST)
    assert await world.factors.add("alice", await epoch(world), FACTOR, CHANGED)
    world.now += DAY
    assert await world.people.lock(link, LOCKED)
    assert [each.credential_id for each in await world.passkeys.of_account("alice")] == ["owner's"]
    assert await world.factors.find("alice") is None
    assert await keys_that_work(world) == ["owner's"]
    acts = set((await world.acts())[:4])
    removed = {Act.PASSKEY_REMOVED, Act.SECOND_FACTOR_REMOVED, Act.KEY_REVOKED}
    assert acts == removed | {Act.LOCKED}


async def test_a_mailbox_alone_takes_no_second_factor_away(world):
    assert await world.factors.add("alice", 1, FACTOR, CHANGED)
    world.now += DAY
    link = await world.ask(Purpose.NOT_ME)
    assert await world.people.lock(link, LOCKED)
    assert await world.factors.find("alice") is not None


async def test_a_deletion_that_a_thief_asked_for_is_cancelled(world):
    link = await world.ask(Purpose.NOT_ME)
    due_at = world.now + DAY
    assert await world.departures.ask_deletion("alice", 1, Unspent.GIVE_UP, due_at, CHANGED)
    assert (await world.departures.deletion("alice")).state is State.WAITING
    assert await world.people.lock(link, LOCKED)
    assert await world.departures.deletion("alice") is None
    (request,) = await world.departures.requests("alice")
    assert request.done_at == world.now
    # Frozen all the same, as it is locked, until another password is set.
    assert (await world.accounts.account("alice")).frozen
    reset = await world.ask(Purpose.RESET_PASSWORD)
    assert await world.people.reset_password(reset, "hash two", CHANGED)
    assert not (await world.accounts.account("alice")).frozen


async def test_the_newest_proof_says_since_when_a_deletion_need_not_wait(world):
    assert await world.departures.strongest_proof_since("alice") is None
    assert await world.factors.add("alice", 1, FACTOR, CHANGED)
    first = world.now
    assert await world.departures.strongest_proof_since("alice") == first
    world.now += DAY
    await add_passkey(world, "second")
    assert await world.departures.strongest_proof_since("alice") == first + DAY
