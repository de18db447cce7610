"""Sign-in: the same for wrong and unknown, counted, and each session under a new id."""

import pytest

from accounts.link import LIFETIMES, Purpose
from accounts.notice import Notice
from accounts.sign_in import SignInAnswer
from gateway.errors import TooFastError
from gateway.http.outcomes import Faults
from gateway.http.visitor import device_id
from gateway.limits.velocity import Use
from gateway.people.password import LinkDead
from gateway.people.sign_in import NotYet, Welcome
from gateway.people.sign_up import verify_email
from tests.gateway.people.factors import enrolled
from tests.gateway.people.memory import EMAIL, OTHER_PASSWORD, PASSWORD, a_visitor

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


async def attempt(world, password=PASSWORD, email=EMAIL, **visitor):
    return await world.sign_in.by_password(email, password, a_visitor(**visitor))


async def test_the_right_password_begins_a_session(world):
    world.add()
    welcome = await attempt(world, user_agent=FIREFOX)
    assert type(welcome) is Welcome
    session = world.sessions.kept[welcome.session_secret]
    assert session.account_id == "ada"
    assert session.methods == {"pwd"}
    assert session.began_at == session.seen_at == session.authenticated_at == world.now
    (device,) = await world.people.devices("ada")
    assert (device.browser, device.system) == ("Firefox", "Linux")
    assert device.id == session.device_id == device_id(welcome.device_secret)
    assert welcome.device_secret not in device.id
    assert not world.mails, "the first device is no news"
    assert welcome.session_secret not in repr(welcome)


async def test_an_unproven_holder_may_sign_in(world):
    world.add(proven=False)
    assert type(await attempt(world)) is Welcome


async def test_wrong_and_unknown_get_the_same_answer_after_the_same_work(world):
    world.add()
    seen = []
    for email, password in [
        (EMAIL, "wrong password"),
        ("eve@example.com", "wrong password"),
        ("eve@example.com", PASSWORD),
    ]:
        world.people.asked.clear()
        world.velocity.used.clear()
        world.hasher.verified.clear()
        answer = await attempt(world, password, email)
        assert answer == NotYet(SignInAnswer.WRONG)
        limits = [use.limit for use in world.velocity.used]
        seen.append((list(world.people.asked), limits, len(world.hasher.verified)))
    assert seen[0] == seen[1] == seen[2]
    assert world.hasher.verified == [""], "an empty hash costs the same"
    assert not world.sessions.kept


async def test_what_is_no_address_is_said(world):
    assert await attempt(world, email="ada") == Faults({"email": "address_invalid"})
    assert not world.hasher.verified


async def test_a_locked_account_is_told_to_whoever_knows_the_password_only(world):
    world.add()
    world.change(locked_at=world.now)
    assert await attempt(world, "wrong") == NotYet(SignInAnswer.WRONG)
    assert await attempt(world) == NotYet(SignInAnswer.LOCKED)
    assert not world.sessions.kept


async def test_a_new_device_is_told_of_and_a_known_one_is_not(world):
    world.add()
    first = await attempt(world)
    again = await attempt(world, device_secret=first.device_secret)
    assert again.device_secret == first.device_secret
    assert again.session_secret != first.session_secret
    assert not world.mails
    await attempt(world)
    assert world.mails == [("new_device", EMAIL)]
    assert world.link("new_device")


async def test_where_a_sign_in_came_from_is_kept_and_told(world):
    world.add()
    known = await attempt(world)
    names = {"en": "France", "de": "Frankreich"}
    await attempt(world, country="FR", country_names=names)
    assert world.mails == [("new_device", EMAIL)]
    assert world.people.mails[-1].values["country"] == "France"
    countries = {device.country for device in await world.people.devices("ada")}
    assert countries == {"", "FR"}
    # A browser that is known is where it was last.
    await attempt(world, device_secret=known.device_secret, country="DE")
    assert {device.country for device in await world.people.devices("ada")} == {"DE", "FR"}


