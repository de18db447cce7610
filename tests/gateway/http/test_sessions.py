"""Sessions: who is signed in, what ends it, and how long anything is believed."""

from dataclasses import replace

import pytest

from accounts.session import AGE_MAX, IDLE_MAX
from database.errors import StoreUnavailableError
from tests.gateway.people.conftest import world
from tests.gateway.people.memory import a_visitor

__all__ = ["world"]


async def test_a_session_says_who_is_signed_in(world):
    holder = world.add()
    who = await world.enter()
    assert (who.holder, who.account.id, who.epoch) == (holder, "ada", "e1")
    assert who.secret not in repr(who)
    assert await world.browsers.who("unknown-secret-1") is None


async def test_it_is_noted_once_a_minute_that_it_is_used(world):
    world.add()
    who = await world.enter()
    world.later(seconds=59)
    await world.browsers.who(who.secret)
    assert not world.sessions.touched
    world.later(seconds=1)
    await world.browsers.who(who.secret)
    await world.browsers.who(who.secret)
    assert world.sessions.touched == [world.now]


@pytest.mark.parametrize("field", ["seen_at", "began_at"])
async def test_one_that_is_too_old_is_ended(world, field):
    world.add()
    who = await world.enter()
    age = IDLE_MAX if field == "seen_at" else AGE_MAX
    world.sessions.kept[who.secret] = replace(who.session, **{field: world.now - age})
    assert await world.browsers.who(who.secret) is None
    assert not world.sessions.kept


@pytest.mark.parametrize("change", ["locked", "epoch"])
async def test_whoever_is_locked_or_has_changed_the_password_is_out_within_seconds(world, change):
    world.add()
    who = await world.enter()
    world.change(**({"locked_at": world.now} if change == "locked" else {"credentials_epoch": 2}))
    # Cached for ten seconds if no node is notified, because the one that changed it died first.
    assert await world.browsers.who(who.secret) is not None
    world.later(seconds=10)
    assert await world.browsers.who(who.secret) is None


async def test_one_that_is_about_to_go_on_in_the_next_epoch_is_refused_and_left(world):
    world.add()
    who = await world.enter()
    world.change(credentials_epoch=2)
    world.later(seconds=10)
    assert await world.browsers.who(who.secret) is None
    assert list(world.sessions.kept) == [who.secret]
    world.change(credentials_epoch=3)
    world.later(seconds=10)
    assert await world.browsers.who(who.secret) is None
    assert not world.sessions.kept


async def test_a_session_of_a_newer_epoch_than_what_is_remembered_goes_on(world):
    world.add()
    who = await world.enter()
    # Another node has set the password, and given the session another id.
    world.change(credentials_epoch=2)
    world.sessions.kept["rotated-secret-1"] = replace(who.session, credentials_epoch=2)
    assert (await world.browsers.who("rotated-secret-1")).holder.credentials_epoch == 2


async def test_a_change_of_the_account_holds_at_once(world):
    world.add()
    who = await world.enter()
    world.accounts["ada"] = replace(world.accounts["ada"], frozen=True)
    assert not (await world.browsers.who(who.secret)).account.frozen
    world.epochs.epoch = "e2"
    assert (await world.browsers.who(who.secret)).account.frozen


async def test_a_proof_of_the_address_holds_at_once(world):
    world.add(proven=False)
    who = await world.enter()
    assert not who.holder.is_proven
    world.change(email_proven_at=world.now)
    assert (await world.browsers.who(who.secret)).holder.is_proven


async def test_while_sql_is_away_who_was_known_lately_reads_on(world):
    world.add()
    who = await world.enter()
    world.people.is_away = True
    world.later(seconds=59)
    assert await world.browsers.who(who.secret) is not None
    world.later(seconds=1)
    with pytest.raises(StoreUnavailableError):
        await world.browsers.who(who.secret)


async def test_without_a_key_epoch_nothing_is_remembered(world):
    world.add()
    world.epochs.is_away = True
    who = await world.enter()
    assert who.epoch == ""
    world.change(locked_at=world.now)
    assert await world.browsers.who(who.secret) is None


async def test_an_erased_holder_is_nobody(world):
    world.add()
    who = await world.enter()
    del world.people.holders["ada"]
    world.later(seconds=10)
    assert await world.browsers.who(who.secret) is None


async def test_sessions_are_listed_and_ended(world):
    world.add()
    own = await world.enter()
    world.later(minutes=1)
    other = await world.enter(visitor=a_visitor(address="192.0.2.2"))
    listed = await world.browsers.open(own)
    assert [each.is_own for each in listed] == [True, False]
    assert all(each.device is not None for each in listed)
    await world.browsers.end_one(own, listed[1].name)
    assert await world.browsers.who(other.secret) is None
    assert [device.id for device in await world.people.devices("ada")] == [own.session.device_id]


async def test_nobody_ends_a_session_of_somebody_else(world):
    world.add()
    world.add("bob", "bob@example.com")
    ada, bob = await world.enter(), await world.enter("bob@example.com")
    ((name, _),) = await world.sessions.of_account("bob")
    await world.browsers.end_one(ada, name)
    await world.sign_outs.end_everywhere(ada)
    assert await world.browsers.who(bob.secret) is not None
    assert await world.people.devices("bob")


async def test_what_is_listed_are_sessions_that_stand(world):
    world.add()
    own = await world.enter()
    world.sessions.kept["earlier-secret-1"] = replace(own.session, credentials_epoch=0)
    assert len(await world.browsers.open(own)) == 1


@pytest.mark.parametrize(
    ("fields", "stands"),
    [
        ({}, True),
        ({"email_proven_at": None}, False),
        ({"credentials_epoch": 2}, False),
        ({"locked_at": 0}, False),
    ],
)
async def test_a_call_is_placed_for_who_still_stands(world, fields, stands):
    world.add()
    if "locked_at" in fields:
        fields = {"locked_at": world.now}
    world.change(**fields)
    account = await world.browsers.caller("ada", 1)
    assert account == (world.accounts["ada"] if stands else None)


async def test_no_call_is_placed_for_a_frozen_account_or_nobody(world):
    world.add()
    world.accounts["ada"] = replace(world.accounts["ada"], frozen=True)
    assert not await world.browsers.caller("ada", 1)
    assert not await world.browsers.caller("eve", 1)
