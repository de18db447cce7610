"""The pages of links: a look does nothing, a button does it once."""

import pytest

from accounts.link import Purpose
from gateway.http.site.links import _SAID
from tests.gateway.http.site.conftest import place
from tests.gateway.people.memory import EMAIL, OTHER_PASSWORD


async def test_a_password_is_set_by_link(site):
    site.world.add()
    assert place(await site.post("/reset", email=EMAIL)) == "/reset?said=sent_if_known"
    link = f"/l/{site.world.link('reset_password')}"
    form = site.read(await site.get(link))
    assert form.input("password")["autocomplete"] == "new-password"
    assert form.input("whose")["value"] == EMAIL
    assert (await site.post(link, password="short")).status_code == 422
    assert place(await site.post(link, password=OTHER_PASSWORD)) == "/sign-in?said=password_set"
    assert (await site.post(link, password=OTHER_PASSWORD)).status_code == 410
    assert place(await site.enter(password=OTHER_PASSWORD)) == "/account"


async def test_somebody_else_is_put_out_by_the_link_in_the_mail(site):
    site.world.add()
    await site.enter()
    thief = site.new_browser()
    site.client, own = thief, site.client
    await site.enter()
    site.client = own
    link = f"/l/{site.world.link('new_device')}"
    assert "That was not you?" in (await site.get(link)).text
    assert place(await site.post(link)) == "/sign-in?said=locked"
    assert (await thief.get("/account")).status_code == 303
    assert "said=session_over" in place(await site.get("/account"))


@pytest.mark.parametrize("secret", ["x", "x" * 200, "%00", "%C3%A9"])
async def test_a_link_that_is_none_says_what_can_be_done(site, secret):
    for reply in (await site.get(f"/l/{secret}"), await site.post(f"/l/{secret}")):
        assert reply.status_code == 410
        links = [each["href"] for each in site.read(reply).of("a")]
        assert {"/sign-in", "/reset", "/sign-up/done"} <= set(links)


async def test_a_bad_address_is_said_at_the_reset(site):
    reply = await site.post("/reset", email="x")
    assert reply.status_code == 422
    assert site.read(reply).input("email")["aria-invalid"] == "true"
    assert "on its way" in (await site.get("/reset?said=sent_if_known")).text


def test_every_purpose_says_what_it_has_done():
    assert _SAID.keys() == set(Purpose) - {Purpose.RESET_PASSWORD}
