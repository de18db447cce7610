"""The second step of a sign-in and of a proof: one code, once, a few tries, some minutes."""

import asyncio
from datetime import timedelta

import pytest

from accounts.ceremony import LIVES, CeremonyPurpose
from accounts.sign_in import CODE_TRIES_MAX, SignInAnswer
from gateway.errors import TooFastError
from gateway.http.visitor import device_id
from gateway.limits.velocity import Use
from gateway.people.sign_in import CodeNeeded, NotYet, Welcome
from gateway.people.sign_up import verify_email
from tests.gateway.people.factors import code_at, enrolled
from tests.gateway.people.memory import EMAIL, PASSWORD, a_visitor

STRANGER = a_visitor(address="198.51.100.7")


async def asked(world, visitor=STRANGER):
    """Give the password; return the secret of the browser that goes on."""
    needed = await world.sign_in.by_password(EMAIL, PASSWORD, visitor)
    assert isinstance(needed, CodeNeeded)
    return needed.ceremony_secret


async def test_a_password_alone_begins_no_session(world):
    _, secret, _ = await enrolled(world)
    before = dict(world.sessions.kept)
    ceremony = await asked(world)
    assert world.sessions.kept == before
    assert await world.sign_in.is_asked_for_code(ceremony)
    welcome = await world.sign_in.by_code(ceremony, code_at(world, secret), STRANGER)
    assert isinstance(welcome, Welcome)
    who = await world.browsers.who(welcome.session_secret)
    assert who.session.methods == {"pwd", "otp", "mfa"}
    assert not await world.sign_in.is_asked_for_code(ceremony)
    again = await world.sign_in.by_code(ceremony, code_at(world, secret), STRANGER)
    assert again == NotYet(SignInAnswer.BEGIN_AGAIN)


@pytest.mark.parametrize("wrong", ["password", "address"])
async def test_whoever_does_not_know_the_password_learns_nothing_of_a_second_factor(world, wrong):
    await enrolled(world)
    world.add("bob", "bob@example.com")
    email = "nobody@example.com" if wrong == "address" else EMAIL
    outcome = await world.sign_in.by_password(email, "wrong", STRANGER)
    assert outcome == await world.sign_in.by_password("bob@example.com", "wrong", STRANGER)
    assert outcome == NotYet(SignInAnswer.WRONG)


async def test_a_code_is_right_once_whoever_types_it_at_the_same_time(world):
    _, secret, _ = await enrolled(world)
    ceremonies = [await asked(world) for _ in range(3)]
    code = code_at(world, secret)
    found = await asyncio.gather(
        *(world.sign_in.by_code(each, code, STRANGER) for each in ceremonies)
    )
    assert [isinstance(each, Welcome) for each in found].count(True) == 1
    assert found.count(NotYet(SignInAnswer.CODE_USED)) == 2


@pytest.mark.parametrize(("steps", "minutes"), [(6, 3), (-6, -3)])
async def test_how_far_a_clock_is_off_is_said(world, steps, minutes):
    _, secret, _ = await enrolled(world)
    world.later(minutes=30)
    typed = code_at(world, secret, steps=steps)
    outcome = await world.sign_in.by_code(await asked(world), typed, STRANGER)
    assert outcome == NotYet(SignInAnswer.CLOCK_OFF, minutes)


async def test_after_some_wrong_codes_one_begins_again_and_the_owner_is_told(world):
    _, secret, _ = await enrolled(world)
    ceremony = await asked(world)
    for _ in range(CODE_TRIES_MAX - 1):
        outcome = await world.sign_in.by_code(ceremony, "no code", STRANGER)
        assert outcome == NotYet(SignInAnswer.CODE_WRONG)
    mails = len(world.mails)
    outcome = await world.sign_in.by_code(ceremony, "no code", STRANGER)
    assert outcome == NotYet(SignInAnswer.TOO_MANY_CODES)
    assert world.mails[mails:] == [("wrong_codes", EMAIL)]
    outcome = await world.sign_in.by_code(ceremony, code_at(world, secret), STRANGER)
    assert outcome == NotYet(SignInAnswer.BEGIN_AGAIN)


