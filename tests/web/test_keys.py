"""The key of a tab: what it may do is what is shown, and no link replaces it unasked."""

from __future__ import annotations

from functools import partial

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.web.conftest import open_page
from tests.web.fake_gateway import ECHO, KEY, OTHER_KEY, FakeGateway, past_call, top_up_offer, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


async def follow(page: Page, gateway: FakeGateway, key: str) -> Locator:
    """Follow a link with a key in this tab; return the question it may bring."""
    await page.evaluate("(link) => { location.href = link }", f"{gateway.origin}/#key={key}")
    await page.wait_for_function("() => location.hash === ''")
    return page.get_by_role("alertdialog")


async def test_a_link_replaces_no_key_unasked(page: Page, gateway: FakeGateway) -> None:
    await expect(page.locator("footer")).to_contain_text("alice")
    question = await follow(page, gateway, OTHER_KEY)
    await expect(question).to_contain_text("“mallory”")
    await expect(question).to_contain_text("“alice”")
    assert page.url == f"{gateway.origin}/"
    await page.keyboard.press("Enter")
    await expect(question).to_be_hidden()
    await page.reload()
    await expect(page.locator("footer")).to_contain_text("alice")
    assert {path for path, account in gateway.senders if account == "mallory"} == {"/v1/key"}
    assert not any("ck_" in address for address in gateway.addresses)


async def test_a_link_that_is_wanted_changes_the_account(page: Page, gateway: FakeGateway) -> None:
    await expect(page.locator("footer")).to_contain_text("alice")
    await follow(page, gateway, OTHER_KEY)
    await button(page, "Use the link’s key").click()
    await expect(page.locator("footer")).to_contain_text("mallory")
    await page.reload()
    await expect(page.locator("footer")).to_contain_text("mallory")


async def test_the_question_waits_until_the_call_is_over(page: Page, gateway: FakeGateway) -> None:
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await until(lambda: gateway.lines)
    question = await follow(page, gateway, OTHER_KEY)
    await expect(question).to_be_hidden()
    await gateway.line.end()
    await expect(question).to_be_visible()
    await button(page, "Stay").click()
    await expect(page.locator("footer")).to_contain_text("alice")


async def test_links_that_change_nothing_ask_nothing(page: Page, gateway: FakeGateway) -> None:
    await expect(page.locator("footer")).to_contain_text("alice")
    for key in (KEY, "nope"):
        question = await follow(page, gateway, key)
        await expect(question).to_be_hidden()
    question = await follow(page, gateway, "ck_wrong_but_well_formed")
    await expect(question).to_contain_text("was not accepted")
    await expect(button(page, "Use the link’s key")).to_be_hidden()
    await button(page, "Stay").click()
    await expect(question).to_be_hidden()
    await expect(page.locator("footer")).to_contain_text("alice")


async def test_a_link_replaces_a_key_that_is_no_good(page: Page, gateway: FakeGateway) -> None:
    """The operator has revoked a key and sends a link with another."""
    await expect(page.locator("footer")).to_contain_text("alice")
    del gateway.keys[KEY]
    await page.goto("about:blank")
    await page.goto(f"{gateway.origin}/#key={OTHER_KEY}")
    await expect(page.locator("footer")).to_contain_text("mallory")
    await expect(page.get_by_role("alertdialog")).to_be_hidden()


async def test_the_page_shows_what_the_key_may_do(browser: Browser, gateway: FakeGateway) -> None:
    gateway.calls = [past_call(ECHO, "2026-11-20T11:00:00Z", 7, 16)]
    gateway.phonebook = [{"number": ECHO, "label": "Echo"}]
    gateway.top_ups.offer = top_up_offer()
    paths = {
        "calls": {"/v1/phonebook"},
        "records": {"/v1/calls"},
        "payments": {"/v1/top-ups", "/v1/payments"},
        "account": {"/v1/account"},
    }
    for scope, wanted in paths.items():
        gateway.scopes = (scope,)
        gateway.senders.clear()
        page, faults = await open_page(browser, gateway)
        await expect(page.locator("footer")).to_contain_text("alice")
        locators = {
            "calls": page.get_by_label("Phone number"),
            "records": page.get_by_text("Recent calls"),
            "payments": page.get_by_role("button", name="Top up").first,
            "account": page.get_by_text("$5.00"),
        }
        await expect(locators[scope]).to_be_visible()
        for other, locator in locators.items():
            if other != scope:
                await expect(locator).to_be_hidden()
        is_told = page.get_by_text("may not place calls")
        await expect(is_told).to_be_visible(visible=scope != "calls")
        await expect(page.get_by_role("alert")).to_be_hidden()
        with_key = wanted | {"/v1/key"}
        await until(partial(_has_asked, gateway, with_key))
        assert _asked(gateway) == with_key
        assert faults.texts == []
        await page.context.close()


def _has_asked(gateway: FakeGateway, paths: set[str]) -> bool:
    return _asked(gateway) >= paths


def _asked(gateway: FakeGateway) -> set[str]:
    return {path for path, _ in gateway.senders}
