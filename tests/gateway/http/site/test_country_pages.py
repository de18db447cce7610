"""The page of the countries that an account can call."""

from dataclasses import replace
from datetime import timedelta

import pytest

from accounts.session import STEP_UP_MAX
from gateway.people.countries import Countries
from gateway.people.country_pages import CountryPages
from tests.gateway.http.site.conftest import place
from tests.gateway.people.test_countries import Kept

PATH = "/account/countries"


@pytest.fixture
async def kept(site):
    return await _opened(site, {"US", "GB"})


async def _opened(site, home):
    kept = Kept()
    flow = Countries(kept, frozenset(home), 1, lambda: site.world.now)
    site.routes += CountryPages(site.door, flow).routes()
    site.client = site.new_browser()
    site.world.add()
    await site.enter()
    return kept


async def test_what_is_open_is_shown_and_the_rest_can_be_chosen(site, kept):
    page = site.read(await site.get(PATH))
    assert "United Kingdom, United States" in page.text
    offered = [each["value"] for each in page.of("option")]
    assert offered[:2] == ["", "AF"]
    assert "FR" in offered
    assert "US" not in offered
    assert not [each for each in page.of("input") if each.get("name") == "country"]


@pytest.mark.parametrize(("here", "proposed"), [("FR", ["FR"]), ("US", []), ("", [])])
async def test_who_has_chosen_none_is_proposed_the_one_they_are_in(site, here, proposed):
    site.door = replace(site.door, country_of=lambda _address: here)
    await _opened(site, {"US", "GB"})
    chosen = [
        one["value"] for one in site.read(await site.get(PATH)).of("option") if "selected" in one
    ]
    assert chosen == proposed
    await site.post(PATH, country="IT")
    page = site.read(await site.get(PATH))
    assert not [one for one in page.of("option") if "selected" in one]


async def test_a_country_is_opened_and_closed(site, kept):
    assert place(await site.post(PATH, country="FR")) == f"{PATH}?said=country_opened"
    # What was so already is no news.
    for code in ("FR", "US"):
        assert place(await site.post(PATH, country=code)) == PATH
    assert len(kept.notices) == 1
    page = site.read(await site.get(f"{PATH}?said=country_opened"))
    assert page.input("country")["value"] == "FR"
    assert "You can call there from now on." in page.text
    assert kept.notices[0].values == {"country": "France"}
    assert place(await site.post(f"{PATH}/close", country="FR")) == f"{PATH}?said=country_closed"
    assert place(await site.post(f"{PATH}/close", country="FR")) == PATH
    assert kept.countries == set()


@pytest.mark.parametrize("country", ["", "XX", "France", "fr"])
async def test_what_is_no_country_is_said_beside_the_field(site, kept, country):
    reply = await site.post(PATH, country=country)
    assert reply.status_code == 422
    assert "Choose a country from the list." in reply.text
    assert kept.countries == set()


async def test_more_than_a_days_countries_wait(site, kept):
    await site.post(PATH, country="FR")
    reply = await site.post(PATH, country="IT")
    assert reply.status_code == 422
    assert "within 24 hours" in reply.text


async def test_it_asks_for_the_password_first(site, kept):
    site.world.now += STEP_UP_MAX + timedelta(seconds=1)
    assert place(await site.get(PATH)).startswith("/confirm")
    assert place(await site.post(PATH, country="FR")).startswith("/confirm")
    assert kept.countries == set()


async def test_a_session_that_ends_meanwhile_signs_in_again(site, kept):
    kept.is_over = True
    assert place(await site.post(PATH, country="FR")).startswith("/sign-in")
    assert place(await site.post(f"{PATH}/close", country="FR")).startswith("/sign-in")


async def test_where_all_are_open_there_is_nothing_to_choose(site):
    await _opened(site, ())
    page = site.read(await site.get(PATH))
    assert "every country" in page.text
    assert page.of("select") == []
