"""The page of security: an app is added, its codes are shown once, and it is switched off."""

import base64
import re

import pytest

from accounts.second_factor import RECOVERY_CODES, code_digest
from tests.gateway.http.site.conftest import Site, place
from tests.gateway.people.factors import code_at
from tests.gateway.people.memory import EMAIL, PASSWORD


async def begun(site):
    """Sign in and begin; return the app's secret as the page shows it."""
    site.world.add()
    await site.enter()
    reply = await site.post("/account/second-factor/begin")
    assert place(reply) == "/account/second-factor"
    page = await site.get("/account/second-factor")
    (ceremony, _) = site.world.ceremonies.kept[site.client.cookies["__Host-caller-ceremony"]]
    return ceremony.payload[:20], page


async def added(site):
    secret, _ = await begun(site)
    reply = await site.post("/account/second-factor", code=code_at(site.world, secret))
    assert place(reply) == "/account/recovery-codes?said=second_factor_on"
    return secret


async def test_an_app_is_added_by_its_first_code(site):
    secret, page = await begun(site)
    assert '<svg viewBox="0 0' in page.text
    assert "style=" not in page.text, "which the policy would not let in"
    shown = re.sub(r"\s", "", re.search(r"<code[^>]*>([A-Z2-7 ]+)</code>", page.text)[1])
    assert base64.b32decode(shown) == secret
    assert "otpauth" not in page.text
    wrong = await site.post("/account/second-factor", code="000000")
    assert wrong.status_code == 422
    form = site.read(wrong)
    assert form.input("code")["aria-invalid"] == "true"
    assert shown in re.sub(r"\s", "", wrong.text), "with the same key"
    off = code_at(site.world, secret, steps=6)
    assert "3 min fast" in (await site.post("/account/second-factor", code=off)).text
    before = site.cookie
    reply = await site.post("/account/second-factor", code=code_at(site.world, secret))
    assert site.cookie != before
    assert place(reply) == "/account/recovery-codes?said=second_factor_on"
    page = site.read(await site.get("/account/security"))
    assert "Unused recovery codes: 10." in page.text
    assert site.world.mails == [("second_factor_changed", EMAIL)]


async def test_recovery_codes_are_shown_and_downloaded_until_they_are_kept(site):
    await added(site)
    page = await site.get("/account/recovery-codes")
    shown = re.findall(r"<code[^>]*>([0-9A-Z-]{29})</code>", page.text)
    assert {code_digest(code) for code in shown} == site.world.factors.digests["ada"]
    assert len(shown) == RECOVERY_CODES
    file = await site.get("/account/recovery-codes/download")
    assert file.headers["content-type"] == "text/plain; charset=utf-8"
    assert file.headers["content-disposition"] == 'attachment; filename="recovery-codes.txt"'
    assert file.headers["cache-control"] == "no-store"
    assert file.text.split() == shown
    assert place(await site.post("/account/recovery-codes/kept")) == "/account/security"
    for path in ("/account/recovery-codes", "/account/recovery-codes/download"):
        assert place(await site.get(path)) == "/account/security"


async def test_new_codes_are_made_and_few_left_are_said(site):
    await added(site)
    digests = site.world.factors.digests["ada"]
    while len(digests) > 2:
        digests.pop()
    assert "Create new ones before they run out" in (await site.get("/account/security")).text
    reply = await site.post("/account/recovery-codes/new")
    assert place(reply) == "/account/recovery-codes?said=codes_new"
    assert "the old ones no longer work" in (await site.get(place(reply))).text
    assert "Create new ones before" not in (await site.get("/account/security")).text


async def test_codes_are_switched_off(site):
    await added(site)
    reply = await site.post("/account/second-factor/off")
    assert place(reply) == "/account/security?said=second_factor_off"
    assert "Set up an app" in (await site.get(place(reply))).text
    assert place(await site.post("/sign-out"))
    assert place(await site.enter()) == "/account"


@pytest.mark.parametrize("path", ["/begin", "", "/off"], ids=lambda path: path or "add")
async def test_each_change_needs_a_proof_of_the_last_minutes(site, path):
    await begun(site)
    site.world.later(minutes=10)
    reply = await site.post(f"/account/second-factor{path}", code="1")
    assert place(reply) == "/confirm?next=%2Faccount%2Fsecurity"


async def test_what_was_begun_elsewhere_or_long_ago_begins_again(site):
    await begun(site)
    del site.client.cookies["__Host-caller-ceremony"]
    assert place(await site.get("/account/second-factor")) == "/account/security"
    reply = await site.post("/account/second-factor", code="000000")
    assert place(reply) == "/account/security?said=begun_too_long_ago"


@pytest.mark.parametrize("path", ["recovery-codes/new", "second-factor/off"])
async def test_a_session_that_ends_meanwhile_does_not_go_on(site, path):
    await added(site)

    async def ended(_secret, _session):
        return None

    site.world.sessions.rotate = ended
    reply = await site.post(f"/account/{path}")
    assert place(reply) == "/sign-in?next=%2Faccount%2Fsecurity&said=session_over"


@pytest.mark.parametrize("path", ["recovery-codes/new", "second-factor/off"])
async def test_what_is_done_already_signs_nobody_out(site, path):
    site.world.add()
    await site.enter()
    before = site.cookie
    assert place(await site.post(f"/account/{path}")) == "/account/security"
    assert site.cookie == before
    assert (await site.get("/account")).status_code == 200


async def test_where_no_key_is_set_up_nothing_can_be_added():
    site = Site(is_offered=False)
    site.world.add()
    await site.enter()
    page = await site.get("/account/security")
    assert "not set up for it" in page.text
    assert "/account/second-factor/begin" not in page.text
    assert place(await site.post("/account/second-factor/begin")) == "/account/security"
    assert not site.world.ceremonies.kept


async def test_the_account_leads_there(site):
    site.world.add()
    await site.enter(password=PASSWORD)
    links = [each["href"] for each in site.read(await site.get("/account")).of("a")]
    assert "/account/security" in links
    links = [each["href"] for each in site.read(await site.get("/account/security")).of("a")]
    assert {"/account/password", "/account/devices"} <= set(links)
