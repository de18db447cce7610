"""The pages of the sign-in: cookies, where one goes on, the password once more."""

import pytest

from accounts.ports import HasherBusyError
from tests.gateway.http.site.conftest import place
from tests.gateway.people.memory import EMAIL, PASSWORD


async def test_a_person_signs_in_and_out(site):
    site.world.add()
    form = site.read(await site.get("/sign-in"))
    assert form.input("email")["autocomplete"] == "username webauthn"
    assert form.input("password")["autocomplete"] == "current-password"
    reply = await site.enter()
    assert place(reply) == "/account"
    cookies = reply.headers.get_list("set-cookie")
    assert [each.partition("=")[0] for each in cookies] == ["__Host-caller", "__Host-caller-device"]
    assert (await site.get("/account")).status_code == 200
    assert place(await site.get("/sign-in")) == "/account"
    assert place(await site.post("/sign-out")) == "/sign-in?said=signed_out"
    assert not site.world.sessions.kept
    assert place(await site.get("/account")) == "/sign-in?next=%2Faccount"


async def test_a_wrong_password_keeps_the_address_and_sets_no_cookie(site):
    site.world.add()
    reply = await site.enter(password="wrong")
    assert reply.status_code == 422
    assert "set-cookie" not in reply.headers
    form = site.read(reply)
    assert form.input("email")["value"] == EMAIL
    assert "value" not in form.input("password")
    assert "The address or the password is wrong" in form.text


async def test_a_locked_account_is_told_how_to_get_back(site):
    site.world.add()
    site.world.change(locked_at=site.world.now)
    reply = await site.enter()
    assert "This account is locked" in reply.text


async def test_a_session_that_is_over_as_it_begins_is_said(site):
    site.world.add()
    begin = site.world.sessions.begin

    async def overtaken(session):
        site.world.change(credentials_epoch=2)
        return await begin(session)

    site.world.sessions.begin = overtaken
    reply = await site.enter()
    assert reply.status_code == 422
    assert "set-cookie" not in reply.headers
    assert "You were signed out" in reply.text
    assert not site.world.sessions.kept


async def test_a_session_brought_along_is_never_gone_on_with(site):
    """Session fixation: the id after a sign-in is a new one, and the one before is over."""
    site.world.add()
    await site.enter()
    before = site.cookie
    await site.enter()
    assert site.cookie != before
    assert list(site.world.sessions.kept) == [site.cookie]


async def test_one_goes_on_where_one_was_when_the_session_ended(site):
    site.world.add()
    await site.enter()
    site.world.sessions.kept.clear()
    reply = await site.get("/account/devices")
    assert place(reply) == "/sign-in?next=%2Faccount%2Fdevices&said=session_over"
    form = site.read(await site.get(place(reply)))
    assert "You were signed out" in form.text
    assert form.input("next")["value"] == "/account/devices"
    assert place(await site.enter(next="/account/devices")) == "/account/devices"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/account/../v1/key",
        "javascript:alert(1)",
        "/sign-out",
        "",
        "/account\r\nSet-Cookie: a=b",
    ],
)
async def test_one_goes_on_nowhere_but_here(site, elsewhere):
    site.world.add()
    assert place(await site.enter(next=elsewhere)) == "/account"
    reply = await site.client.get("/sign-in", params={"next": elsewhere})
    assert place(reply) == "/account"


@pytest.mark.parametrize("said", ["<b>", "title", "nothing", "x" * 3000])
async def test_a_page_says_only_what_is_ours(site, said):
    reply = await site.client.get("/sign-in", params={"said": said})
    assert reply.status_code == 200
    assert reply.text == (await site.get("/sign-in")).text


async def test_a_grave_page_asks_for_the_password_once_more(site):
    site.world.add()
    await site.enter()
    before = site.cookie
    assert (await site.get("/account/password")).status_code == 200
    site.world.later(minutes=10)
    reply = await site.get("/account/password")
    assert place(reply) == "/confirm?next=%2Faccount%2Fpassword"
    form = site.read(await site.get(place(reply)))
    assert form.input("whose")["value"] == EMAIL
    assert form.input("next")["value"] == "/account/password"
    wrong = await site.post("/confirm", password="wrong", next="/account/password")
    assert wrong.status_code == 422
    assert "This is not your password" in wrong.text
    right = await site.post("/confirm", password=PASSWORD, next="/account/password")
    assert place(right) == "/account/password"
    assert site.cookie != before
    assert (await site.get("/account/password")).status_code == 200
    assert place(await site.post("/confirm", password=PASSWORD, next="//x")) == "/account"


async def test_signing_out_twice_is_no_fault(site):
    assert place(await site.post("/sign-out")) == "/sign-in?said=signed_out"


LATER = {
    "en": "Passwords cannot be checked at the moment",
    "de": "Passwörter können gerade nicht geprüft werden",
    "es": "En este momento no se pueden comprobar contraseñas",
    "fr": "Les mots de passe ne peuvent pas être vérifiés en ce moment",
}


def busy(site):
    async def refuse(*_):
        raise HasherBusyError

    site.world.hasher.verify = site.world.hasher.hash = site.world.hasher.fault = refuse


def asked_again(site, reply, language="en"):
    """Return the form of a page that says to try again; it never has the password."""
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
    form = site.read(reply)
    assert LATER[language] in form.text
    assert form.input("password")["aria-invalid"] == "true"
    assert PASSWORD not in reply.text
    return form


@pytest.mark.parametrize("language", LATER)
async def test_too_many_people_at_once_are_told_to_come_back_and_keep_what_they_filled_in(
    site, language
):
    site.world.add()
    busy(site)
    site.client.headers["accept-language"] = language
    fields = {"email": "ada+1@example.com", "password": PASSWORD}
    form = asked_again(site, await site.post("/sign-in", **fields, next="/account/calls"), language)
    assert form.input("email")["value"] == "ada+1@example.com"
    assert form.input("next")["value"] == "/account/calls"
    ticked = {"terms": "true", "adult": "true"}
    form = asked_again(site, await site.post("/sign-up", **fields, **ticked), language)
    assert form.input("email")["value"] == "ada+1@example.com"
    assert "checked" in form.input("terms")
    assert "checked" in form.input("adult")


async def test_whoever_changes_or_confirms_a_password_has_the_form_again(site):
    site.world.add()
    await site.enter()
    busy(site)
    asked_again(site, await site.post("/account/password", password=PASSWORD))
    site.world.later(minutes=11)
    form = asked_again(
        site, await site.post("/confirm", password=PASSWORD, next="/account/password")
    )
    assert form.input("next")["value"] == "/account/password"


@pytest.mark.parametrize("purpose", ["verify_email", "reset_password", "change_address"])
async def test_whoever_follows_a_link_has_its_form_again_and_the_link_still_works(site, purpose):
    site.world.add(proven=purpose != "verify_email")
    if purpose == "change_address":
        await site.enter()
        await site.post("/account/address", email="countess@example.com")
        site.client = site.new_browser()
    else:
        again = {"verify_email": "/sign-up/again", "reset_password": "/reset"}[purpose]
        await site.post(again, email=EMAIL)
    link = f"/l/{site.world.link(purpose)}"
    hasher = vars(site.world.hasher).copy()
    busy(site)
    asked_again(site, await site.post(link, password=PASSWORD))
    vars(site.world.hasher).clear()
    vars(site.world.hasher).update(hasher)
    assert (await site.post(link, password=PASSWORD)).status_code == 303