@pytest.mark.parametrize("brought", ["a-secret-that-somebody-chose", "of another account"])
async def test_a_device_gets_a_secret_that_no_client_has_chosen(world, brought):
    world.add()
    if brought == "of another account":
        world.add("bob", "bob@example.com")
        brought = (await attempt(world, email="bob@example.com")).device_secret
    welcome = await attempt(world, device_secret=brought)
    assert welcome.device_secret != brought
    assert [each.id for each in await world.people.devices("ada")] == [
        device_id(welcome.device_secret)
    ]


async def test_wrong_tries_of_a_proof_once_more_lock_nobody_out_of_the_sign_in(world):
    world.add()
    welcome = await attempt(world)
    who = await world.browsers.who(welcome.session_secret)
    world.velocity.used.clear()
    assert await world.sign_in.confirm(who, "guess", "", a_visitor()) == NotYet(SignInAnswer.WRONG)
    own = f"ada {device_id(welcome.device_secret)}"
    assert world.velocity.used == [Use("device_step_ups_hour", own)]
    world.velocity.refuses["device_step_ups_hour"] = 60
    with pytest.raises(TooFastError):
        await world.sign_in.confirm(who, PASSWORD, "", a_visitor())
    assert type(await attempt(world, device_secret=welcome.device_secret)) is Welcome


async def test_a_session_that_begins_while_all_others_end_does_not_begin(world):
    """Whoever ends all sessions would else miss one that is not there yet."""
    world.add()
    note = world.people.note_device

    async def overtaken(account_id, device, notice):
        await note(account_id, device, notice)
        world.change(credentials_epoch=2)

    world.people.note_device = overtaken
    assert await attempt(world) == NotYet(SignInAnswer.BEGIN_AGAIN)
    assert not world.sessions.kept


async def test_strangers_do_not_use_up_what_a_known_device_may_try(world):
    world.add()
    secret = (await attempt(world)).device_secret
    world.velocity.used.clear()
    await attempt(world, "guess")
    assert Use("account_sign_ins_hour", EMAIL) in world.velocity.used
    assert Use("all_sign_ins_minute", "all") in world.velocity.used
    world.velocity.used.clear()
    await attempt(world, device_secret=secret)
    assert Use("account_sign_ins_hour", f"{EMAIL} {device_id(secret)}") in world.velocity.used
    assert not any(use.limit == "all_sign_ins_minute" for use in world.velocity.used)
    # One that was signed in to another account is a stranger here.
    world.add("bob", "bob@example.com")
    world.velocity.used.clear()
    await attempt(world, email="bob@example.com", device_secret=secret)
    assert Use("account_sign_ins_hour", "bob@example.com") in world.velocity.used


PLACE = ["address_sign_ins_hour", "network_sign_ins_hour", "all_sign_ins_minute"]


@pytest.mark.parametrize("limit", PLACE)
async def test_no_stranger_at_the_same_place_locks_a_known_device_out(world, limit):
    world.add()
    welcome = await attempt(world)
    who = await world.browsers.who(welcome.session_secret)
    world.velocity.refuses[limit] = 60
    assert type(await attempt(world, device_secret=welcome.device_secret)) is Welcome
    assert isinstance(await world.sign_in.confirm(who, PASSWORD, "", a_visitor()), str)
    for stranger in ("", "made up"):
        with pytest.raises(TooFastError):
            await attempt(world, device_secret=stranger)


@pytest.mark.parametrize("limit", ["address_sign_ins_hour", "account_sign_ins_hour"])
async def test_too_many_tries_are_refused_before_a_password_is_looked_at(world, limit):
    world.add()
    world.velocity.refuses[limit] = 60
    with pytest.raises(TooFastError):
        await attempt(world)
    assert not world.hasher.verified


async def test_a_hash_of_weaker_parameters_is_replaced(world):
    world.add()
    world.change(password_hash=f"old hash of {PASSWORD}")
    await attempt(world, "wrong")
    assert not world.hasher.hashed
    await attempt(world)
    assert world.people.holders["ada"].password_hash == f"hash of {PASSWORD}"


