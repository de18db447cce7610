"""The phone of whoever is signed in: no key, and no link's key unasked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.web.conftest import async_fixture, open_page
from tests.web.fake_gateway import ECHO, OTHER_KEY, FakeGateway, until

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


async def test_a_session_that_ends_leads_to_the_sign_in(
    signed_in: Page, gateway: FakeGateway
) -> None:
    await expect(signed_in.locator("footer")).to_contain_text("ada")
    gateway.sessions.clear()
    await signed_in.get_by_role("textbox").fill(ECHO)
    await signed_in.keyboard.press("Enter")
    link = signed_in.get_by_role("link", name="Sign in, if you have an account")
    await expect(link).to_have_attribute("href", "sign-in")


async def test_where_nobody_is_signed_in_a_key_is_asked_for(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, _ = await open_page(browser, gateway, key=None)
    await expect(page.get_by_label("API key")).to_be_focused()
    await expect(page.get_by_role("link", name="Sign in, if you have an account")).to_be_visible()
    await page.context.close()