async def test_a_device_that_has_passed_no_code_has_no_tries_of_its_own(world):
    """Whoever knows the password alone signs in with many, before the app is there."""
    world.add()
    early = await world.sign_in.by_password(EMAIL, PASSWORD, STRANGER)
    known = a_visitor(address=STRANGER.address, device_secret=early.device_secret)
    world.later(seconds=1)
    who = await world.browsers.who(early.session_secret)
    begun = await world.enrolment.begin(who)
    secret = (await world.enrolment.to_add(who, begun.ceremony_secret)).secret
    await world.enrolment.add(who, begun.ceremony_secret, code_at(world, secret), known)
    world.later(seconds=30)

    async def uses(typed):
        ceremony = await asked(world, known)
        world.velocity.used.clear()
        outcome = await world.sign_in.by_code(ceremony, typed, known)
        return isinstance(outcome, Welcome), {
            use.subject for use in world.velocity.used if use.limit == "account_codes_day"
        }

    assert await uses("000000") == (False, {"ada"})
    assert await uses(code_at(world, secret)) == (True, {"ada"})
    world.later(seconds=30)
    # It has passed one by now: strangers use up nothing of its own.
    assert await uses("000000") == (False, {f"ada {device_id(early.device_secret)}"})


async def test_codes_after_a_link_out_of_the_mailbox_are_counted_by_themselves(world):
    """Whoever knows the password alone must not use up the owner's, who sets another by link."""
    await enrolled(world)
    await world.sign_in.by_code(await asked(world), "000000", STRANGER)
    await world.passwords.ask_for_reset(EMAIL, STRANGER)
    link = world.link("reset_password")
    holder = await world.passwords.reset(link, "violin under seven lakes")
    needed = await world.sign_in.after_password(holder, STRANGER, by_link=True)
    world.velocity.used.clear()
    await world.sign_in.by_code(needed.ceremony_secret, "000000", STRANGER)
    counted = {use.subject for use in world.velocity.used if use.limit == "account_codes_day"}
    assert counted == {"ada by link"}


async def test_many_tries_at_once_are_not_more_than_one_after_the_other(world):
    _, _secret, _ = await enrolled(world)
    ceremony = await asked(world)
    judged = []
    judge = world.factors.find

    async def counting(account_id):
        judged.append(account_id)
        return await judge(account_id)

    world.factors.find = counting
    await asyncio.gather(*(world.sign_in.by_code(ceremony, f"{n:06}", STRANGER) for n in range(20)))
    assert len(judged) <= CODE_TRIES_MAX


async def test_a_recovery_code_stands_in_once_and_the_owner_is_told(world):
    _, _, codes = await enrolled(world)
    typed = codes[4].lower().replace("-", " ")
    welcome = await world.sign_in.by_code(await asked(world), typed, STRANGER)
    assert welcome.answer is SignInAnswer.RECOVERY_CODE_USED
    assert ("recovery_code_used", EMAIL) in world.mails
    outcome = await world.sign_in.by_code(await asked(world), typed, STRANGER)
    assert outcome == NotYet(SignInAnswer.CODE_WRONG)


async def test_there_are_some_minutes_for_it(world):
    _, secret, _ = await enrolled(world)
    ceremony = await asked(world)
    world.now += LIVES[CeremonyPurpose.CODE] - timedelta(seconds=1)
    assert await world.sign_in.is_asked_for_code(ceremony)
    world.later(seconds=1)
    assert not await world.sign_in.is_asked_for_code(ceremony)
    outcome = await world.sign_in.by_code(ceremony, code_at(world, secret), STRANGER)
    assert outcome == NotYet(SignInAnswer.BEGIN_AGAIN)


