"""The pages of links: a look does nothing, a button does it once."""

import pytest

from accounts.link import Purpose
from accounts.notice import Notice
from accounts.second_factor import SecondFactor
from gateway.people.link_pages import _SAID
from tests.gateway.http.site.conftest import place
from tests.gateway.people.factors import enrolled
from tests.gateway.people.memory import EMAIL, OTHER_PASSWORD, PASSWORD


async def test_a_password_is_set_by_link(site):
    site.world.add()
    assert place(await site.post("/reset", email=EMAIL)) == "/reset?said=sent_if_known"
    link = f"/l/{site.world.link('reset_password')}"
    form = site.read(await site.get(link))
    assert form.input("password")["autocomplete"] == "new-password"
    assert form.input("whose")["value"] == EMAIL
    assert (await site.post(link, password="short")).status_code == 422
    assert place(await site.post(link, password=OTHER_PASSWORD)) == "/account?said=password_changed"
    assert (await site.get("/account")).status_code == 200
    assert (await site.post(link, password=OTHER_PASSWORD)).status_code == 410
    assert place(await site.enter(password=OTHER_PASSWORD)) == "/account"


async def test_no_stranger_who_guesses_keeps_out_whoever_sets_a_password_by_link(site):
    site.world.add()
    await site.post("/reset", email=EMAIL)
    link = f"/l/{site.world.link('reset_password')}"
    site.world.velocity.refuses["account_sign_ins_hour"] = 600
    assert (await site.enter()).status_code == 429
    assert place(await site.post(link, password=OTHER_PASSWORD)) == "/account?said=password_changed"
    assert (await site.get("/account")).status_code == 200


async def test_a_password_set_by_link_leaves_the_code_to_be_asked_for(site):
    await enrolled(site.world)
    await site.post("/reset", email=EMAIL)
    link = f"/l/{site.world.link('reset_password')}"
    reply = await site.post(link, password=OTHER_PASSWORD)
    assert place(reply) == "/sign-in/code?next=%2Faccount"
    assert place(await site.get("/account")).startswith("/sign-in?")
    assert "Never set up an app?" in (await site.get(place(reply))).text


@pytest.mark.parametrize(("proven", "language"), [(True, "en"), (False, "de")])
async def test_who_takes_an_unproven_account_over_has_it_in_their_language(site, proven, language):
    site.world.add(proven=proven)
    await site.post("/reset", email=EMAIL)
    headers = {"sec-fetch-site": "same-origin", "accept-language": "de-AT, en"}
    link = f"/l/{site.world.link('reset_password')}"
    await site.post(link, headers, password=OTHER_PASSWORD)
    assert site.world.people.holders["ada"].language == language


async def proof_link(site):
    site.world.add(proven=False)
    await site.post("/sign-up/again", email=EMAIL)
    return f"/l/{site.world.link('verify_email')}"


async def test_an_address_is_proven_by_whoever_knows_the_password_and_nobody_else_stays(site):
    link = await proof_link(site)
    stranger = site.new_browser()
    site.client, own = stranger, site.client
    await site.enter()
    site.client = own
    for fields in ({}, {"password": OTHER_PASSWORD}):
        reply = await site.post(link, **fields)
        assert reply.status_code == 422
        assert "set-cookie" not in reply.headers
        form = site.read(reply)
        assert "This is not your password" in form.text
        assert form.input("password")["aria-invalid"] == "true"
        assert "/reset" in [each["href"] for each in form.of("a")]
    assert place(await site.post(link, password=PASSWORD)) == "/account?said=address_proven"
    assert (await site.get("/account")).status_code == 200
    assert "said=session_over" in place(await stranger.get("/account"))


async def test_a_session_of_before_the_proof_does_not_go_on_in_the_same_browser(site):
    link = await proof_link(site)
    await site.enter()
    before = site.cookie
    await site.post(link, password=PASSWORD)
    assert site.cookie != before
    assert list(site.world.sessions.kept) == [site.cookie]


async def test_a_locked_account_is_told_at_the_proof(site):
    link = await proof_link(site)
    site.world.change(locked_at=site.world.now)
    reply = await site.post(link, password=PASSWORD)
    assert reply.status_code == 422
    assert "This account is locked" in reply.text


async def test_where_another_epoch_began_meanwhile_one_signs_in(site):
    link = await proof_link(site)
    begin = site.world.sessions.begin

    async def overtaken(session):
        site.world.change(credentials_epoch=9)
        return await begin(session)

    site.world.sessions.begin = overtaken
    reply = await site.post(link, password=PASSWORD)
    assert place(reply) == "/sign-in"
    assert "set-cookie" not in reply.headers
    assert site.world.people.holders["ada"].is_proven


