"""The pages of the sign-up, as a browser without script uses them."""

import pytest

from tests.gateway.http.site.conftest import place
from tests.gateway.people.memory import EMAIL, PASSWORD

FIELDS = {"email": EMAIL, "password": PASSWORD, "terms": "true", "adult": "true"}


async def test_a_person_signs_up_by_form_and_mail(site):
    form = site.read(await site.get("/sign-up"))
    assert form.input("email")["autocomplete"] == "email"
    assert form.input("password")["autocomplete"] == "new-password"
    assert {"terms", "adult"} < {each.get("name") for each in form.of("input")}
    assert place(await site.post("/sign-up", **FIELDS)) == "/sign-up/done"
    assert "Check your mail" in (await site.get("/sign-up/done")).text
    link = f"/l/{site.world.link('verify_email')}"
    for _ in range(2):
        shown = site.read(await site.get(link))
        assert EMAIL in shown.text
        assert shown.input("whose")["value"] == EMAIL
        assert shown.input("whose")["autocomplete"] == "username"
        assert shown.input("password")["autocomplete"] == "current-password"
    assert not next(iter(site.world.people.holders.values())).is_proven
    reply = await site.post(link, password=PASSWORD)
    assert place(reply) == "/account?said=address_proven"
    assert next(iter(site.world.people.holders.values())).is_proven
    cookies = reply.headers.get_list("set-cookie")
    assert [each.partition("=")[0] for each in cookies] == [
        "__Host-caller",
        "__Host-caller-device",
        "__Host-caller-said",
    ]
    assert "Your address is confirmed" in (await site.get(place(reply))).text
    assert (await site.post(link, password=PASSWORD)).status_code == 410


async def test_known_and_unknown_addresses_cannot_be_told_apart(site):
    site.world.add()
    replies = [
        await site.post("/sign-up", **{**FIELDS, "email": email})
        for email in (EMAIL, "eve@example.com")
    ]
    again = [
        await site.post("/sign-up/again", email=email) for email in (EMAIL, "nobody@example.com")
    ]
    reset = [await site.post("/reset", email=email) for email in (EMAIL, "nobody@example.com")]
    wrong = [await site.enter(email, "wrong") for email in (EMAIL, "nobody@example.com")]
    for one, other in (replies, again, reset):
        assert (one.status_code, one.headers, one.content) == (
            other.status_code,
            other.headers,
            other.content,
        )
    one, other = wrong
    # The form comes back with what was typed.
    assert one.text.replace(EMAIL, "") == other.text.replace("nobody@example.com", "")
    assert {k: v for k, v in one.headers.items() if k != "content-length"} == {
        k: v for k, v in other.headers.items() if k != "content-length"
    }


async def test_what_is_wrong_is_said_on_top_and_beside_each_field(site):
    reply = await site.post("/sign-up", email='"><b>x', password="short", terms="true")
    assert reply.status_code == 422
    form = site.read(reply)
    assert "<title>Error: Create an account" in reply.text
    email, password = form.input("email"), form.input("password")
    assert email["value"] == '"><b>x'
    assert "<b>" not in reply.text
    assert email["aria-invalid"] == password["aria-invalid"] == "true"
    assert email["aria-describedby"] == "email-error"
    assert password["aria-describedby"] == "password-help password-error"
    assert "value" not in password
    ids = {attrs["id"] for _, attrs in form.tags if "id" in attrs}
    assert {"email-error", "password-error", "password-help", "adult-error"} <= ids
    links = [each["href"] for each in form.of("a") if each["href"].startswith("#")]
    assert links == ["#main", "#email", "#password", "#adult"]
    assert "checked" in form.input("terms")
    assert "checked" not in form.input("adult")
    summary = next(attrs for _, attrs in form.tags if attrs.get("class") == "summary")
    assert (summary["role"], summary["tabindex"], "autofocus" in summary) == ("alert", "-1", True)


async def test_the_mail_is_sent_again_or_the_address_is_wrong(site):
    site.world.add(proven=False)
    assert place(await site.post("/sign-up/again", email=EMAIL)) == "/sign-up/done?said=sent"
    assert site.world.mails == [("verify_email", EMAIL)]
    reply = await site.post("/sign-up/again", email="x")
    assert reply.status_code == 422
    assert site.read(reply).input("email")["value"] == "x"


async def test_where_sign_up_is_closed_nobody_gets_an_account(closed_site):
    site = closed_site
    assert "Ask them for one" in (await site.get("/sign-up")).text
    reply = await site.post("/sign-up", **FIELDS)
    assert reply.status_code == 403
    assert not site.world.people.holders
    assert "/sign-up" not in [
        each["href"] for each in site.read(await site.get("/sign-in")).of("a")
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"email=" + b"x" * 9000, 413),
        (b"email=" + b"x" * 600, 400),
        (b"email=%ff", 400),
        (b"email=\xff", 400),
        (b"terms=perhaps", 400),
        (b"&".join(b"a%d=1" % n for n in range(40)), 400),
        (b"", 422),
        (b'{"email": 1}', 422),
    ],
)
async def test_a_body_that_is_no_form_of_ours_is_refused(site, body, status):
    headers = {
        "sec-fetch-site": "same-origin",
        "content-type": "application/x-www-form-urlencoded",
    }
    reply = await site.client.post("/sign-up", content=body, headers=headers)
    assert reply.status_code == status
    assert not site.world.people.holders


async def test_too_many_sign_ups_are_told_when_to_come_back(site):
    site.world.velocity.refuses["address_sign_ups_hour"] = 600
    reply = await site.post("/sign-up", **FIELDS)
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "600")
    assert "10 min" in reply.text
