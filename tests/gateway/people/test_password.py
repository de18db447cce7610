"""Another password: by link or by who is signed in; what it ends, and whom it tells."""

import pytest

from database.errors import StoreUnavailableError
from gateway.errors import TooFastError
from gateway.http.outcomes import Faults, StepUpNeeded
from gateway.http.visitor import device_id
from gateway.limits.velocity import Use
from gateway.people.password import LinkDead, PasswordSet
from gateway.people.sign_up import LookIntoMail
from tests.gateway.people.memory import EMAIL, OTHER_PASSWORD, PASSWORD, a_visitor


async def asked(world):
    await world.passwords.ask_for_reset(EMAIL, a_visitor())
    return world.link("reset_password")


async def test_a_link_sets_the_password_once_and_ends_all_sessions(world):
    world.add()
    who = await world.enter()
    link = await asked(world)
    assert await world.passwords.reset(link, OTHER_PASSWORD) == world.people.holders["ada"]
    assert world.mails[-1] == ("password_changed", EMAIL)
    assert await world.browsers.who(who.secret) is None
    assert not world.sessions.kept
    assert await world.passwords.reset(link, "another one of mine 77") == LinkDead()
    assert await world.enter(password=OTHER_PASSWORD)


async def test_a_reset_unlocks_and_proves(world):
    world.add(proven=False)
    world.change(locked_at=world.now)
    holder = await world.passwords.reset(await asked(world), OTHER_PASSWORD)
    assert holder.is_proven
    assert holder.locked_at is None


async def test_a_password_that_is_refused_leaves_the_link_as_it_is(world):
    world.add()
    link = await asked(world)
    refused = await world.passwords.reset(link, "password1")
    assert refused == Faults({"password": "password_guessable"})
    assert await world.passwords.reset(link, OTHER_PASSWORD) == world.people.holders["ada"]


async def test_links_of_another_kind_or_age_set_no_password(world):
    world.add()
    link = await asked(world)
    world.later(hours=1)
    assert await world.passwords.reset(link, OTHER_PASSWORD) == LinkDead()
    await world.enter()
    await world.enter()
    assert await world.passwords.reset(world.link("new_device"), OTHER_PASSWORD) == LinkDead()
    assert await world.passwords.reset("none", OTHER_PASSWORD) == LinkDead()
    assert not world.hasher.hashed


async def test_an_unknown_address_gets_the_same_answer_and_no_mail(world):
    world.add()
    seen = []
    for email in (EMAIL, "eve@example.com"):
        world.people.asked.clear()
        world.velocity.used.clear()
        outcome = await world.passwords.ask_for_reset(email, a_visitor())
        assert outcome == LookIntoMail(email)
        seen.append((list(world.people.asked), [use.limit for use in world.velocity.used]))
    assert seen[0] == seen[1]
    assert "tell" in seen[0][0], "both take the write lock"
    assert world.naps == [0.5, 0.5]
    assert world.mails == [("reset_password", EMAIL)]


async def test_resets_are_counted_and_a_known_device_by_itself(world):
    world.add()
    who = await world.enter()
    secret = "random-secret-0000"
    assert device_id(secret) == who.session.device_id
    world.velocity.used.clear()
    await world.passwords.ask_for_reset(EMAIL, a_visitor(device_secret=secret))
    assert Use("account_resets_hour", f"{EMAIL} {device_id(secret)}") in world.velocity.used
    world.velocity.refuses["account_resets_hour"] = 60
    with pytest.raises(TooFastError):
        await world.passwords.ask_for_reset(EMAIL, a_visitor())
    faults = Faults({"email": "address_invalid"})
    assert await world.passwords.ask_for_reset("x", a_visitor()) == faults


async def test_no_stranger_at_the_same_place_keeps_a_known_device_from_a_reset(world):
    world.add()
    welcome = await world.sign_in.by_password(EMAIL, PASSWORD, a_visitor())
    world.velocity.refuses["address_resets_hour"] = 60
    known = a_visitor(device_secret=welcome.device_secret)
    assert await world.passwords.ask_for_reset(EMAIL, known) == LookIntoMail(EMAIL)
    with pytest.raises(TooFastError):
        await world.passwords.ask_for_reset(EMAIL, a_visitor())


async def test_who_is_signed_in_changes_it_and_stays(world):
    world.add()
    other, who = await world.enter(), await world.enter()
    outcome = await world.passwords.change(who, OTHER_PASSWORD)
    assert await world.browsers.who(outcome.session_secret)
    assert await world.browsers.who(who.secret) is None
    assert await world.browsers.who(other.secret) is None
    assert list(world.sessions.kept) == [outcome.session_secret]
    assert world.mails[-1] == ("password_changed", EMAIL)
    assert outcome.session_secret not in repr(outcome)


async def test_it_needs_a_proof_of_the_last_minutes(world):
    world.add()
    who = await world.enter()
    world.later(minutes=10)
    assert await world.passwords.change(who, OTHER_PASSWORD) == StepUpNeeded()
    assert world.people.holders["ada"].password_hash == f"hash of {PASSWORD}"


async def test_a_bad_one_is_said(world):
    world.add()
    who = await world.enter()
    assert await world.passwords.change(who, "short") == Faults({"password": "password_short"})


async def test_a_session_that_ended_meanwhile_does_not_come_back(world):
    world.add()
    who = await world.enter()
    await world.browsers.sign_out(who.secret)
    assert await world.passwords.change(who, OTHER_PASSWORD) == PasswordSet("")
    assert not world.sessions.kept


async def test_what_has_been_done_is_no_failure_where_the_store_of_sessions_is_away(world):
    world.add()
    who = await world.enter()
    link = await asked(world)

    async def away(*_args, **_options):
        raise StoreUnavailableError("away")

    world.sessions.end_all = away
    assert await world.passwords.reset(link, OTHER_PASSWORD) == world.people.holders["ada"]
    world.later(seconds=10)
    assert await world.browsers.who(who.secret) is None