async def test_too_many_proofs_are_told_when_to_come_back(site):
    link = await proof_link(site)
    site.world.velocity.refuses["account_sign_ins_hour"] = 600
    reply = await site.post(link, password=PASSWORD)
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "600")


async def test_somebody_else_is_put_out_by_the_link_in_the_mail(site):
    site.world.add()
    await site.enter()
    thief = site.new_browser()
    site.client, own = thief, site.client
    await site.enter()
    site.client = own
    link = f"/l/{site.world.link('new_device')}"
    text = (await site.get(link)).text
    assert "Was that not you?" in text
    assert "webhooks that were recently set or enabled will be disabled" in text
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
    path = place(await site.post("/reset", email=EMAIL))
    assert "on its way" in (await site.get(path)).text


async def handed_over(site):
    """A link that the operator hands over."""
    await site.world.people.tell("ada", Notice("handed_over", EMAIL, link=Purpose.SIGN_IN))
    return f"/l/{site.world.link('handed_over')}"


@pytest.mark.parametrize("purpose", ["reset", "proof", "sign-in"])
async def test_while_no_session_can_begin_a_link_does_nothing_and_works_later(site, purpose):
    if purpose == "proof":
        link = await proof_link(site)
    else:
        site.world.add()
        await site.post("/reset", email=EMAIL)
        link = f"/l/{site.world.link('reset_password')}"
        if purpose == "sign-in":
            link = await handed_over(site)
    before = dict(site.world.people.holders)
    password = OTHER_PASSWORD if purpose == "reset" else PASSWORD
    site.world.sessions.is_away = True
    assert (await site.post(link, password=password)).status_code == 503
    assert site.world.people.holders == before
    site.world.sessions.is_away = False
    assert (await site.post(link, password=password)).status_code == 303
    assert (await site.get("/account")).status_code == 200


async def test_a_link_signs_in_by_one_button_and_once(site):
    site.world.add()
    link = await handed_over(site)
    assert "Sign in" in (await site.get(link)).text
    # Looking has neither signed anyone in nor used the link.
    assert not site.world.sessions.kept
    assert place(await site.post(link)) == "/"
    assert (await site.get("/account")).status_code == 200
    assert (await site.post(link)).status_code == 410


async def test_where_the_password_is_not_enough_a_link_is_not_either(site):
    site.world.add()
    link = await handed_over(site)
    secret = SecondFactor(b"x" * 20, 0, site.world.now, 0)
    site.world.factors.kept["ada"], site.world.factors.digests["ada"] = secret, set()
    assert place(await site.post(link)) == "/sign-in"
    assert (await site.get("/account")).status_code == 303
    assert (await site.get(link)).status_code == 200


async def test_a_link_signs_nobody_in_who_is_locked(site):
    site.world.add()
    link = await handed_over(site)
    site.world.change(locked_at=site.world.now)
    assert (await site.post(link)).status_code == 410


def test_every_purpose_of_one_button_says_what_it_has_done():
    takes_more = {Purpose.RESET_PASSWORD, Purpose.PROVE_ADDRESS, Purpose.CHANGE_ADDRESS}
    takes_more |= {Purpose.SIGN_IN}
    assert _SAID.keys() == set(Purpose) - takes_more


async def address_link(site):
    site.world.add()
    await site.enter()
    await site.post("/account/address", email="new@example.com")
    return f"/l/{site.world.link('change_address')}"


async def test_another_address_takes_the_password_where_nobody_is_signed_in(site):
    link = await address_link(site)
    site.client = site.new_browser()
    # As a scanner of mails does.
    for _ in range(3):
        form = site.read(await site.get(link))
        assert form.input("password")["autocomplete"] == "current-password"
    assert site.world.people.holders["ada"].email == EMAIL
    for fields in ({}, {"password": OTHER_PASSWORD}):
        reply = await site.post(link, **fields)
        assert reply.status_code == 422
        form = site.read(reply)
        assert "not the password of the account" in form.text
        assert form.input("password")["aria-invalid"] == "true"
        assert EMAIL not in form.text, "whose account it is is not told"
    assert place(await site.post(link, password=PASSWORD)) == "/sign-in?said=address_changed"
    assert site.world.people.holders["ada"].email == "new@example.com"
    assert (await site.post(link, password=PASSWORD)).status_code == 410


async def test_too_many_passwords_at_a_link_are_told_when_to_come_back(site):
    link = await address_link(site)
    site.client = site.new_browser()
    site.world.velocity.refuses["account_sign_ins_hour"] = 600
    reply = await site.post(link, password=PASSWORD)
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "600")


async def test_too_many_links_that_are_none_are_told_when_to_come_back(site):
    site.world.velocity.refuses["address_wrong_links_minute"] = 60
    reply = await site.get("/l/nothing")
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "60")