# The proof of an address.


async def proof_link(world, **fields):
    world.add(proven=False, **fields)
    await world.people.tell("ada", verify_email(EMAIL))
    return world.link("verify_email")


async def test_link_and_password_prove_the_address_and_begin_the_only_session(world):
    link = await proof_link(world)
    before = [await world.enter() for _ in range(2)]
    welcome = await world.sign_in.by_proof(link, PASSWORD, a_visitor(user_agent=FIREFOX))
    assert type(welcome) is Welcome
    assert world.people.holders["ada"].is_proven
    assert list(world.sessions.kept) == [welcome.session_secret]
    who = await world.browsers.who(welcome.session_secret)
    assert (who.holder.is_proven, who.session.authenticated_at) == (True, world.now)
    assert device_id(welcome.device_secret) in [
        each.id for each in await world.people.devices("ada")
    ]
    # Over even for a store of sessions that has not forgotten them.
    for each in before:
        world.sessions.kept[each.secret] = each.session
        assert await world.browsers.who(each.secret) is None
    assert await world.sign_in.by_proof(link, PASSWORD, a_visitor()) == LinkDead()


async def test_whoever_signed_up_with_an_address_of_somebody_else_gains_nothing_by_its_proof(world):
    link = await proof_link(world)
    stranger = await world.enter()
    # The owner reads the mail, and knows only passwords of their own.
    outcome = await world.sign_in.by_proof(link, OTHER_PASSWORD, a_visitor())
    assert outcome == NotYet(SignInAnswer.WRONG)
    assert not world.people.holders["ada"].is_proven
    assert await world.links.look(link, a_visitor()) is not None, (
        "a wrong password does not use it up"
    )
    await world.passwords.ask_for_reset(EMAIL, a_visitor())
    await world.passwords.reset(world.link("reset_password"), OTHER_PASSWORD)
    assert world.people.holders["ada"].is_proven
    assert await world.browsers.who(stranger.secret) is None
    assert await attempt(world) == NotYet(SignInAnswer.WRONG)
    assert await world.sign_in.by_proof(link, PASSWORD, a_visitor()) == NotYet(SignInAnswer.WRONG)
    assert type(await attempt(world, OTHER_PASSWORD)) is Welcome


async def test_a_proof_counts_as_a_sign_in(world):
    link = await proof_link(world)
    await world.sign_in.by_proof(link, "wrong", a_visitor())
    assert {"account_sign_ins_hour", *PLACE} == {use.limit for use in world.velocity.used}
    world.velocity.refuses["account_sign_ins_hour"] = 60
    world.hasher.verified.clear()
    with pytest.raises(TooFastError):
        await world.sign_in.by_proof(link, PASSWORD, a_visitor())
    assert not world.hasher.verified
    assert await world.links.look(link, a_visitor()) is not None


async def test_a_locked_account_is_not_proven(world):
    link = await proof_link(world)
    world.change(locked_at=world.now)
    assert await world.sign_in.by_proof(link, PASSWORD, a_visitor()) == NotYet(SignInAnswer.LOCKED)
    assert not world.people.holders["ada"].is_proven


async def test_a_password_that_changes_while_it_is_looked_at_proves_nothing(world):
    link = await proof_link(world)
    verify = world.hasher.verify

    async def overtaken(password, stored):
        world.change(password_hash=f"hash of {OTHER_PASSWORD}")
        return await verify(password, stored)

    world.hasher.verify = overtaken
    assert await world.sign_in.by_proof(link, PASSWORD, a_visitor()) == LinkDead()
    assert not world.people.holders["ada"].is_proven
    assert not world.sessions.kept


