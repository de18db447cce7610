"""Links in mails: looked at as often as one likes, used once."""

from datetime import timedelta

import pytest

from accounts.link import LIFETIMES, Purpose
from gateway.errors import TooFastError
from gateway.limits.velocity import Use
from gateway.people.leaving import Leaves, LeavingForm
from gateway.people.links import Links, LinkUsed
from gateway.people.password import LinkDead
from gateway.people.sign_up import verify_email
from tests.gateway.people.memory import EMAIL, a_visitor


async def test_a_look_uses_nothing(world):
    world.add(proven=False)
    await world.people.tell("ada", verify_email(EMAIL))
    secret = world.link("verify_email")
    for _ in range(3):
        assert (await world.links.look(secret, a_visitor())).purpose is Purpose.PROVE_ADDRESS
    assert not world.people.holders["ada"].is_proven


async def test_not_me_locks_and_ends_all_sessions(world):
    world.add()
    await world.enter()
    thief = await world.enter()
    secret = world.link("new_device")
    assert await world.links.use(secret) == LinkUsed(Purpose.NOT_ME, EMAIL)
    assert await world.browsers.who(thief.secret) is None
    assert world.people.holders["ada"].locked_at == world.now
    assert world.mails[-1] == ("locked", EMAIL)
    # The way back in.
    assert (
        await world.links.look(world.link("locked"), a_visitor())
    ).purpose is Purpose.RESET_PASSWORD
    assert await world.links.use(secret) == LinkDead()


NEW = "ada.l@example.org"


async def test_a_change_of_address_is_undone_once_and_locks(world):
    world.add()
    who = await world.enter()
    await world.addresses.ask_for_change(who, NEW)
    await world.addresses.take_signed_in(world.link("change_address"), who)
    secret = world.link("address_changed")
    assert await world.links.use(secret) == LinkUsed(Purpose.UNDO_CHANGE, EMAIL)
    holder = world.people.holders["ada"]
    assert (holder.email, holder.locked_at) == (EMAIL, world.now)
    assert world.mails[-1] == ("locked", EMAIL)
    assert not world.sessions.kept
    assert await world.links.use(secret) == LinkDead()


async def leave(world):
    """Let somebody ask for their deletion; return the link by which it is cancelled."""
    world.add()
    assert await world.leaving.ask(await world.enter(), LeavingForm(None, is_now=False)) == Leaves()
    return world.link("deletion_asked")


async def test_a_deletion_is_cancelled_by_its_link_until_it_begins(world):
    secret = await leave(world)
    assert await world.links.use(secret) == LinkUsed(Purpose.CANCEL_DELETION, EMAIL)
    assert not await world.is_leaving("ada")
    assert await world.links.use(secret) == LinkDead(), "there is none any more"


async def test_where_nobody_leaves_by_themselves_no_link_cancels(world):
    secret = await leave(world)
    links = Links(world.people, world.sessions, world.velocity, lambda: world.now)
    assert await links.use(secret) == LinkDead()
    assert await world.is_leaving("ada")


@pytest.mark.parametrize("name", ["new_device", "address_changed"])
async def test_of_two_clicks_on_a_link_at_once_one_has_worked(world, name):
    world.add()
    who, _ = await world.enter(), await world.enter()
    await world.addresses.ask_for_change(who, NEW)
    await world.addresses.take_signed_in(world.link("change_address"), who)
    look = world.people.look_at_link
    outcomes = []

    async def overtaken(digest):
        link = await look(digest)
        if not outcomes:
            outcomes.append(None)
            outcomes[0] = await world.links.use(world.link(name))
            # Somebody gets back in before the second click is taken.
            await world.sessions.begin(who.session)
        return link

    world.people.look_at_link = overtaken
    outcomes.append(await world.links.use(world.link(name)))
    assert [type(outcome) for outcome in outcomes] == [LinkUsed, LinkDead]
    assert len(world.sessions.kept) == 1, "the one that came too late ends no session"
    assert world.mails.count(("locked", EMAIL)) == 1


@pytest.mark.parametrize("secret", ["", "nothing", "x" * 128])
async def test_what_is_no_link_does_nothing(world, secret):
    assert await world.links.look(secret, a_visitor()) is None
    assert await world.links.use(secret) == LinkDead()


async def test_a_link_ends(world):
    world.add(proven=False)
    await world.people.tell("ada", verify_email(EMAIL))
    world.later(seconds=LIFETIMES[Purpose.PROVE_ADDRESS] / timedelta(seconds=1))
    assert await world.links.look(world.link("verify_email"), a_visitor()) is None


async def test_a_link_that_takes_a_password_is_not_used_without_one(world):
    world.add(proven=False)
    await world.passwords.ask_for_reset(EMAIL, a_visitor())
    await world.people.tell("ada", verify_email(EMAIL))
    await world.addresses.ask_for_change(await world.enter(), "new@example.com")
    for name in ("reset_password", "verify_email", "change_address"):
        assert await world.links.use(world.link(name)) == LinkDead()
        assert await world.links.look(world.link(name), a_visitor()) is not None
    assert not world.people.holders["ada"].is_proven


async def test_links_that_are_none_are_counted_and_soon_cost_no_look(world):
    world.add()
    await world.passwords.ask_for_reset(EMAIL, a_visitor())
    world.velocity.used.clear()
    assert await world.links.look(world.link("reset_password"), a_visitor()) is not None
    assert not world.velocity.used
    await world.links.look("x", a_visitor())
    assert world.velocity.used == [Use("address_wrong_links_minute", "192.0.2.1")]
    world.velocity.refuses["address_wrong_links_minute"] = 60
    world.people.asked.clear()
    with pytest.raises(TooFastError):
        await world.links.look("x", a_visitor())
    assert not world.people.asked
