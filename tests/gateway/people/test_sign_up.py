"""Sign-up: what an account needs, and that no one learns who has one."""

import pytest

from accounts import consent
from database.errors import StoreUnavailableError
from gateway.errors import TooFastError
from gateway.http.outcomes import Faults
from gateway.people.sign_up import LookIntoMail, SignUpForm
from tests.gateway.people.memory import EMAIL, OTHER_PASSWORD, PASSWORD, a_visitor

FORM = SignUpForm(EMAIL, PASSWORD, accepts_terms=True, is_adult=True)


def form(**fields):
    values = {"email": EMAIL, "password": PASSWORD, "accepts_terms": True, "is_adult": True}
    return SignUpForm(**{**values, **fields})


async def test_a_person_signs_up_and_proves_the_address(world):
    assert await world.sign_up.sign_up(FORM, a_visitor(language="de")) == LookIntoMail(EMAIL)
    (holder,) = world.people.holders.values()
    assert (holder.email, holder.language, holder.is_proven) == (EMAIL, "de", False)
    assert holder.password_hash == f"hash of {PASSWORD}"
    assert world.people.consents[holder.account_id] == consent.current()
    assert world.accounts[holder.account_id].currency == "USD"
    assert world.mails == [("verify_email", EMAIL)]
    await world.sign_in.by_proof(world.link("verify_email"), PASSWORD, a_visitor())
    assert world.people.holders[holder.account_id].is_proven


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({"email": "nobody"}, {"email": "address_invalid"}),
        ({"password": "short"}, {"password": "password_short"}),
        ({"password": "ada@example.com"}, {"password": "password_guessable"}),
        ({"accepts_terms": False}, {"terms": "terms_needed"}),
        ({"is_adult": False}, {"adult": "adult_needed"}),
        (
            {"email": "", "password": "", "accepts_terms": False, "is_adult": False},
            {
                "email": "address_invalid",
                "password": "password_short",
                "terms": "terms_needed",
                "adult": "adult_needed",
            },
        ),
    ],
)
async def test_what_is_wrong_is_said_all_at_once_and_nothing_is_made(world, fields, faults):
    assert await world.sign_up.sign_up(form(**fields), a_visitor()) == Faults(faults)
    assert not world.people.holders
    assert not world.people.mails
    assert not world.hasher.hashed


@pytest.mark.parametrize("spelling", [EMAIL, "Ada@Example.com"])
@pytest.mark.parametrize("proven", [True, False])
async def test_a_known_address_gets_the_same_answer_and_another_mail(world, spelling, proven):
    before = world.add(proven=proven)
    outcome = await world.sign_up.sign_up(
        form(email=spelling, password=OTHER_PASSWORD), a_visitor()
    )
    assert type(outcome) is LookIntoMail
    assert world.people.holders == {"ada": before}
    assert world.hasher.hashed == 1, "as much work as for somebody new"
    # To the address as its holder wrote it.
    assert world.mails == [("address_known" if proven else "verify_email", EMAIL)]


@pytest.mark.parametrize("flow", ["sign_up", "send_again"])
async def test_known_and_unknown_addresses_take_the_same_work_and_time(world, flow):
    world.add("ada", EMAIL)
    world.add("bob", "bob@example.com", proven=False)
    seen = []
    for email in (EMAIL, "bob@example.com", "eve@example.com"):
        world.people.asked.clear()
        world.velocity.used.clear()
        what = form(email=email) if flow == "sign_up" else email
        assert await getattr(world.sign_up, flow)(what, a_visitor()) == LookIntoMail(email)
        seen.append((list(world.people.asked), [use.limit for use in world.velocity.used]))
    assert seen[0] == seen[1] == seen[2]
    assert "tell" in seen[0][0], "all take the write lock"
    assert world.naps == [0.5] * 3


@pytest.mark.parametrize("email", [EMAIL, "eve@example.com"])
async def test_where_sql_is_away_that_is_told_of_every_address_at_the_same_moment(world, email):
    world.add()
    world.people.is_away = True
    for asked in (
        world.sign_up.sign_up(form(email=email), a_visitor()),
        world.sign_up.send_again(email, a_visitor()),
        world.passwords.ask_for_reset(email, a_visitor()),
    ):
        with pytest.raises(StoreUnavailableError):
            await asked
    assert world.naps == [0.5] * 3


async def test_nobody_can_have_a_mailbox_filled(world):
    world.add()
    world.velocity.refuses["account_proof_mails_hour"] = 60
    assert type(await world.sign_up.sign_up(FORM, a_visitor())) is LookIntoMail
    assert not world.mails
    with pytest.raises(TooFastError):
        await world.sign_up.send_again(EMAIL, a_visitor())


async def test_sign_ups_are_counted_before_anything_else_is_done(world):
    world.velocity.refuses["network_sign_ups_hour"] = 60
    with pytest.raises(TooFastError):
        await world.sign_up.sign_up(FORM, a_visitor())
    assert not world.people.asked
    assert [use.limit for use in world.velocity.used] == [
        "address_sign_ups_hour",
        "network_sign_ups_hour",
    ]


async def test_the_mail_can_be_sent_again(world):
    world.add(proven=False)
    assert await world.sign_up.send_again(EMAIL, a_visitor()) == LookIntoMail(EMAIL)
    assert world.mails == [("verify_email", EMAIL)]
    world.add(proven=True)
    await world.sign_up.send_again(EMAIL, a_visitor())
    assert world.mails[1:] == [("address_known", EMAIL)]
    assert type(await world.sign_up.send_again("eve@example.com", a_visitor())) is LookIntoMail
    assert len(world.mails) == 2
    assert await world.sign_up.send_again("x", a_visitor()) == Faults({"email": "address_invalid"})


def test_no_password_is_shown():
    assert PASSWORD not in repr(FORM)