async def test_no_other_link_proves_an_address(world):
    link = await proof_link(world)
    await world.passwords.ask_for_reset(EMAIL, a_visitor())
    for other in (world.link("reset_password"), "none", ""):
        assert await world.sign_in.by_proof(other, PASSWORD, a_visitor()) == LinkDead()
    holder = world.people.holders.pop("ada")
    assert await world.sign_in.by_proof(link, PASSWORD, a_visitor()) == LinkDead()
    world.people.holders["ada"] = holder
    world.now += LIFETIMES[Purpose.PROVE_ADDRESS]
    assert await world.sign_in.by_proof(link, PASSWORD, a_visitor()) == LinkDead()
    assert not world.hasher.verified


# The link that stands for the password.

LINK = Notice("demo", EMAIL, link=Purpose.SIGN_IN)


async def sign_in_link(world):
    await world.people.tell("ada", LINK)
    return world.link("demo")


async def test_a_link_of_a_sign_in_begins_one_session(world):
    world.add()
    link = await sign_in_link(world)
    welcome = await world.sign_in.by_link(link, a_visitor(user_agent=FIREFOX))
    assert type(welcome) is Welcome
    session = world.sessions.kept[welcome.session_secret]
    assert (session.account_id, session.methods) == ("ada", frozenset())
    assert not world.hasher.verified
    assert await world.sign_in.by_link(link, a_visitor()) == LinkDead()
    assert list(world.sessions.kept) == [welcome.session_secret]


async def test_a_link_of_a_sign_in_lets_in_nobody_who_is_locked_or_late(world):
    world.add()
    link = await sign_in_link(world)
    world.change(locked_at=world.now)
    assert await world.sign_in.by_link(link, a_visitor()) == LinkDead()
    world.change(locked_at=None)
    world.now += LIFETIMES[Purpose.SIGN_IN]
    for dead in (link, "none", ""):
        assert await world.sign_in.by_link(dead, a_visitor()) == LinkDead()
    await world.passwords.ask_for_reset(EMAIL, a_visitor())
    assert await world.sign_in.by_link(world.link("reset_password"), a_visitor()) == LinkDead()
    assert not world.sessions.kept


async def test_a_link_of_a_sign_in_is_one_factor_and_not_used_up_where_there_are_two(world):
    await enrolled(world)
    link = await sign_in_link(world)
    kept = dict(world.sessions.kept)
    assert await world.sign_in.by_link(link, a_visitor()) == NotYet(SignInAnswer.BEGIN_AGAIN)
    assert world.sessions.kept == kept
    assert (await world.links.look(link, a_visitor())).purpose is Purpose.SIGN_IN
    # Another link reveals to no one that there are two.
    await world.passwords.ask_for_reset(EMAIL, a_visitor())
    assert await world.sign_in.by_link(world.link("reset_password"), a_visitor()) == LinkDead()


# The password once more.


async def test_a_proof_gives_the_session_another_id(world):
    world.add()
    who = await world.enter()
    world.later(hours=1)
    secret = await world.sign_in.confirm(who, PASSWORD, "", a_visitor())
    assert isinstance(secret, str)
    assert await world.browsers.who(who.secret) is None
    session = world.sessions.kept[secret]
    assert (session.authenticated_at, session.began_at) == (world.now, who.session.began_at)


async def test_a_wrong_proof_changes_nothing_and_is_counted_for_this_device(world):
    world.add()
    who = await world.enter()
    world.velocity.used.clear()
    assert await world.sign_in.confirm(who, "wrong", "", a_visitor()) == NotYet(SignInAnswer.WRONG)
    assert (await world.browsers.who(who.secret)).session == who.session
    own = f"ada {who.session.device_id}"
    assert world.velocity.used == [Use("device_step_ups_hour", own)]


async def test_of_a_session_that_ended_meanwhile_nothing_goes_on(world):
    world.add()
    who = await world.enter()
    await world.browsers.sign_out(who.secret)
    assert await world.sign_in.confirm(who, PASSWORD, "", a_visitor()) == NotYet(
        SignInAnswer.BEGIN_AGAIN
    )
    assert not world.sessions.kept
