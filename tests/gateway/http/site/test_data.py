"""Everything that is held of a person: shown, told to programs, and handed out as a file."""

import pytest

from accounts.session import STEP_UP_MAX
from gateway.data_map import KINDS
from gateway.words.data_map import WORDS
from tests.gateway.http.site.conftest import place

DATA = "/account/data"


@pytest.fixture
async def own(site):
    """A site whose browser is signed in."""
    site.world.add()
    await site.enter()
    return site


async def test_every_kind_is_shown_with_what_for_and_how_long(own):
    page = own.read(await own.get(DATA))
    for kind in KINDS:
        assert WORDS["en"][f"kind.{kind.name}"] in page.text
        assert WORDS["en"][f"what.{kind.name}"] in page.text
    assert "more than 10,000 entries" in page.text
    assert "1 entry" in page.text
    assert "12 months" in page.text
    assert "1.25" in page.text
    assert "2026-11-24 12:00 UTC" in page.text
    assert "email <b>" in page.text, "shown as it is, not as markup"
    leads = {each["href"] for each in page.of("a")}
    assert {"/account/address", "/account/password", "/account/devices"} - leads == {
        "/account/password"
    }, "a password is in no export, so nothing of it is listed here"


async def test_a_program_is_told_the_same(own):
    reply = await own.get(f"{DATA}.json")
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    told = reply.json()
    assert told["account"] == "ada"
    counts = {kind["name"]: kind["count"] for kind in told["kinds"]}
    assert counts["sessions"] == 1
    assert (counts["calls"], counts["devices"]) == (10_000, 1)
    assert set(counts) == {kind.name for kind in KINDS if kind.is_exported}


async def test_an_export_is_asked_for_shown_and_fetched(own):
    assert place(await own.post(f"{DATA}/export")) == f"{DATA}?said=export_asked"
    assert "waiting" in own.read(await own.get(DATA)).text
    assert place(await own.post(f"{DATA}/export")) == f"{DATA}?said=export_under_way"
    export = own.exports.finish(b"PK", b"\x03\x04")
    page = own.read(await own.get(DATA))
    assert f"{DATA}/export/{export.id}" in {each["href"] for each in page.of("a")}
    reply = await own.get(f"{DATA}/export/{export.id}")
    assert reply.content == b"PK\x03\x04"
    assert reply.headers["content-length"] == "4"
    assert reply.headers["content-type"] == "application/zip"
    assert reply.headers["content-disposition"].startswith('attachment; filename="data-2026-')
    assert reply.headers["cache-control"] == "no-store"


async def test_the_password_is_asked_for_before_everything_is_handed_out(own):
    await own.post(f"{DATA}/export")
    export = own.exports.finish(b"PK")
    own.world.now += STEP_UP_MAX
    assert place(await own.post(f"{DATA}/export")) == "/confirm?next=%2Faccount%2Fdata"
    own.client = own.new_browser()
    await own.enter()
    own.world.now += STEP_UP_MAX
    there = f"{DATA}/export/{export.id}"
    assert place(await own.get(there)) == "/confirm?next=%2Faccount%2Fdata"
    own.client = own.new_browser()
    assert place(await own.get(there)) == "/sign-in?next=%2Faccount%2Fdata"


async def test_a_file_that_is_gone_is_said_so(own):
    assert place(await own.get(f"{DATA}/export/nothing")) == f"{DATA}?said=export_gone"
    assert "no longer there" in own.read(await own.get(f"{DATA}?said=export_gone")).text


async def test_a_store_that_is_away_is_said_so(own):
    own.rows.is_away = True
    assert (await own.get(DATA)).status_code == 503


async def test_an_export_of_a_session_that_is_over_leads_to_the_sign_in(own):
    await own.post(f"{DATA}/export")
    export = own.exports.finish(b"PK")
    who = await own.world.browsers.who(own.cookie)
    assert who is not None
    own.world.change(credentials_epoch=2)
    assert place(await own.get(f"{DATA}/export/{export.id}")).startswith("/sign-in")
