"""Which moment the mail about an act reaches back to: when the session that did it began."""

from datetime import timedelta

import pytest

from gateway.people.enrolment import Begun
from tests.gateway.people.factors import code_at
from tests.gateway.people.memory import BEGINNING, EMAIL, OTHER_PASSWORD, PASSWORD, a_visitor

LATER = timedelta(seconds=95)
NEW = "ada.l@example.org"


@pytest.fixture
async def who(world):
    world.add()
    who = await world.enter()
    world.now += LATER
    return who


async def test_another_password(world, who):
    await world.passwords.change(who, OTHER_PASSWORD)
    assert world.people.reaches["password_changed"] == BEGINNING


async def test_a_reset_has_no_session_and_so_no_reach_of_its_own(world, who):
    await world.passwords.ask_for_reset(EMAIL, a_visitor())
    await world.passwords.reset(world.link("reset_password"), OTHER_PASSWORD)
    assert world.people.reaches["password_changed"] is None


async def test_another_address(world, who):
    await world.addresses.ask_for_change(who, NEW)
    assert world.people.reaches["change_address"] == BEGINNING
    await world.addresses.take_signed_in(world.link("change_address"), who)
    assert world.people.reaches["address_changed"] == BEGINNING


async def test_an_address_that_is_taken_elsewhere_by_the_password(world, who):
    await world.addresses.ask_for_change(who, NEW)
    await world.addresses.take_by_password(world.link("change_address"), PASSWORD, a_visitor())
    # The store knows who asked, by the link.
    assert world.people.reaches["address_changed"] is None


async def test_a_second_factor_that_is_added_late(world, who):
    begun = await world.enrolment.begin(who)
    assert isinstance(begun, Begun)
    secret = (await world.enrolment.to_add(who, begun.ceremony_secret)).secret
    code = code_at(world, secret)
    changed = await world.enrolment.add(who, begun.ceremony_secret, code, a_visitor())
    assert world.people.reaches["second_factor_changed"] == BEGINNING
    world.people.reaches.clear()
    await world.enrolment.new_codes(await world.browsers.who(changed.session_secret))
    assert world.people.reaches["second_factor_changed"] == BEGINNING
