"""The pages of who is signed in."""

from dataclasses import replace

import pytest

from database.errors import StoreUnavailableError
from tests.gateway.http.site.conftest import place
from tests.gateway.people.memory import EMAIL, OTHER_PASSWORD

NEW = "ada.l@example.org"


async def test_the_account_shows_address_and_credit(site):
    site.world.add()
    await site.enter()
    text = site.read(await site.get("/account")).text
    assert EMAIL in text
    assert "$12.34" in text
    assert "confirmed" in text
    site.balance = StoreUnavailableError("away")
    reply = await site.get("/account")
    assert reply.status_code == 200
    assert "cannot be read right now" in reply.text


async def test_an_unproven_address_is_said_and_the_mail_sent_again(site):
    site.world.add(proven=False)
    await site.enter()
    assert "not confirmed yet" in (await site.get("/account")).text
    assert place(await site.post("/account/proof")) == "/account?said=sent"
    assert site.world.mails == [("verify_email", EMAIL)]
    site.world.change(email_proven_at=site.world.now)
    assert place(await site.post("/account/proof")) == "/account"


@pytest.mark.parametrize("restricted", [False, True])
async def test_an_account_that_is_frozen_by_others_says_so(site, restricted):
    site.world.add()
    await site.enter()
    said = "Your account cannot place calls. Ask the operator."
    assert said not in site.read(await site.get("/account")).text
    site.world.accounts["ada"] = replace(site.world.accounts["ada"], frozen=True)
    if restricted:
        await site.post("/account/restriction", restricts="true")
    site.world.epochs.epoch = "e2"
    # What the holder did is said in words of its own.
    assert (said in site.read(await site.get("/account")).text) is not restricted


async def test_the_password_is_changed_and_this_browser_stays(site):
    site.world.add()
    await site.enter()
    before = site.cookie
    assert (await site.post("/account/password", password="short")).status_code == 422
    reply = await site.post("/account/password", password=OTHER_PASSWORD)
    assert place(reply) == "/account?said=password_changed"
    assert site.cookie != before
    assert "all other browsers are signed out" in (await site.get(place(reply))).text


async def test_where_the_session_ended_meanwhile_one_signs_in_again(site):
    site.world.add()
    await site.enter()

    async def gone(*_):
        return None

    site.world.sessions.rotate = gone
    reply = await site.post("/account/password", password=OTHER_PASSWORD)
    assert place(reply) == "/sign-in?said=password_set"
    reply = await site.post("/confirm", password=OTHER_PASSWORD)
    assert place(reply).startswith("/sign-in")


@pytest.mark.parametrize(
    ("path", "form", "back"),
    [
        ("/account/password", {"password": OTHER_PASSWORD}, "%2Faccount%2Fpassword"),
        ("/account/address", {"email": NEW}, "%2Faccount%2Faddress"),
        ("/account/proof", {}, "%2Faccount"),
        ("/account/devices/end", {"name": "its own"}, "%2Faccount%2Fdevices"),
        ("/account/devices/end-others", {}, "%2Faccount%2Fdevices"),
    ],
)
async def test_a_session_that_ends_while_it_asks_changes_nothing(site, path, form, back):
    site.world.add(proven=path != "/account/proof")
    await site.enter()
    if "name" in form:
        ((form["name"], _),) = await site.world.sessions.of_account("ada")
    account = site.world.account

    async def then_overtaken(account_id):
        # Read last of what says who is signed in.
        found = await account(account_id)
        site.world.change(credentials_epoch=2)
        return found

    site.world.browsers.accounts.account = then_overtaken
    reply = await site.post(path, **form)
    assert place(reply) == f"/sign-in?next={back}&said=session_over"
    assert "Max-Age=0" in reply.headers["set-cookie"]
    holder = site.world.people.holders["ada"]
    assert (holder.credentials_epoch, holder.email) == (2, EMAIL)
    assert not site.world.mails
    assert await site.world.people.devices("ada")


async def test_a_change_after_the_proof_has_aged_goes_by_the_password(site):
    site.world.add()
    await site.enter()
    site.world.later(minutes=10)
    reply = await site.post("/account/password", password=OTHER_PASSWORD)
    assert place(reply) == "/confirm?next=%2Faccount%2Fpassword"
    assert site.world.people.holders["ada"].credentials_epoch == 1


async def test_the_address_is_changed_by_a_link(site):
    site.world.add()
    await site.enter()
    assert EMAIL in (await site.get("/account/address")).text
    assert (await site.post("/account/address", email="x")).status_code == 422
    reply = await site.post("/account/address", email=NEW)
    assert place(reply) == "/account?said=change_asked"
    link = f"/l/{site.world.link('change_address')}"
    # Whoever is signed in to the account is asked for nothing more.
    assert "password" not in [
        each.get("name") for each in site.read(await site.get(link)).of("input")
    ]
    assert place(await site.post(link)) == "/account?said=address_changed"
    site.world.later(seconds=10)
    assert NEW in (await site.get("/account")).text


async def test_an_address_that_became_somebody_elses_is_said_to_be(site):
    site.world.add()
    await site.enter()
    await site.post("/account/address", email=NEW)
    site.world.add("bob", NEW)
    reply = await site.post(f"/l/{site.world.link('change_address')}")
    assert reply.status_code == 409
    form = site.read(reply)
    assert f"{NEW} now belongs to another account. Nothing was changed" in form.text
    assert {"/account", "/reset"} <= {each["href"] for each in form.of("a")}


async def test_where_a_browser_was_is_listed_where_it_can_be_told(site):
    site.world.add()
    await site.enter()
    assert "Germany" not in site.read(await site.get("/account/devices")).text
    site.door = replace(site.door, country_of={"127.0.0.1": "DE"}.__getitem__)
    site.rebuild()
    site.client = site.new_browser()
    await site.enter()
    assert "· Germany" in site.read(await site.get("/account/devices")).text
    assert site.world.people.mails[-1].values["country"] == "Germany"


async def test_browsers_are_listed_and_signed_out(site):
    site.world.add()
    other = site.new_browser()
    site.client, own = other, site.client
    await site.enter()
    site.client = own
    site.world.later(minutes=1)
    await site.enter()
    form = site.read(await site.get("/account/devices"))
    assert "this browser" in form.text
    assert form.text.count("Signed in 2026-11-27") == 2
    reply = await site.post("/account/devices/end", name=form.input("name")["value"])
    assert place(reply) == "/account/devices?said=session_ended"
    assert (await other.get("/account")).status_code == 303
    await site.post("/account/devices/end", name="\0nothing")
    before = site.cookie
    assert place(await site.post("/account/devices/end-others")).endswith("said=others_ended")
    assert site.cookie != before
    assert (await site.get("/account/devices")).status_code == 200
    assert place(await site.post("/account/devices/end-all")) == "/sign-in?said=signed_out"
    assert not site.world.sessions.kept


async def test_while_sql_is_away_a_page_says_so(site):
    site.world.add()
    await site.enter()
    site.world.people.is_away = True
    site.world.later(minutes=2)
    reply = await site.get("/account")
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
    assert "cannot be read right now" in reply.text
