"""A second factor is added by its first code, shown its codes once, and ends other sessions."""

from dataclasses import replace

import pytest

from accounts import second_factor
from accounts.ceremony import LIVES, CeremonyPurpose
from gateway.errors import TooFastError
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.people.enrolment import (
    CODE_CLOCK_OFF,
    CODE_WRONG,
    Begun,
    Changed,
    NothingToDo,
    WrongCode,
)
from tests.gateway.people.factors import code_at, enrolled
from tests.gateway.people.memory import EMAIL, a_visitor


async def begun(world):
    world.add()
    who = await world.enter()
    outcome = await world.enrolment.begin(who)
    assert isinstance(outcome, Begun)
    to_add = await world.enrolment.to_add(who, outcome.ceremony_secret)
    return who, outcome.ceremony_secret, to_add


async def test_it_counts_once_a_first_code_was_typed(world):
    who, ceremony, to_add = await begun(world)
    other = await world.enter()
    assert to_add.uri.startswith("otpauth://totp/Example%20Calls:ada%40example.com?")
    assert "issuer=Example%20Calls" in to_add.uri
    assert await world.enrolment.current(who) is None
    assert await world.enrolment.codes_to_keep(who, ceremony) == (), "not before they count"
    code = code_at(world, to_add.secret)
    changed = await world.enrolment.add(who, ceremony, code, a_visitor())
    assert isinstance(changed, Changed)
    assert await world.browsers.who(other.secret) is None
    assert await world.browsers.who(who.secret) is None
    own = await world.browsers.who(changed.session_secret)
    assert {"pwd", "otp", "mfa"} <= own.session.methods
    assert world.mails[-1] == ("second_factor_changed", EMAIL)
    codes = await world.enrolment.codes_to_keep(own, changed.ceremony_secret)
    assert len(set(codes)) == second_factor.RECOVERY_CODES
    assert {second_factor.code_digest(code) for code in codes} == world.factors.digests["ada"]
    factor = await world.enrolment.current(own)
    assert factor.secret == to_add.secret


async def test_codes_are_shown_for_some_minutes_to_their_owner_and_never_again(world):
    who, _, codes = await enrolled(world)
    (ceremony,) = world.ceremonies.kept
    assert await world.enrolment.codes_to_keep(who, ceremony) == codes
    world.add("bob", "bob@example.com")
    bob = await world.enter("bob@example.com")
    assert await world.enrolment.codes_to_keep(bob, ceremony) == ()
    await world.enrolment.forget_codes(ceremony)
    assert await world.enrolment.codes_to_keep(who, ceremony) == ()
    changed = await world.enrolment.new_codes(who)
    who = await world.browsers.who(changed.session_secret)
    new = await world.enrolment.codes_to_keep(who, changed.ceremony_secret)
    assert set(new).isdisjoint(codes)
    assert len(new) == second_factor.RECOVERY_CODES
    assert {second_factor.code_digest(code) for code in new} == world.factors.digests["ada"]
    world.now += LIVES[CeremonyPurpose.RECOVERY_CODES]
    assert await world.enrolment.codes_to_keep(who, changed.ceremony_secret) == ()


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        (5, WrongCode(Faults({"code": CODE_CLOCK_OFF}), 3)),
        (-4, WrongCode(Faults({"code": CODE_CLOCK_OFF}), -2)),
        (100, WrongCode(Faults({"code": CODE_WRONG}))),
    ],
)
async def test_what_is_wrong_with_a_first_code_is_said(world, steps, wrong):
    who, ceremony, to_add = await begun(world)
    typed = code_at(world, to_add.secret, steps=steps)
    assert await world.enrolment.add(who, ceremony, typed, a_visitor()) == wrong
    assert await world.enrolment.current(who) is None


async def test_first_codes_are_counted(world):
    who, ceremony, _ = await begun(world)
    world.velocity.refuses["account_codes_hour"] = 60
    with pytest.raises(TooFastError):
        await world.enrolment.add(who, ceremony, "123456", a_visitor())


async def test_only_who_began_it_goes_on(world):
    who, ceremony, to_add = await begun(world)
    world.add("bob", "bob@example.com")
    bob = await world.enter("bob@example.com")
    assert await world.enrolment.to_add(bob, ceremony) is None
    code = code_at(world, to_add.secret)
    assert await world.enrolment.add(bob, ceremony, code, a_visitor()) == NothingToDo()
    assert await world.enrolment.add(who, "nothing", code, a_visitor()) == NothingToDo()
    world.now += LIVES[CeremonyPurpose.SECOND_FACTOR]
    fresh = replace(who, session=replace(who.session, authenticated_at=world.now))
    assert await world.enrolment.add(fresh, ceremony, code, a_visitor()) == NothingToDo()


async def test_each_change_needs_a_proof_of_the_last_minutes(world):
    who, _, _ = await enrolled(world)
    assert await world.enrolment.begin(who) == NothingToDo(), "there is one already"
    world.later(minutes=10)
    for outcome in (
        await world.enrolment.begin(who),
        await world.enrolment.add(who, "x", "123456", a_visitor()),
        await world.enrolment.new_codes(who),
        await world.enrolment.remove(who),
    ):
        assert outcome == StepUpNeeded()
    assert world.people.holders["ada"].credentials_epoch == 2


async def test_it_is_removed_and_all_others_are_out(world):
    who, _secret, _ = await enrolled(world)
    changed = await world.enrolment.remove(who)
    assert await world.browsers.who(changed.session_secret) is not None
    assert await world.browsers.who(who.secret) is None
    assert world.mails[-1] == ("second_factor_changed", EMAIL)
    who = await world.browsers.who(changed.session_secret)
    kept = dict(world.sessions.kept)
    for again in (world.enrolment.remove, world.enrolment.new_codes):
        assert await again(who) == NothingToDo(), "a repeat signs nobody out"
    assert world.sessions.kept == kept
    assert world.people.holders["ada"].credentials_epoch == 3
    assert (await world.enter()).session.methods == {"pwd"}


async def test_a_session_that_ended_meanwhile_changes_nothing(world):
    who, _, _ = await enrolled(world)
    world.change(credentials_epoch=9)
    assert await world.enrolment.remove(who) == SessionOver()
    assert await world.enrolment.new_codes(who) == SessionOver()
    assert await world.enrolment.current(who) is not None


@pytest.mark.parametrize("act", ["new_codes", "remove"])
async def test_epochs_are_counted(world, act):
    who, _, _ = await enrolled(world)
    world.velocity.refuses["account_epochs_hour"] = 60
    with pytest.raises(TooFastError):
        await getattr(world.enrolment, act)(who)
    assert world.people.holders["ada"].credentials_epoch == 2
