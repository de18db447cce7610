"""Another address: it counts when its mailbox has answered, and the old one can undo it."""

import pytest

from accounts.link import LIFETIMES, Purpose, digest
from accounts.sign_in import SignInAnswer
from gateway.errors import TooFastError
from gateway.http.outcomes import Faults, StepUpNeeded
from gateway.limits.velocity import Use
from gateway.people.address import ADDRESS_SAME, AddressTaken
from gateway.people.links import LinkUsed
from gateway.people.password import LinkDead
from gateway.people.sign_in import NotYet
from gateway.people.sign_up import LookIntoMail, verify_email
from tests.gateway.people.memory import EMAIL, OTHER_PASSWORD, PASSWORD, a_visitor

NEW = "ada.l@example.org"


async def test_it_changes_by_the_link_in_the_new_mailbox_and_the_old_one_undoes_it(world):
    world.add()
    who = await world.enter()
    assert await world.addresses.ask_for_change(who, NEW) == LookIntoMail(NEW)
    assert world.mails == [("change_address", NEW)]
    assert world.people.holders["ada"].email == EMAIL
    changed = await world.addresses.take_signed_in(world.link("change_address"), who)
    assert changed == LinkUsed(Purpose.CHANGE_ADDRESS, NEW)
    assert world.people.holders["ada"].email == NEW
    assert world.mails[1:] == [("address_changed", EMAIL)]
    undone = await world.links.use(world.link("address_changed"))
    assert undone == LinkUsed(Purpose.UNDO_CHANGE, EMAIL)
    holder = world.people.holders["ada"]
    assert (holder.email, holder.locked_at) == (EMAIL, world.now)
    assert world.mails[2:] == [("locked", EMAIL)]
    assert not world.sessions.kept


async def test_an_address_of_somebody_else_gets_the_same_answer_and_tells_them(world):
    world.add()
    world.add("bob", NEW)
    who = await world.enter()
    assert await world.addresses.ask_for_change(who, NEW) == LookIntoMail(NEW)
    assert world.mails == [("address_known", NEW)]


async def test_an_address_that_became_somebody_elses_is_not_taken(world):
    world.add()
    who = await world.enter()
    await world.addresses.ask_for_change(who, NEW)
    bob = world.add("bob", NEW)
    link = world.link("change_address")
    assert await world.addresses.take_signed_in(link, who) == AddressTaken(NEW)
    assert world.people.holders["ada"].email == EMAIL
    # It can still be used once the address is free, and only once.
    del world.people.holders[bob.account_id]
    used = LinkUsed(Purpose.CHANGE_ADDRESS, NEW)
    assert await world.addresses.take_signed_in(link, who) == used
    assert await world.addresses.take_signed_in(link, who) == LinkDead()


async def asked(world, email=NEW):
    """Let somebody ask for an address; return who is signed in, and the link in the mail."""
    world.add()
    who = await world.enter()
    await world.addresses.ask_for_change(who, email)
    return who, world.link("change_address")


async def test_whoever_only_reads_the_mailbox_has_it_proven_for_nobody(world):
    """Anybody may ask for an address of somebody else, who then opens the link."""
    _, link = await asked(world)
    world.add("victim", "v@example.com", password=OTHER_PASSWORD)
    victim = await world.enter("v@example.com", OTHER_PASSWORD)
    assert await world.addresses.take_signed_in(link, victim) == LinkDead()
    for password in ("", OTHER_PASSWORD):
        taken = await world.addresses.take_by_password(link, password, a_visitor())
        assert taken == NotYet(SignInAnswer.WRONG)
    assert world.people.holders["ada"].email == EMAIL
    # A wrong password does not use it up.
    taken = await world.addresses.take_by_password(link, PASSWORD, a_visitor())
    assert taken == LinkUsed(Purpose.CHANGE_ADDRESS, NEW)
    assert world.people.holders["ada"].email == NEW
    assert world.mails[-1] == ("address_changed", EMAIL)


async def test_passwords_that_are_tried_at_a_link_are_counted_by_it(world):
    _, link = await asked(world)
    world.velocity.used.clear()
    stranger = a_visitor(address="198.51.100.7")
    await world.addresses.take_by_password(link, "wrong", stranger)
    # What strangers try without one uses nothing up of it.
    assert Use("account_sign_ins_hour", f"{EMAIL} {digest(link)}") in world.velocity.used
    assert Use("account_sign_ins_hour", EMAIL) not in world.velocity.used
    world.velocity.refuses["account_sign_ins_hour"] = 60
    with pytest.raises(TooFastError):
        await world.addresses.take_by_password(link, PASSWORD, stranger)
    assert world.people.holders["ada"].email == EMAIL


async def test_a_password_that_changes_while_it_is_looked_at_takes_nothing(world):
    _, link = await asked(world)
    verify = world.hasher.verify

    async def overtaken(password, stored):
        world.change(credentials_epoch=2)
        return await verify(password, stored)

    world.hasher.verify = overtaken
    taken = await world.addresses.take_by_password(link, PASSWORD, a_visitor())
    assert taken == LinkDead()
    assert world.people.holders["ada"].email == EMAIL


async def test_what_is_no_such_link_takes_nothing(world):
    who, link = await asked(world)
    await world.people.tell("ada", verify_email(EMAIL))
    for secret in ("", "x", world.link("verify_email")):
        assert await world.addresses.take_signed_in(secret, who) == LinkDead()
        taken = await world.addresses.take_by_password(secret, PASSWORD, a_visitor())
        assert taken == LinkDead()
    del world.people.holders["ada"]
    taken = await world.addresses.take_by_password(link, PASSWORD, a_visitor())
    assert taken == LinkDead()
    world.add()
    world.now += LIFETIMES[Purpose.CHANGE_ADDRESS]
    assert await world.addresses.take_signed_in(link, who) == LinkDead()


@pytest.mark.parametrize(
    ("email", "code"), [("x", "address_invalid"), ("ADA@example.com", ADDRESS_SAME)]
)
async def test_what_is_wrong_is_said(world, email, code):
    world.add()
    who = await world.enter()
    assert await world.addresses.ask_for_change(who, email) == Faults({"email": code})


async def test_it_needs_a_proof_of_the_last_minutes_and_is_counted(world):
    world.add()
    who = await world.enter()
    world.velocity.refuses["account_proof_mails_hour"] = 60
    with pytest.raises(TooFastError):
        await world.addresses.ask_for_change(who, NEW)
    world.later(minutes=10)
    assert await world.addresses.ask_for_change(who, NEW) == StepUpNeeded()
    assert not world.mails


async def test_the_proof_is_sent_again_while_there_is_none(world):
    world.add(proven=False)
    who = await world.enter()
    assert await world.addresses.send_proof(who) == LookIntoMail(EMAIL)
    assert world.mails == [("verify_email", EMAIL)]
    world.change(email_proven_at=world.now)
    await world.addresses.send_proof(await world.browsers.who(who.secret))
    assert len(world.mails) == 1
