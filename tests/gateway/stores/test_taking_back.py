"""What a lock takes back: what was added lately, and nothing older."""

import os
from datetime import timedelta

import pytest
import sqlalchemy as sa

from accounts import recovery_codes
from accounts.audit_log import Act
from accounts.erasure import State, Unspent
from accounts.link import DISPUTABLE, Purpose
from accounts.notice import Notice
from accounts.passkey import Passkey
from accounts.ports import NewSecondFactor
from accounts.stores.secret_box import SecretBox
from billing.payment_reasons import ACCOUNT_LOCKED
from billing.stores import tables
from billing.stores.payments import SqlPaymentStore
from gateway.scopes import LEAST
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.departures import SqlDepartures
from gateway.stores.passkeys import SqlPasskeys
from gateway.stores.second_factors import SqlSecondFactors
from tests.gateway.stores.test_people import HOME, SIGN_UP, THIEF, VERIFY, World, mails

CODES = recovery_codes.make(bytes(range(150)))
FACTOR = NewSecondFactor(bytes(20), 100, [recovery_codes.digest(each) for each in CODES])
CHANGED = Notice("changed", HOME)
LOCKED = Notice("locked", HOME, link=Purpose.RESET_PASSWORD)
DAY = timedelta(days=1)
LONG = DISPUTABLE + DAY


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
    world.now += LONG
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
    world.now += LONG
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


UNIT = 1_000_000


async def switched_on(world):
    """Save a card, and have it charged whenever credit is low, as a thief would."""
    cards = SqlPaymentStore(world.engine)
    await cards.save_card("alice", "cus_1", "pm_1")
    await cards.set_auto(
        "alice", enabled=True, threshold_micros=100 * UNIT, amount_micros=100 * UNIT
    )
    return cards


def is_off(profile):
    return (profile.auto_enabled, profile.auto_off_reason) == (False, ACCOUNT_LOCKED)


async def test_a_lock_stops_automatic_top_ups_for_longer_than_it_lasts(world):
    cards = await switched_on(world)
    assert await world.people.lock(await world.ask(Purpose.NOT_ME), LOCKED)
    assert is_off(await cards.profile("alice"))
    assert (await world.acts()).count(Act.AUTO_TOP_UP_OFF) == 1
    reset = await world.ask(Purpose.RESET_PASSWORD)
    assert await world.people.reset_password(reset, "hash two", CHANGED)
    profile = await cards.profile("alice")
    assert (profile.frozen, profile.has_card) == (False, True)
    assert is_off(profile)


async def test_an_address_that_is_taken_back_stops_them_too(world):
    # An address that was never proven could not be gone back to.
    assert await world.people.prove_address(await world.ask(Purpose.PROVE_ADDRESS), "hash one")
    await world.move(THIEF, HOME)
    undo = await world.send(Purpose.UNDO_CHANGE)
    cards = await switched_on(world)
    assert await world.people.undo_change(undo, HOME, LOCKED)
    assert is_off(await cards.profile("alice"))


async def test_what_was_off_before_a_lock_keeps_its_reason(world):
    cards = await switched_on(world)
    await cards.switch_auto_off("alice", "expired_card")
    assert await world.people.lock(await world.ask(Purpose.NOT_ME), LOCKED)
    profile = await cards.profile("alice")
    assert (profile.auto_enabled, profile.auto_off_reason) == (False, "expired_card")


async def test_nobody_switches_them_on_while_an_account_is_locked(world):
    """A thief's request may be under way when the account is locked."""
    cards = await switched_on(world)
    assert await world.people.lock(await world.ask(Purpose.NOT_ME), LOCKED)
    profile = await cards.set_auto("alice", enabled=True, threshold_micros=UNIT, amount_micros=UNIT)
    assert profile.frozen
    assert is_off(await cards.profile("alice"))
