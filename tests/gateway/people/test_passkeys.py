"""Passkeys: one signs in alone, for its own account, once for each challenge."""

from dataclasses import replace

import pytest

from accounts.ceremony import LIVES, CeremonyPurpose
from accounts.passkey import PASSKEYS_MAX
from accounts.sign_in import SignInAnswer
from gateway.errors import TooFastError
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.people.enrolment import Changed
from gateway.people.passkeys import PASSKEY_KNOWN, PASSKEY_WRONG, PASSKEYS_MANY, Challenge
from gateway.people.sign_in import NotYet, Welcome
from tests.gateway.people.memory import EMAIL, a_visitor
from tests.gateway.people.soft_passkey import UP, UV, SoftPasskey, text

WRONG = NotYet(SignInAnswer.PASSKEY_WRONG)
FIREFOX = a_visitor(user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko Firefox/140.0")


async def added(world, who=None, passkey=None, name="phone"):
    """Let somebody add a passkey; return who is signed in then, and it."""
    if who is None:
        world.add()
        who = await world.enter()
    passkey = passkey or SoftPasskey()
    begun = await world.passkeys.begin(who)
    assert isinstance(begun, Challenge)
    answer = passkey.create(begun.options)
    changed = await world.passkeys.add(who, begun.ceremony_secret, answer, name, FIREFOX)
    assert isinstance(changed, Changed), changed
    return await world.browsers.who(changed.session_secret), passkey


async def enter(world, passkey, **client):
    asked = await world.passkeys.challenge(a_visitor())
    answer = passkey.get(asked.options, **client)
    return await world.passkeys.enter(asked.ceremony_secret, answer, a_visitor())


async def test_it_signs_in_alone_and_is_both_factors(world):
    who, passkey = await added(world)
    (kept,) = await world.passkeys.current(who)
    assert (kept.name, kept.is_synced, kept.used_at) == ("phone", True, None)
    world.later(hours=1)
    welcome = await enter(world, passkey)
    assert isinstance(welcome, Welcome)
    session = world.sessions.kept[welcome.session_secret]
    assert session.methods == {"pop", "user", "mfa"}
    (kept,) = await world.passkeys.current(who)
    assert kept.used_at == world.now


async def test_whoever_has_a_second_factor_needs_no_code_with_it(world):
    from tests.gateway.people.factors import enrolled

    who, _, _ = await enrolled(world)
    _, passkey = await added(world, who)
    assert isinstance(await enter(world, passkey), Welcome)


async def test_adding_one_is_told_and_ends_all_other_sessions(world):
    world.add()
    who, other = await world.enter(), await world.enter()
    who, _ = await added(world, who)
    assert await world.browsers.who(other.secret) is None
    assert world.mails[-1] == ("passkey_added", EMAIL)


@pytest.mark.parametrize(("typed", "name"), [("", "Firefox, Linux"), (" my\nkey ", "my key")])
async def test_it_has_a_name_that_one_knows_again(world, typed, name):
    who, _ = await added(world, name=typed)
    assert [each.name for each in await world.passkeys.current(who)] == [name]


@pytest.mark.parametrize("what", ["replayed", "late", "unknown", "other purpose"])
async def test_a_challenge_is_good_once_and_for_some_minutes(world, what):
    who, passkey = await added(world)
    asked = await world.passkeys.challenge(a_visitor())
    secret, answer = asked.ceremony_secret, passkey.get(asked.options)
    match what:
        case "replayed":
            assert isinstance(await world.passkeys.enter(secret, answer, a_visitor()), Welcome)
        case "late":
            world.now += LIVES[CeremonyPurpose.PASSKEY]
        case "unknown":
            secret = "nothing"
        case "other purpose":
            secret = (await world.passkeys.begin(who)).ceremony_secret
    outcome = await world.passkeys.enter(secret, answer, a_visitor())
    assert outcome == NotYet(SignInAnswer.BEGIN_AGAIN)


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "https://calls.example.org"},
        {"rp_id": "example.com"},
        {"flags": UP},
        {"credential_id": b"unknown"},
        {"user_handle": b"bob"},
        {"user_handle": b""},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_whatever_is_wrong_gets_one_answer(world, wrong):
    _, passkey = await added(world)
    kept = dict(world.sessions.kept)
    assert await enter(world, replace(passkey, **wrong)) == WRONG
    assert world.sessions.kept == kept


