"""Who is let in to which page, and that another site's forms never are."""

import html

import pytest

from gateway.http.access import Access
from gateway.http.site.words import WORDS
from tests.gateway.http.site.conftest import Site, place
from tests.gateway.http.test_csrf import FIVE
from tests.gateway.people.memory import EMAIL, OTHER_PASSWORD, PASSWORD

UNSAFE = sorted(route.path for route in Site().routes if not route.methods & {"GET"})
OWN = [route for route in Site().routes if route.needs is Access.HOLDER]
ANSWERS = {
    # A challenge is no page.
    **dict.fromkeys(("/account/passkeys/options", "/sign-in/passkey/options"), (200,)),
    # Without the word that its form has of us.
    **dict.fromkeys(("/account/keys/new", "/account/buttons/new", "/account/webhooks/new"), (400,)),
    # Without the choice.
    "/account/restriction": (400,),
    # There is no such button.
    **dict.fromkeys(
        [
            f"/account/buttons/{{button_id}}/{act}"
            for act in ("rules", "pause", "resume", "end-calls", "turn")
        ],
        (404,),
    ),
}
FIELDS = {"email": EMAIL, "password": PASSWORD, "terms": "true", "adult": "true"}


def test_there_are_forms_of_strangers_and_of_who_is_signed_in():
    assert len(UNSAFE) > 10
    needs = {route.needs for route in Site().routes if route.path in UNSAFE}
    assert {Access.FORM, Access.HOLDER} <= needs
    pages = {route.path for route in OWN if "GET" in route.methods} - {"/confirm"}
    # The way to one call, to a file, or to what programs read, leads over the page that offers it.
    fixed = {path for path in pages if "{" not in path}
    assert {path for path in fixed if not path.endswith((".json", ".csv"))} <= set(GO_ON)


@pytest.mark.parametrize(
    ("path", "following"),
    [
        ("/account/buttons/0123456789abcdef01234567", ""),
        ("/account/buttons/0123456789abcdef01234567/rules", ""),
        ("/account/buttons/0123456789abcdef01234567/delete", "/account"),
        ("/account/buttons/0123456789abcdef01234567?x=//y", "/account"),
        ("/account/buttons/..", "/account"),
        ("/account/buttons/0123456789abcdef0123456", "/account"),
        ("/account/buttons/a b", "/account"),
        ("/account/buttons/a\nb", "/account"),
        ("//evil.example/account/buttons", "/account"),
        ("/account/webhooks/new", ""),
        ("/account/webhooks/remove", "/account"),
        # The way to one call, to a file, or to what programs read, leads over the page that has it.
        ("/account/calls/call-1", "/account"),
        ("/account/calls.csv", "/account"),
        ("/confirm", "/account"),
        ("/sign-in", "/account"),
        ("/", ""),
        ("", "/account"),
    ],
)
def test_one_goes_on_at_a_page_of_ones_own_alone(path, following):
    assert Site().door.own_page(path) == (following or path)


@pytest.mark.parametrize("path", UNSAFE)
@pytest.mark.parametrize(("headers", "believed"), FIVE)
async def test_a_form_must_come_from_a_page_of_ours(site, path, headers, believed):
    site.world.add(proven=False)
    await site.enter()
    before = (dict(site.world.people.holders), dict(site.world.sessions.kept), site.world.mails)
    reply = await site.post(path.replace("{secret}", "x"), headers, **FIELDS)
    if believed:
        assert reply.status_code in ANSWERS.get(path, (303, 410, 422)), path
    else:
        assert reply.status_code == 403
        assert "came from another site" in reply.text
        after = (site.world.people.holders, site.world.sessions.kept, site.world.mails)
        assert before == after


