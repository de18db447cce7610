"""The page for newcomers: what the service is, what calls cost, how to begin."""

import pytest

from gateway.embed.keys import KeyMode, publishable_key
from gateway.http.site.landing import COUNTRIES_SHOWN
from gateway.http.site.rendering import HEADERS

KEY = publishable_key(KeyMode.TEST, b"1" * 32)


async def read(site):
    reply = await site.get("/welcome")
    assert reply.status_code == 200
    return site.read(reply)


def prices(page):
    """Return the countries whose price is shown, in their order."""
    asked = "/rates?country="
    return [link["href"].removeprefix(asked) for link in page.of("a") if asked in link["href"]]


async def test_it_leads_to_all_that_somebody_new_can_do(site):
    page = await read(site)
    places = {link["href"] for link in page.of("a")}
    assert {"/sign-up", "/sign-in", "/rates", "/phone", "/terms", "/privacy"} <= places
    assert page.input("number")["aria-describedby"] == "number-help"
    assert not page.of("script")


async def test_where_the_operator_makes_the_accounts_none_is_offered(site):
    site.is_open = False
    site.rebuild()
    assert "/sign-up" not in {link["href"] for link in (await read(site)).of("a")}


async def test_the_price_of_a_number_is_one_form_away(site):
    reply = await site.post("/rates", number="+442079460018")
    assert "$0.0120" in site.read(reply).text


@pytest.mark.parametrize(
    ("accepted", "home", "shown"),
    [
        ("en-GB", (), ["GB"]),
        ("de-AT, en", ("GB", "AT"), ["AT", "GB"]),
        # Closed, and without a rate: neither is anything to begin with.
        ("es-CU", ("FR", "GB"), ["GB"]),
        ("en-US", ("GB", "AT", "US", "CU"), ["US", "GB", "AT"]),
    ],
)
async def test_prices_begin_where_the_reader_is(site, accepted, home, shown):
    site.home_countries = home
    site.rebuild()
    site.client.headers["accept-language"] = accepted
    assert prices(await read(site)) == shown
    assert len(shown) <= COUNTRIES_SHOWN


async def test_without_rates_no_price_is_shown(site):
    site.rates.deck = site.rates.empty
    assert prices(await read(site)) == []


async def test_who_is_signed_in_goes_on_to_the_phone(site):
    site.world.add()
    await site.enter()
    reply = await site.get("/welcome")
    assert (reply.status_code, reply.headers["location"]) == (303, "/")


async def test_a_button_may_be_tried_and_is_a_link_without_script(site):
    site.landing_button = KEY
    site.rebuild()
    reply = await site.get("/welcome")
    page = site.read(reply)
    (script,) = page.of("script")
    assert script["src"] == "/embed/v1.js"
    (button,) = page.of("caller-button")
    assert button["key"] == KEY
    assert f"/c/{KEY}" in {link["href"] for link in page.of("a")}
    policy = reply.headers["content-security-policy"]
    assert policy.startswith(HEADERS["Content-Security-Policy"])
    assert "unsafe" not in policy
    # A frame may be lent only what its page may use itself (Permissions Policy, 4.3).
    assert "microphone=(self)" in reply.headers["permissions-policy"]