@pytest.mark.parametrize("answer", ["", "{}", "no json", '{"id": "x\\u0000", "response": {}}'])
async def test_what_is_no_answer_is_wrong(world, answer):
    asked = await world.passkeys.challenge(a_visitor())
    assert await world.passkeys.enter(asked.ceremony_secret, answer, a_visitor()) == WRONG


@pytest.mark.parametrize("change", ["locked", "gone", "removed"])
async def test_an_account_that_is_gone_or_locked_is_told_apart_from_none(world, change):
    _, passkey = await added(world)
    match change:
        case "locked":
            world.change(locked_at=world.now)
        case "gone":
            del world.people.holders["ada"]
        case "removed":
            world.passkey_store.kept.clear()
    kept = dict(world.sessions.kept)
    assert await enter(world, passkey) == WRONG
    assert world.sessions.kept == kept


async def test_an_epoch_that_begins_meanwhile_lets_nobody_in(world):
    _, passkey = await added(world)
    use = world.passkey_store.use

    async def overtaken(*args, **options):
        world.change(credentials_epoch=9)
        return await use(*args, **options)

    world.passkey_store.use = overtaken
    assert await enter(world, passkey) == WRONG


async def test_a_key_with_another_ones_id_is_not_theirs(world):
    await added(world)
    world.add("bob", "bob@example.com")
    bob = await world.enter("bob@example.com")
    begun = await world.passkeys.begin(bob)
    answer = SoftPasskey().create(begun.options)
    outcome = await world.passkeys.add(bob, begun.ceremony_secret, answer, "", FIREFOX)
    assert outcome == Faults({"passkey": PASSKEY_KNOWN})


async def test_a_copy_of_a_passkey_that_is_bound_to_its_device_is_refused_and_noted(world):
    _, passkey = await added(world, passkey=SoftPasskey(flags=UP | UV, sign_count=5))
    passkey.sign_count = 6
    assert isinstance(await enter(world, passkey), Welcome)
    assert not world.passkey_store.counted_back
    assert await enter(world, passkey) == WRONG
    assert world.passkey_store.counted_back == ["ada"]
    passkey.sign_count = 7
    assert isinstance(await enter(world, passkey), Welcome)


async def test_a_synced_passkey_may_count_back_which_is_noted(world):
    _, passkey = await added(world, passkey=SoftPasskey(sign_count=5))
    passkey.sign_count = 2
    assert isinstance(await enter(world, passkey), Welcome)
    assert world.passkey_store.counted_back == ["ada"]


@pytest.mark.parametrize(
    "limit", ["address_passkey_challenges_minute", "all_passkey_challenges_minute"]
)
async def test_challenges_are_counted(world, limit):
    world.velocity.refuses[limit] = 60
    with pytest.raises(TooFastError):
        await world.passkeys.challenge(a_visitor())
    assert not world.ceremonies.kept


# A proof once more.


async def test_it_is_a_proof_once_more_of_its_own_account_only(world):
    who, passkey = await added(world)
    world.later(hours=1)
    asked = await world.passkeys.challenge(a_visitor())
    answer = passkey.get(asked.options)
    secret = await world.passkeys.confirm(who, asked.ceremony_secret, answer)
    who = await world.browsers.who(secret)
    assert who.session.authenticated_at == world.now
    assert {"pwd", "pop", "mfa"} <= who.session.methods
    world.add("bob", "bob@example.com")
    bob = await world.enter("bob@example.com")
    asked = await world.passkeys.challenge(a_visitor())
    answer = passkey.get(asked.options)
    assert await world.passkeys.confirm(bob, asked.ceremony_secret, answer) == WRONG
    late = await world.passkeys.confirm(bob, asked.ceremony_secret, answer)
    assert late == NotYet(SignInAnswer.BEGIN_AGAIN)


