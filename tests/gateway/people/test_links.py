"""Links in mails: looked at as often as one likes, used once."""

from datetime import timedelta

import pytest

from accounts.link import LIFETIMES, Purpose
from gateway.people.links import LinkUsed
from gateway.people.password import LinkDead
from gateway.people.sign_up import verify_email
from tests.gateway.people.memory import EMAIL, a_visitor


async def test_a_look_uses_nothing(world):
    world.add(proven=False)
    await world.people.tell("ada", verify_email(EMAIL))
    secret = world.link("verify_email")
    for _ in range(3):
        assert (await world.links.look(secret)).purpose is Purpose.PROVE_ADDRESS
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
    assert (await world.links.look(world.link("locked"))).purpose is Purpose.RESET_PASSWORD
    assert await world.links.use(secret) == LinkDead()


@pytest.mark.parametrize("secret", ["", "nothing", "x" * 128])
async def test_what_is_no_link_does_nothing(world, secret):
    assert await world.links.look(secret) is None
    assert await world.links.use(secret) == LinkDead()


async def test_a_link_ends(world):
    world.add(proven=False)
    await world.people.tell("ada", verify_email(EMAIL))
    world.later(seconds=LIFETIMES[Purpose.PROVE_ADDRESS] / timedelta(seconds=1))
    assert await world.links.look(world.link("verify_email")) is None


async def test_a_link_that_takes_a_password_is_not_used_without_one(world):
    world.add(proven=False)
    await world.passwords.ask_for_reset(EMAIL, a_visitor())
    await world.people.tell("ada", verify_email(EMAIL))
    for name in ("reset_password", "verify_email"):
        assert await world.links.use(world.link(name)) == LinkDead()
        assert await world.links.look(world.link(name)) is not None
    assert not world.people.holders["ada"].is_proven


async def test_a_link_of_an_erased_holder_changes_nothing(world):
    world.add()
    who = await world.enter()
    await world.addresses.ask_for_change(who, "new@example.com")
    del world.people.holders["ada"]
    assert await world.links.use(world.link("change_address")) == LinkDead()
