"""The pages of the sign-in: cookies, where one goes on, the password once more."""

import pytest

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


async def test_too_many_people_at_once_are_told_to_come_back(site):
    from accounts.ports import HasherBusyError

    async def busy(*_):
        raise HasherBusyError

    site.world.hasher.verify = busy
    reply = await site.enter()
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
    assert "Try again in a moment" in reply.text
