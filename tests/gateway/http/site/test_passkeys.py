"""The pages of passkeys: challenges for our script, answers in forms, and pages without script."""

import re

import pytest

from accounts.ceremony import LIVES, CeremonyPurpose
from gateway.http.site.rendering import HEADERS, SCRIPT_HEADERS
from tests.gateway.http.site.conftest import place
from tests.gateway.people.memory import EMAIL
from tests.gateway.people.soft_passkey import SoftPasskey, text


async def challenged(site, path="/sign-in/passkey/options"):
    reply = await site.post(path)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    return reply.json()["ceremony"], reply.json()["options"]


async def added(site, name="phone"):
    """Sign in, and add a passkey."""
    site.world.add()
    await site.enter()
    ceremony, options = await challenged(site, "/account/passkeys/options")
    passkey = SoftPasskey()
    answer = passkey.create(options)
    reply = await site.post("/account/passkeys", ceremony=ceremony, answer=answer, name=name)
    assert place(reply) == "/account/security?said=passkey_added"
    return passkey


async def enter(site, passkey, **fields):
    ceremony, options = await challenged(site)
    return await site.post(
        "/sign-in/passkey", ceremony=ceremony, answer=passkey.get(options), **fields
    )


async def test_a_person_signs_in_by_a_passkey_alone(site):
    passkey = await added(site)
    await site.post("/sign-out")
    reply = await enter(site, passkey, next="/account/devices")
    assert place(reply) == "/account/devices"
    assert (await site.get("/account/devices")).status_code == 200


async def test_what_another_browser_began_signs_nobody_in_here(site):
    passkey = await added(site)
    await site.post("/sign-out")
    ceremony, options = await challenged(site)
    fields = {"ceremony": ceremony, "answer": passkey.get(options)}
    own, site.client = site.client, site.new_browser()
    reply = await site.post("/sign-in/passkey", **fields)
    assert place(reply) == "/sign-in?next=%2Faccount&said=passkey_late"
    assert not site.cookie
    # That uses nothing up for the person who began it.
    site.client = own
    assert place(await site.post("/sign-in/passkey", **fields)) == "/account"


async def test_what_is_wrong_is_said_at_the_sign_in_and_begins_no_session(site):
    passkey = await added(site)
    await site.post("/sign-out")
    passkey.origin = "https://evil.example"
    reply = await enter(site, passkey)
    assert place(reply) == "/sign-in?next=%2Faccount&said=passkey_wrong"
    (cookie,) = reply.headers.get_list("set-cookie")
    assert cookie.startswith("__Host-caller-said=")
    assert "You can sign in with your password" in (await site.get(place(reply))).text
    ceremony, options = await challenged(site)
    site.world.now += LIVES[CeremonyPurpose.PASSKEY]
    answer = SoftPasskey().get(options)
    reply = await site.post("/sign-in/passkey", ceremony=ceremony, answer=answer)
    assert place(reply) == "/sign-in?next=%2Faccount&said=passkey_late"


async def test_the_page_lists_what_there_is_and_lets_it_be_renamed_and_removed(site):
    passkey = await added(site, name="<my> phone")
    page = await site.get("/account/security")
    assert "&lt;my&gt; phone" in page.text
    form = site.read(page)
    assert "backed up" in form.text
    assert "not used yet" in form.text
    own = text(passkey.credential_id)
    assert form.input("id")["value"] == own
    reply = await site.post("/account/passkeys/rename", id=own, name="mine")
    assert place(reply) == "/account/security?said=passkey_renamed"
    assert "mine" in (await site.get("/account/security")).text
    before = site.cookie
    reply = await site.post("/account/passkeys/remove", id=own)
    assert place(reply) == "/account/security?said=passkey_removed"
    reply = await site.post("/account/passkeys/remove", id=own)
    assert place(reply) == "/account/security"
    assert site.cookie != before
    assert "You have none yet" in (await site.get("/account/security")).text
    assert [name for name, _ in site.world.mails] == ["passkey_added", "passkey_removed"]


