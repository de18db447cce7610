"""Another address: it counts when its mailbox has answered, and the old one can undo it."""

import pytest

from accounts.link import Purpose
from gateway.errors import TooFastError
from gateway.people.address import ADDRESS_SAME
from gateway.people.links import AddressTaken, LinkUsed
from gateway.people.password import LinkDead, StepUpNeeded
from gateway.people.sign_up import Faults, LookIntoMail
from tests.gateway.people.memory import EMAIL

NEW = "ada.l@example.org"


async def test_it_changes_by_the_link_in_the_new_mailbox_and_the_old_one_undoes_it(world):
    world.add()
    who = await world.enter()
    assert await world.addresses.ask_for_change(who, NEW) == LookIntoMail(NEW)
    assert world.mails == [("change_address", NEW)]
    assert world.people.holders["ada"].email == EMAIL
    changed = await world.links.use(world.link("change_address"))
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
    assert await world.links.use(link) == AddressTaken(NEW)
    assert world.people.holders["ada"].email == EMAIL
    # It can still be used once the address is free, and only once.
    del world.people.holders[bob.account_id]
    assert await world.links.use(link) == LinkUsed(Purpose.CHANGE_ADDRESS, NEW)
    assert await world.links.use(link) == LinkDead()


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