@pytest.mark.parametrize(
    "route", OWN, ids=lambda route: route.path + "".join(sorted(route.methods))
)
async def test_what_is_a_persons_own_needs_a_session(site, route):
    method = "POST" if "POST" in route.methods else "GET"
    headers = {"sec-fetch-site": "same-origin"}
    reply = await site.client.request(method, route.path, headers=headers)
    assert place(reply).startswith("/sign-in?next=%2F")
    site.client.cookies.set("__Host-caller", "an-ended-session-1")
    reply = await site.client.request(method, route.path, headers=headers)
    assert place(reply).endswith("said=session_over")
    assert "Max-Age=0" in reply.headers["set-cookie"]


@pytest.mark.parametrize("route", [each for each in OWN if each.step_up], ids=lambda r: r.path)
async def test_what_is_grave_needs_a_proof_of_the_last_minutes(site, route):
    site.world.add()
    await site.enter()
    site.world.later(minutes=10)
    method = "POST" if "POST" in route.methods else "GET"
    data = {"password": OTHER_PASSWORD, "email": "new@example.com"}
    headers = {"sec-fetch-site": "same-origin"}
    reply = await site.client.request(method, route.path, data=data, headers=headers)
    assert place(reply).startswith("/confirm?next=")
    assert not site.world.mails


async def test_a_key_beside_the_cookie_is_refused_on_pages_too(site):
    site.world.add()
    await site.enter()
    reply = await site.client.get("/account", headers={"authorization": "Bearer ck_x"})
    assert reply.status_code == 400


async def test_the_account_of_a_page_is_that_of_its_session(site):
    site.world.add()
    site.world.add("bob", "bob@example.com")
    await site.enter("bob@example.com")
    text = (await site.get("/account")).text
    assert "bob@example.com" in text
    assert EMAIL not in text


async def test_sessions_that_are_none_are_counted(site):
    site.client.cookies.set("__Host-caller", "an-ended-session-1")
    site.world.velocity.refuses["address_wrong_sessions_minute"] = 60
    reply = await site.get("/account")
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "60")
    site.client.cookies.clear()
    assert place(await site.get("/account")) == "/sign-in?next=%2Faccount"


GO_ON = sorted(
    route.path
    for route in OWN
    if "GET" in route.methods and Site().door.own_page(route.path) == route.path
)
SENTENCES = sorted(key[5:] for key in WORDS["en"] if key.startswith("said."))


@pytest.mark.parametrize("path", [*GO_ON, "/sign-in", "/reset"])
async def test_a_link_makes_no_page_say_what_has_not_happened(site, path):
    site.world.add()
    if path.startswith("/account"):
        await site.enter()
    for said in SENTENCES:
        reply = await site.get(f"{path}?said={said}")
        assert WORDS["en"][f"said.{said}"] not in html.unescape(reply.text)
        assert "caller-said" not in reply.headers.get("set-cookie", "")


async def test_what_has_happened_is_said_once_on_its_page_in_its_browser(site):
    site.world.add()
    await site.enter()
    stranger = site.new_browser()
    path = place(await site.post("/account/devices/end-others"))
    words = WORDS["en"]["said.others_ended"]
    assert words not in (await site.get("/account")).text
    assert words not in (await site.get("/account/devices?said=session_ended")).text
    assert words in (await site.get(path)).text
    assert words not in (await site.get(path)).text
    await stranger.post("/sign-in", data=FIELDS, headers={"sec-fetch-site": "same-origin"})
    assert words not in (await stranger.get(path)).text


async def test_what_has_happened_is_said_after_a_page_that_could_not_be_shown(site):
    site.world.add()
    await site.enter()
    path = place(await site.post("/account/devices/end-others"))
    site.world.people.is_away = True
    assert (await site.get(path)).status_code == 503
    site.world.people.is_away = False
    assert WORDS["en"]["said.others_ended"] in (await site.get(path)).text


async def test_what_no_page_has_said_is_still_to_be_said(site):
    site.world.add()
    await site.enter()
    path = place(await site.post("/account/devices/end-others"))
    await site.client.head(path)
    for other in ("/terms", "/rates", "/nothing"):
        await site.get(f"{other}?said=others_ended")
    assert WORDS["en"]["said.others_ended"] in (await site.get(path)).text