async def test_a_passkey_that_was_not_made_as_asked_is_not_added(site):
    await added(site)
    ceremony, options = await challenged(site, "/account/passkeys/options")
    answer = SoftPasskey().create(options)
    reply = await site.post("/account/passkeys", ceremony=ceremony, answer=answer)
    assert place(reply) == "/account/security?said=passkey_known"
    reply = await site.post("/account/passkeys", ceremony=ceremony, answer=answer)
    assert place(reply) == "/account/security?said=passkey_new_wrong"
    assert "was not added" in (await site.get(place(reply))).text


@pytest.mark.parametrize("path", ["/options", "", "/remove"])
async def test_changes_need_a_proof_of_the_last_minutes(site, path):
    await added(site)
    site.world.later(minutes=10)
    reply = await site.post(f"/account/passkeys{path}")
    assert place(reply) == "/confirm?next=%2Faccount%2Fsecurity"


async def test_a_passkey_is_a_proof_once_more(site):
    passkey = await added(site)
    site.world.later(minutes=10)
    page = await site.get("/confirm?next=/account/password")
    assert 'action="/confirm/passkey"' in page.text
    ceremony, options = await challenged(site)
    answer = passkey.get(options)
    fields = {"ceremony": ceremony, "answer": answer, "next": "/account/password"}
    assert place(await site.post("/confirm/passkey", **fields)) == "/account/password"
    assert (await site.get("/account/password")).status_code == 200
    reply = await site.post("/confirm/passkey", **fields)
    assert place(reply) == "/confirm?next=%2Faccount%2Fpassword&said=passkey_late"
    assert "That took too long" in (await site.get(place(reply))).text


async def test_who_has_none_is_not_asked_for_one(site):
    site.world.add()
    await site.enter()
    page = await site.get("/confirm")
    assert "/confirm/passkey" not in page.text
    assert page.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]


async def test_pages_are_complete_without_script(site):
    page = await site.get("/sign-in")
    assert page.headers["content-security-policy"] == SCRIPT_HEADERS["Content-Security-Policy"]
    forms = [each for each in site.read(page).of("form") if "data-passkey" in each]
    assert [("hidden" in each, each["data-rp"]) for each in forms] == [(True, "calls.example.com")]
    await added(site)
    assert "you need JavaScript" in (await site.get("/account/security")).text


async def test_the_script_has_its_hash_in_its_name_and_names_no_other_site(site):
    page = await site.get("/sign-in")
    (path,) = re.findall(r'<script src="([^"]+)"', page.text)
    script = await site.get(path)
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert "://" not in script.text
    assert not re.search(r"innerHTML|eval|localStorage|sessionStorage|cookie", script.text)


async def test_at_an_address_that_can_have_none_nothing_is_offered(site):
    from dataclasses import replace

    site.world.add()
    proofs = site.world.passkeys.proofs
    proofs.party = replace(proofs.party, id="")
    page = await site.get("/sign-in")
    assert "passkey" not in page.text
    assert page.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    assert place(await site.post("/sign-in/passkey/options")) == "/sign-in"
    await site.enter(email=EMAIL)
    assert "need a domain name" in (await site.get("/account/security")).text
    assert place(await site.post("/account/passkeys/options")) == "/account/security"


async def test_a_session_that_is_over_changes_nothing(site):
    passkey = await added(site)
    own = text(passkey.credential_id)

    async def over(*_args, **_options):
        return False

    site.world.passkey_store.rename = over
    reply = await site.post("/account/passkeys/rename", id=own, name="x")
    assert place(reply).startswith("/sign-in?next=%2Faccount%2Fsecurity")


async def test_too_many_challenges_are_told_when_to_come_back(site):
    site.world.velocity.refuses["address_passkey_challenges_minute"] = 60
    reply = await site.post("/sign-in/passkey/options")
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "60")
