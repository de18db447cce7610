"""What people see and decide of their data, in a browser: for everybody, at 320 px, by keyboard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import uvicorn
from playwright.async_api import Browser, Page, expect

from accounts.audit_log import Actor
from accounts.consent import Document, Version, with_own
from accounts.export import ExportState
from accounts.link import Purpose
from accounts.notice import Notice
from gateway.call.supervision import Deed, Mode, Rule
from gateway.http.app import create_app
from gateway.people.countries import Countries
from gateway.people.country_pages import CountryPages
from gateway.people.own_documents import EVERYBODY, OwnDocuments
from gateway.people.own_text import read_own_text
from tests.gateway.http.site.conftest import Site
from tests.gateway.people.memory import EMAIL, PASSWORD
from tests.gateway.people.test_countries import Kept
from tests.valkey import free_port
from tests.web.conftest import async_fixture
from tests.web.fake_gateway import until
from tests.web.test_site import WIDE_AND_NARROW, check, opened

pytestmark = pytest.mark.asyncio(loop_scope="session")

VERSIONS = (Version("2026-12-01"), Version("2027-03-01"))
OWN = """## Who we are
Example Calls Ltd. and Donaudampfschifffahrtsgesellschaftskapitänsmützengesellschaft mbH.

# What you pay
- The price that is shown.
- Nothing else.

# What has changed
## 2027-03-01
Refunds take 14 days.
"""


@async_fixture
async def site() -> AsyncIterator[Site]:
    """The pages on loopback, with an operator's own texts, countries, and exports of all kinds."""
    origin = f"http://127.0.0.1:{free_port()}"
    site = Site(origin=origin)
    history = with_own(VERSIONS, VERSIONS)
    text = {EVERYBODY: read_own_text(OWN.encode())}
    site.documents = OwnDocuments(history, {Document.TERMS: text, Document.PRIVACY: text})
    site.rebuild()
    flow = Countries(Kept(), frozenset({"US", "GB"}), 1, lambda: site.world.now)
    routes = [*site.routes, *CountryPages(site.door, flow).routes()]
    port = int(origin.rpartition(":")[2])
    config = uvicorn.Config(create_app(routes), port=port, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    yield site
    server.should_exit = server.force_exit = True
    await task


async def enter(page: Page, site: Site, language: str) -> None:
    """Sign in by a link that is handed over, with a button."""
    site.world.add()
    site.world.change(language=language)
    await site.world.people.tell("ada", Notice("handed_over", EMAIL, link=Purpose.SIGN_IN))
    await page.goto(f"{site.origin}/l/{site.world.link('handed_over')}")
    await check(page)
    await page.locator("main button").click()


@pytest.mark.parametrize(
    ("options", "language"),
    [(WIDE_AND_NARROW[0], "de"), (WIDE_AND_NARROW[1], "en")],
    ids=["narrow", "dark"],
)
async def test_every_page_about_data_is_accessible(
    browser: Browser, site: Site, options: dict[str, Any], language: str
) -> None:
    page = await opened(browser, site, "/terms", locale=language, **options)
    await check(page)
    await page.goto(f"{site.origin}/privacy")
    await check(page)
    await enter(page, site, language)
    made = await site.exports.ask("ada", 1, "e", "0" * 64)
    site.exports.kept = [
        replace(made, id=state.value, state=state, progress=40, expires_at=site.world.now)
        for state in ExportState
    ]
    for path in (
        "/account/data",
        "/account/restriction",
        "/account/privacy-choices",
        "/account/requests",
        "/account/delete",
        "/account/countries",
    ):
        await page.goto(f"{site.origin}{path}")
        for each in await page.locator("details > summary").all():
            await each.click()
        await check(page)
    site.world.history.update(site.documents.history)
    site.world.epochs.epoch += "+"
    await page.goto(f"{site.origin}/account")
    await expect(page).to_have_url(f"{site.origin}/account/terms?next=%2Faccount")
    await check(page)
    await page.locator("main button").click()
    await check(page)
    await page.context.close()


async def test_supervision_is_allowed_once_the_reason_is_given(
    browser: Browser, site: Site
) -> None:
    site.supervision.done = [
        Deed(site.world.now, actor, "", "c1", Mode.LISTEN, "word " * 60) for actor in Actor
    ]
    page = await opened(browser, site, "/sign-in", **WIDE_AND_NARROW[0])
    await enter(page, site, "de")
    await page.goto(f"{site.origin}/account/supervision")
    await check(page)
    await page.get_by_label("Einflüstern", exact=True).check()
    await page.get_by_label("Ohne Ton", exact=True).check()
    await page.get_by_role("button", name="Speichern").click()
    # Read first, and from there one comes to the field.
    await expect(page.get_by_role("alert")).to_be_focused()
    await check(page)
    await page.get_by_role("alert").get_by_role("link").click()
    await expect(page.get_by_label("Warum ohne Ton")).to_be_focused()
    await page.get_by_label("Warum ohne Ton").fill("alle wissen es")
    await page.get_by_role("button", name="Speichern").click()
    await expect(page.get_by_role("status")).to_contain_text("Das gilt ab jetzt.")
    assert site.supervision.now == Rule(Mode.WHISPER, "alle wissen es")
    # Who proves in another window who they are finds all that they have typed.
    site.world.later(minutes=10)
    await page.get_by_label("Übernehmen", exact=True).check()
    await page.get_by_role("button", name="Speichern").click()
    await expect(page.get_by_role("alert")).to_contain_text("in einem anderen Fenster")
    await expect(page.get_by_label("Übernehmen", exact=True)).to_be_checked()
    await check(page)
    await page.context.close()


async def test_a_country_that_was_opened_can_be_closed(browser: Browser, site: Site) -> None:
    page = await opened(browser, site, "/sign-in", **WIDE_AND_NARROW[0])
    await enter(page, site, "en")
    await page.goto(f"{site.origin}/account/countries")
    await page.get_by_role("combobox").select_option("FR")
    await page.locator("main form button").first.click()
    await expect(page.get_by_role("status")).to_contain_text("You can call there from now on.")
    await check(page)
    await page.context.close()


async def test_a_restriction_begins_and_ends_by_keyboard_without_script(
    browser: Browser, site: Site
) -> None:
    site.world.add()
    page = await opened(browser, site, "/sign-in", java_script_enabled=False)
    await page.get_by_label("E-mail address").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await page.get_by_role("link", name="Your data", exact=True).click()
    await page.get_by_role("link", name="What a restriction means").press("Enter")
    await page.get_by_role("button", name="Keep my data, but do not use them").press("Enter")
    status = page.get_by_role("status")
    await expect(status).to_have_text("From now on your data are kept but not used.")
    site.world.epochs.epoch += "+"
    await page.get_by_role("link", name="Back to your account").click()
    await expect(
        page.get_by_role("heading", name="Your data are kept but not used")
    ).to_be_visible()
    await page.get_by_role("link", name="What you can still do, and how to end it").press("Enter")
    await page.get_by_role("button", name="End the restriction").press("Enter")
    await expect(status).to_have_text("The restriction has ended.")
    assert site.world.people.holders["ada"].choices.restricted_at is None
    await page.context.close()