async def test_a_link_to_the_sign_in_makes_the_next_page_say_nothing_either(site):
    site.world.add()
    await site.enter()
    assert place(await site.get("/sign-in?said=password_changed")) == "/account"


HTML = {"accept": "text/html"}
FOR_ANYBODY = {
    **dict.fromkeys(("/terms", "/privacy", "/rates", "/docs/api", "/docs/api/make_button"), 200),
    **dict.fromkeys(("/nothing", "/account/nothing", "/docs/api/nothing"), 404),
    "/l/none": 410,
}
MENU, WAY_IN = 'action="/sign-out"', 'href="/sign-in"'


async def header(site, path, status):
    """Return what the header of a page offers."""
    reply = await site.client.get(path, headers=HTML)
    assert reply.status_code == status
    text = reply.text.partition("</header>")[0]
    return [each for each in (MENU, WAY_IN) if each in text]


@pytest.mark.parametrize(("path", "status"), FOR_ANYBODY.items())
async def test_what_anybody_may_see_has_the_header_of_whoever_is_signed_in(site, path, status):
    site.world.add()
    assert await header(site, path, status) == [WAY_IN]
    assert "holder" not in site.world.people.asked
    await site.enter()
    site.world.people.asked.clear()
    assert await header(site, path, status) == [MENU]
    assert site.world.people.asked.count("holder") <= 1


async def test_a_page_that_is_missing_is_in_the_language_that_a_person_has_chosen(site):
    site.world.add()
    await site.enter()
    await site.post("/account/language", language="de")
    site.world.epochs.epoch = "e2"
    reply = await site.client.get("/nothing", headers=HTML)
    assert '<html lang="de">' in reply.text


async def test_where_only_forms_are_sent_a_browser_is_told_that_there_is_no_page(site):
    reply = await site.client.get("/account/language", headers=HTML)
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
    assert WORDS["en"]["problem.not_found"] in html.unescape(reply.text)
    reply = await site.client.get("/account/language")
    assert reply.json()["code"] == "method_not_allowed"


async def test_what_is_refused_has_the_header_of_whoever_is_signed_in(site):
    site.world.add()
    site.world.add("bob", "bob@example.com")
    await site.enter()
    for path, headers, status, fields in (
        ("/account/language", {"origin": "https://evil.example"}, 403, {}),
        ("/rates", {"origin": "https://evil.example"}, 403, {}),
        ("/account/language", None, 409, {"owner": "bob"}),
        ("/account/language", {"sec-fetch-site": "same-origin", "content-type": "a/b"}, 415, {}),
    ):
        reply = await site.post(path, headers, **fields)
        assert (reply.status_code, MENU in reply.text) == (status, True)
    site.client.cookies.clear()
    reply = await site.post("/rates", {"origin": "https://evil.example"})
    text = reply.text.partition("</header>")[0]
    assert (reply.status_code, MENU in text, WAY_IN in text) == (403, False, True)


async def test_where_nobody_can_tell_who_it_is_the_header_offers_nothing(site):
    site.world.add()
    await site.enter()
    site.world.people.is_away = True
    assert await header(site, "/nothing", 404) == []
    assert await header(site, "/terms", 200) == []
    site.world.people.asked.clear()
    assert await header(site, "/account", 503) == []
    # It is asked once: that it failed is known.
    assert site.world.people.asked.count("holder") == 1


async def test_sessions_that_are_none_are_counted_on_pages_for_anybody_too(site):
    site.client.cookies.set("__Host-caller", "an-ended-session-1")
    assert await header(site, "/nothing", 404) == [WAY_IN]
    site.world.velocity.refuses["address_wrong_sessions_minute"] = 60
    assert await header(site, "/nothing", 404) == []
    assert await header(site, "/account", 429) == []
