"""The phone of whoever is signed in: no key, and no link's key unasked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.http.site.branding import Branding
from gateway.http.site.rendering import Pages
from tests.web.conftest import async_fixture, open_page
from tests.web.fake_gateway import ECHO, KEY, OTHER_KEY, FakeGateway, running, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SESSION = "session-of-ada-0001"


async def sign_in(page: Page, gateway: FakeGateway) -> None:
    gateway.sessions[SESSION] = "ada"
    cookie = {"name": "caller", "value": SESSION, "url": gateway.origin, "httpOnly": True}
    await page.context.add_cookies([cookie])  # type: ignore[list-item]


@async_fixture
async def signed_in(browser: Browser, gateway: FakeGateway) -> AsyncIterator[Page]:
    """The phone without a key, in a browser that somebody is signed in with."""
    page, faults = await open_page(browser, gateway, key=None)
    await sign_in(page, gateway)
    await page.reload()
    yield page
    await page.context.close()
    assert faults.texts == []


async def test_who_is_signed_in_calls_without_a_key(signed_in: Page, gateway: FakeGateway) -> None:
    await expect(signed_in.locator("footer")).to_contain_text("ada")
    menu = signed_in.get_by_role("navigation", name="Your account")
    links = [await link.get_attribute("href") for link in await menu.get_by_role("link").all()]
    assert links == ["account", "account/calls", "account/credit"]
    await expect(signed_in.get_by_role("button", name="Forget the API key")).to_be_hidden()
    await signed_in.get_by_role("textbox").fill(ECHO)
    await signed_in.keyboard.press("Enter")
    await until(lambda: gateway.lines)
    assert {account for _, account in gateway.senders} == {"ada"}
    assert len(gateway.token_requests) == 1


async def test_a_link_brings_no_other_account_unasked(
    signed_in: Page, gateway: FakeGateway
) -> None:
    await expect(signed_in.locator("footer")).to_contain_text("ada")
    await signed_in.goto("about:blank")
    await signed_in.goto(f"{gateway.origin}/#key={OTHER_KEY}")
    question = signed_in.get_by_role("alertdialog")
    await expect(question).to_contain_text("“mallory”")
    await expect(question).to_contain_text("“ada”")
    await signed_in.get_by_role("button", name="Stay").click()
    await expect(question).to_be_hidden()
    await signed_in.reload()
    await expect(signed_in.locator("footer")).to_contain_text("ada")


async def test_a_link_that_is_wanted_is_taken(signed_in: Page, gateway: FakeGateway) -> None:
    await signed_in.goto("about:blank")
    await signed_in.goto(f"{gateway.origin}/#key={OTHER_KEY}")
    await signed_in.get_by_role("button", name="Use the link’s key").click()
    await expect(signed_in.locator("footer")).to_contain_text("mallory")


async def test_a_page_that_was_shown_to_another_account_places_no_call(
    signed_in: Page, gateway: FakeGateway
) -> None:
    await expect(signed_in.locator("footer")).to_contain_text("ada")
    gateway.sessions[SESSION] = "bob"
    gateway.senders.clear()
    await signed_in.get_by_role("textbox").fill(ECHO)
    await signed_in.keyboard.press("Enter")
    alert = signed_in.get_by_role("alert")
    await expect(alert).to_contain_text("Nothing was done.")
    assert not gateway.lines
    assert not gateway.senders
    await signed_in.get_by_role("button", name="Reload the page").click()
    await expect(signed_in.locator("footer")).to_contain_text("bob")
    await signed_in.get_by_role("textbox").fill(ECHO)
    await signed_in.keyboard.press("Enter")
    await until(lambda: gateway.lines)
    assert {account for _, account in gateway.senders} == {"bob"}


async def test_a_call_goes_on_while_another_account_signs_in(
    signed_in: Page, gateway: FakeGateway
) -> None:
    await signed_in.get_by_role("textbox").fill(ECHO)
    await signed_in.keyboard.press("Enter")
    await until(lambda: gateway.lines)
    gateway.sessions[SESSION] = "bob"
    line = gateway.line
    await signed_in.get_by_role("button", name="Mute").click()
    await until(lambda: line.of_type("mute"))
    await expect(signed_in.get_by_text("somebody else")).to_have_count(0)
    await signed_in.get_by_role("button", name="Hang up").click()
    await expect(signed_in.get_by_role("alert")).to_contain_text("somebody else")


async def test_a_call_is_its_own_account_s_to_return_to_and_to_end(
    signed_in: Page, gateway: FakeGateway
) -> None:
    gateway.resume_seconds = 60
    back = signed_in.get_by_role("button", name="Return to the call")
    signed_in.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await signed_in.get_by_role("textbox").fill(ECHO)
    await signed_in.keyboard.press("Enter")
    await until(lambda: gateway.lines)
    await expect(signed_in.locator("caller-phone .status")).to_have_text("In call")
    gateway.sessions[SESSION] = "bob"
    gateway.senders.clear()
    await signed_in.reload()
    await expect(signed_in.locator("footer")).to_contain_text("bob")
    await expect(back).to_have_count(0)
    await signed_in.get_by_role("textbox").fill("+15005551002")
    await signed_in.keyboard.press("Enter")
    await until(lambda: len(gateway.lines) == 2)
    await expect(signed_in.locator("caller-phone .status")).to_have_text("In call")
    await signed_in.get_by_role("button", name="Hang up").click()
    await expect(signed_in.locator("caller-phone .status")).to_have_text("Call ended")
    assert [line.start["type"] for line in gateway.lines] == ["start", "start"]
    assert {account for _, account in gateway.senders} == {"bob"}
    gateway.sessions[SESSION] = "ada"
    await signed_in.reload()
    await expect(back).to_be_visible()
    await expect(signed_in.get_by_role("alert")).to_contain_text("+1 500 555 1000")
    await back.click()
    await until(lambda: len(gateway.lines) == 3)
    assert gateway.line.start["type"] == "resume"
    assert gateway.line.start["token"] == "resume_1"


async def test_an_offer_to_return_goes_with_the_account_that_it_was_made_to(
    signed_in: Page, gateway: FakeGateway
) -> None:
    gateway.resume_seconds = 60
    signed_in.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await signed_in.get_by_role("textbox").fill(ECHO)
    await signed_in.keyboard.press("Enter")
    await until(lambda: gateway.lines)
    await expect(signed_in.locator("caller-phone .status")).to_have_text("In call")
    await signed_in.reload()
    await expect(signed_in.get_by_role("button", name="Return to the call")).to_be_visible()
    gateway.sessions[SESSION] = "bob"
    await expect(signed_in.get_by_role("button", name="Reload the page")).to_be_visible(
        timeout=20_000
    )
    await expect(signed_in.get_by_role("button", name="Return to the call")).to_have_count(0)
    await expect(signed_in.get_by_text("ada")).to_have_count(0)
    await expect(signed_in.locator("caller-credit")).to_have_count(0)
    await expect(signed_in.locator("caller-recent-calls")).to_have_count(0)


async def test_a_session_that_ends_leads_to_the_sign_in(
    signed_in: Page, gateway: FakeGateway
) -> None:
    await expect(signed_in.locator("footer")).to_contain_text("ada")
    gateway.sessions.clear()
    await signed_in.get_by_role("textbox").fill(ECHO)
    await signed_in.keyboard.press("Enter")
    link = signed_in.get_by_role("link", name="Sign in, if you have an account")
    await expect(link).to_have_attribute("href", "sign-in?next=%2F")
    await expect(signed_in.get_by_role("alert")).to_contain_text("You are signed out.")


async def test_where_people_have_accounts_whoever_is_signed_out_is_led_to_the_sign_in(
    browser: Browser, built_pages: object
) -> None:
    async with running(FakeGateway(site=Pages(Branding("Exämple")))) as gateway:
        page, _ = await open_page(browser, gateway, key=None)
        await page.wait_for_url(f"{gateway.origin}/welcome")
        await page.goto(f"{gateway.origin}/phone")
        heading, link = page.get_by_role("heading", level=2), page.get_by_role("link")
        for _ in range(2):
            await expect(heading).to_have_text("You are signed out.")
            await expect(link).to_be_focused()
            await expect(link).to_have_attribute("href", "sign-in?next=%2F")
            await expect(page.get_by_label("API key")).to_be_hidden()
            await sign_in(page, gateway)
            await page.goto(gateway.origin)
            await expect(page.locator("footer")).to_contain_text("ada")
            # Also where the session ends while the page is open, which stays and says so.
            gateway.sessions.clear()
            await page.get_by_role("textbox").fill(ECHO)
            await page.keyboard.press("Enter")
        await page.get_by_text("Use an API key instead").click()
        await page.get_by_label("API key").fill("no")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("does not look like an API key")
        await page.get_by_label("API key").fill("ck_wrong_key_0001")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("The API key was not accepted")
        await page.get_by_label("API key").fill(KEY)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("textbox")).to_be_visible()
        await page.context.close()


async def test_where_nobody_can_tell_nobody_is_told_to_be_signed_out(
    browser: Browser, built_pages: object
) -> None:
    async with running(FakeGateway(site=Pages(Branding("Exämple")))) as gateway:
        context = await browser.new_context(locale="en-US")
        page = await context.new_page()
        await page.route("**/v1/key", lambda route: route.fulfill(status=503))
        await page.goto(f"{gateway.origin}/phone")
        await expect(page.get_by_role("alert")).to_be_visible()
        await expect(page.get_by_text("signed out")).to_have_count(0)
        await context.close()


async def test_where_nobody_is_signed_in_a_key_is_asked_for(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, _ = await open_page(browser, gateway, key=None)
    await expect(page.get_by_label("API key")).to_be_focused()
    await expect(page.get_by_role("link", name="Sign in, if you have an account")).to_be_visible()
    await page.context.close()
