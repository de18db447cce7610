"""The page of the second step: bound to its browser, a few tries, and back to where one was."""

import pytest

from accounts.sign_in import CODE_TRIES_MAX
from tests.gateway.http.site.conftest import place
from tests.gateway.people.factors import code_at, enrolled
from tests.gateway.people.memory import EMAIL, PASSWORD


async def asked(site, **fields):
    """Give the password; return the app's secret and the recovery codes."""
    _, secret, codes = await enrolled(site.world)
    site.reply = await site.enter(**fields)
    return secret, codes


async def test_after_the_password_a_code_is_asked_for(site):
    secret, _ = await asked(site, next="/account/devices")
    assert place(site.reply) == "/sign-in/code?next=%2Faccount%2Fdevices"
    (cookie,) = site.reply.headers.get_list("set-cookie")
    assert cookie.startswith("__Host-caller-ceremony=")
    assert {"HttpOnly", "Secure"} <= {part.strip() for part in cookie.split(";")}
    assert place(await site.get("/account")).startswith("/sign-in"), "nobody is signed in yet"
    form = site.read(await site.get(place(site.reply)))
    assert form.input("code")["autocomplete"] == "one-time-code"
    reply = await site.post(
        "/sign-in/code", code=code_at(site.world, secret), next=form.input("next")["value"]
    )
    assert place(reply) == "/account/devices"
    assert "__Host-caller-ceremony" not in site.client.cookies
    assert (await site.get("/account/devices")).status_code == 200


async def test_another_browser_does_not_go_on(site):
    secret, _ = await asked(site)
    site.client = site.new_browser()
    code = code_at(site.world, secret)
    reply = await site.post("/sign-in/code", code=code)
    assert place(reply) == "/sign-in?next=%2Faccount&said=code_too_late"
    assert place(await site.get("/sign-in/code")) == "/sign-in?next=%2Faccount"
    assert not site.cookie


async def test_wrong_codes_are_said_beside_the_field_and_end(site):
    await asked(site)
    for _ in range(CODE_TRIES_MAX - 1):
        reply = await site.post("/sign-in/code", code="000000")
        assert reply.status_code == 422
        assert "set-cookie" not in reply.headers
    form = site.read(reply)
    assert form.input("code")["aria-invalid"] == "true"
    assert "value" not in form.input("code")
    reply = await site.post("/sign-in/code", code="000000")
    assert place(reply) == "/sign-in?next=%2Faccount&said=too_many_codes"
    assert "Too many wrong codes" in (await site.get(place(reply))).text


@pytest.mark.parametrize(("steps", "words"), [(8, "4 min fast"), (-8, "4 min slow")])
async def test_a_clock_that_is_off_is_said(site, steps, words):
    secret, _ = await asked(site)
    site.world.later(minutes=4, seconds=59)
    code = code_at(site.world, secret, steps=steps)
    reply = await site.post("/sign-in/code", code=code)
    assert reply.status_code == 422
    assert words in site.read(reply).text


async def test_a_recovery_code_is_typed_into_a_form_of_its_own(site):
    _, codes = await asked(site)
    reply = await site.get("/sign-in/code?by=recovery&next=%2Faccount")
    form = site.read(reply)
    assert form.input("by")["value"] == "recovery"
    assert "help@example.com" in form.text, "whom to ask who has lost both"
    wrong = await site.post("/sign-in/code", code="no code", by="recovery")
    form = site.read(wrong)
    assert form.input("by")["value"] == "recovery"
    assert "This recovery code is wrong" in form.text
    assert "your app shows" not in form.text
    reply = await site.post("/sign-in/code", code=codes[0], by="recovery")
    assert place(reply) == "/account?said=recovery_code_used"
    assert "cannot be used again" in (await site.get(place(reply))).text


async def test_who_never_set_up_an_app_is_told_of_no_mail_that_they_have_not_got(site):
    await asked(site)
    form = site.read(await site.get("/sign-in/code"))
    assert "Never set up an app?" in form.text
    assert "our last mail" not in form.text
    assert "/reset" in [each["href"] for each in form.of("a")]


async def test_too_many_tries_are_told_when_to_come_back(site):
    await asked(site)
    site.world.velocity.refuses["account_codes_hour"] = 600
    reply = await site.post("/sign-in/code", code="000000")
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "600")


async def test_the_link_that_proves_an_address_asks_for_the_code_too(site):
    secret, _ = await asked(site)
    site.world.change(email_proven_at=None)
    await site.post("/sign-up/again", email=EMAIL)
    link = f"/l/{site.world.link('verify_email')}"
    assert place(await site.post(link, password=PASSWORD)) == "/sign-in/code?next=%2Faccount"
    code = code_at(site.world, secret)
    assert place(await site.post("/sign-in/code", code=code)) == "/account"


async def test_a_grave_page_asks_for_password_and_code(site):
    secret, _ = await asked(site)
    await site.post("/sign-in/code", code=code_at(site.world, secret))
    site.world.later(minutes=10)
    reply = await site.get("/account/password")
    form = site.read(await site.get(place(reply)))
    assert {"password", "code"} <= {each.get("name") for each in form.of("input")}
    reply = await site.post("/confirm", password=PASSWORD, code="000000", next="/account/password")
    assert reply.status_code == 422
    form = site.read(reply)
    assert form.input("code")["aria-invalid"] == "true"
    assert "aria-invalid" not in form.input("password")
    off = await site.post("/confirm", password=PASSWORD, code=code_at(site.world, secret, steps=6))
    assert "3 min fast" in site.read(off).text
    reply = await site.post("/confirm", password="wrong", code="1", next="/account/password")
    assert site.read(reply).input("password")["aria-invalid"] == "true"
    code = code_at(site.world, secret)
    reply = await site.post("/confirm", password=PASSWORD, code=code, next="/account/password")
    assert place(reply) == "/account/password"
    assert (await site.get("/account/password")).status_code == 200