@pytest.mark.parametrize("change", ["locked", "epoch", "gone"])
async def test_what_changed_since_the_password_ends_it(world, change):
    _, secret, _ = await enrolled(world)
    ceremony = await asked(world)
    kept = dict(world.sessions.kept)
    match change:
        case "locked":
            world.change(locked_at=world.now)
        case "epoch":
            world.change(credentials_epoch=9)
        case "gone":
            del world.people.holders["ada"]
    outcome = await world.sign_in.by_code(ceremony, code_at(world, secret), STRANGER)
    assert outcome == NotYet(SignInAnswer.BEGIN_AGAIN)
    assert world.sessions.kept == kept
    assert not await world.sign_in.is_asked_for_code(ceremony)


async def test_tries_are_counted_by_account_and_place_or_by_a_known_device(world):
    await enrolled(world)
    ceremony = await asked(world)
    world.velocity.used.clear()
    await world.sign_in.by_code(ceremony, "123456", STRANGER)
    assert world.velocity.used == [
        Use("account_codes_hour", "ada"),
        Use("account_codes_day", "ada"),
        Use("address_codes_hour", "198.51.100.7"),
    ]
    (device,) = world.people.known_devices["ada"].values()
    known = a_visitor(device_secret="random-secret-0000")
    world.velocity.used.clear()
    await world.sign_in.by_code(ceremony, "123456", known)
    assert [use.subject for use in world.velocity.used] == [f"ada {device.id}"] * 2
    world.velocity.refuses["account_codes_day"] = 3600
    with pytest.raises(TooFastError):
        await world.sign_in.by_code(ceremony, "123456", STRANGER)


async def test_a_reset_of_the_password_leaves_the_second_factor(world):
    _, secret, _ = await enrolled(world)
    await world.passwords.ask_for_reset(EMAIL, STRANGER)
    await world.passwords.reset(world.link("reset_password"), "violin under seven lakes")
    needed = await world.sign_in.by_password(EMAIL, "violin under seven lakes", STRANGER)
    assert isinstance(needed, CodeNeeded)
    code = code_at(world, secret)
    assert isinstance(await world.sign_in.by_code(needed.ceremony_secret, code, STRANGER), Welcome)


async def test_a_proof_of_the_address_needs_the_code_too(world):
    _, secret, _ = await enrolled(world)
    world.change(email_proven_at=None)
    await world.people.tell("ada", verify_email(EMAIL))
    needed = await world.sign_in.by_proof(world.link("verify_email"), PASSWORD, STRANGER)
    assert isinstance(needed, CodeNeeded)
    assert world.people.holders["ada"].is_proven
    assert not world.sessions.kept
    code = code_at(world, secret)
    assert isinstance(await world.sign_in.by_code(needed.ceremony_secret, code, STRANGER), Welcome)


# The proofs once more.


async def test_a_step_up_takes_the_code_as_well(world):
    who, secret, codes = await enrolled(world)
    world.later(hours=1)
    confirm = world.sign_in.confirm
    assert await world.sign_in.needs_code(who)
    wrong = await confirm(who, "wrong", code_at(world, secret), a_visitor())
    assert wrong == NotYet(SignInAnswer.WRONG)
    assert await confirm(who, PASSWORD, "", a_visitor()) == NotYet(SignInAnswer.CODE_WRONG)
    off = code_at(world, secret, steps=6)
    assert await confirm(who, PASSWORD, off, a_visitor()) == NotYet(SignInAnswer.CLOCK_OFF, 3)
    # With a wrong password the code was not even looked at: it is still good.
    session_secret = await confirm(who, PASSWORD, code_at(world, secret), a_visitor())
    who = await world.browsers.who(session_secret)
    assert who.session.authenticated_at == world.now
    used = await confirm(who, PASSWORD, code_at(world, secret), a_visitor())
    assert used == NotYet(SignInAnswer.CODE_USED)
    assert isinstance(await confirm(who, PASSWORD, codes[0], a_visitor()), str)