# Changes.


async def test_only_what_was_asked_for_is_added(world):
    world.add()
    who = await world.enter()
    begun = await world.passkeys.begin(who)
    wrong = Faults({"passkey": PASSKEY_WRONG})
    add = world.passkeys.add
    unlocked = SoftPasskey(flags=UP).create(begun.options)
    assert await add(who, begun.ceremony_secret, unlocked, "", FIREFOX) == wrong
    answer = SoftPasskey().create(begun.options)
    assert await add(who, begun.ceremony_secret, answer, "", FIREFOX) == wrong, "it was used up"
    world.add("bob", "bob@example.com")
    bob = await world.enter("bob@example.com")
    begun = await world.passkeys.begin(bob)
    answer = SoftPasskey().create(begun.options)
    assert await add(who, begun.ceremony_secret, answer, "", FIREFOX) == wrong
    assert not world.passkey_store.kept


async def test_there_are_so_many_at_most(world):
    who, _ = await added(world)
    (kept,) = world.passkey_store.kept.values()
    for number in range(PASSKEYS_MAX - 1):
        other = replace(kept, credential_id=f"other-{number}")
        world.passkey_store.kept[other.credential_id] = other
    begun = await world.passkeys.begin(who)
    assert len(begun.options["excludeCredentials"]) == PASSKEYS_MAX
    answer = SoftPasskey(credential_id=b"one more").create(begun.options)
    outcome = await world.passkeys.add(who, begun.ceremony_secret, answer, "", FIREFOX)
    assert outcome == Faults({"passkey": PASSKEYS_MANY})


async def test_it_is_renamed_and_removed_by_its_owner_only(world):
    who, passkey = await added(world)
    own = text(passkey.credential_id)
    world.add("bob", "bob@example.com")
    bob = await world.enter("bob@example.com")
    await world.passkeys.rename(bob, own, "mine")
    await world.passkeys.remove(bob, own)
    assert world.passkey_store.kept[own].name == "phone"
    assert await world.passkeys.rename(who, own, " new\u202e name ") is None
    assert world.passkey_store.kept[own].name == "new name"
    other = await world.enter()
    changed = await world.passkeys.remove(who, own)
    assert world.mails[-1] == ("passkey_removed", EMAIL)
    assert not world.passkey_store.kept
    assert await world.browsers.who(other.secret) is None
    assert await enter(world, passkey) == WRONG
    who = await world.browsers.who(changed.session_secret)
    mails, kept = len(world.mails), dict(world.sessions.kept)
    assert await world.passkeys.remove(who, own) == Changed(who.secret), "a repeat is no fault"
    assert len(world.mails) == mails
    assert world.sessions.kept == kept, "and signs nobody out"


async def test_changes_need_a_proof_of_the_last_minutes_and_a_session(world):
    who, passkey = await added(world)
    own = text(passkey.credential_id)
    world.later(minutes=10)
    assert await world.passkeys.begin(who) == StepUpNeeded()
    assert await world.passkeys.add(who, "x", "{}", "", FIREFOX) == StepUpNeeded()
    assert await world.passkeys.remove(who, own) == StepUpNeeded()
    world.later(minutes=-10)
    world.change(credentials_epoch=9)
    assert await world.passkeys.rename(who, own, "x") == SessionOver()
    assert await world.passkeys.remove(who, own) == SessionOver()
    begun = await world.passkeys.begin(who)
    answer = SoftPasskey(credential_id=b"other").create(begun.options)
    outcome = await world.passkeys.add(who, begun.ceremony_secret, answer, "", FIREFOX)
    assert outcome == SessionOver()
    world.velocity.refuses["account_epochs_hour"] = 60
    with pytest.raises(TooFastError):
        await world.passkeys.remove(who, own)
    assert list(world.passkey_store.kept) == [own]
