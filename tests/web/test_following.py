"""What the page shows follows what happens elsewhere, and no fault outlives its end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.web.conftest import open_page
from tests.web.fake_gateway import ECHO, FakeGateway, past_call, until
from tests.web.test_phone import alert, button, dial, status

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOLLOWED_MS = 15_000
"""A reading of a page on which nothing goes on, and some time for a busy machine."""


def live_call(seconds: int) -> dict[str, Any]:
    """Return the record of a call that goes on."""
    return {**past_call(ECHO, "2026-11-20T11:00:00Z", seconds, 16), "state": "live", "cause": None}


# -- what happens elsewhere ----------------------------------------------------------------------


async def test_a_call_from_elsewhere_is_seen_from_its_beginning_to_its_end(
    page: Page, gateway: FakeGateway
) -> None:
    await expect(page.get_by_text("Calls you make will appear here.")).to_be_visible()
    gateway.calls, gateway.balance = [live_call(4)], 4_500_000
    row = page.locator("caller-recent-calls li")
    await expect(row).to_contain_text("In progress", timeout=FOLLOWED_MS)
    await expect(page.get_by_text("Credit $4.50")).to_be_visible()
    gateway.calls, gateway.balance = [live_call(9)], 4_400_000
    await expect(row).to_contain_text("0:09")
    await expect(page.get_by_text("Credit $4.40")).to_be_visible()
    gateway.calls = [past_call(ECHO, "2026-11-20T11:00:00Z", 10, 16)]
    await expect(row).to_contain_text("Completed")


async def test_another_tab_learns_of_a_call_as_it_is_placed(
    page: Page, gateway: FakeGateway
) -> None:
    other = await page.context.new_page()
    await other.goto(f"{gateway.origin}/#key=ck_test_0123456789abcdef")
    await expect(other.get_by_text("Credit $5.00")).to_be_visible()
    await page.bring_to_front()
    # Its own readings are ten seconds apart: the first tab's word is quicker.
    await other.clock.install()
    await other.clock.pause_at(await other.evaluate("Date.now() + 1000"))
    before = _asked(gateway)
    await dial(page, gateway)
    gateway.calls = [live_call(1)]
    for _ in range(100):
        await other.clock.run_for(100)
        if await other.get_by_text("In progress").count():
            break
        await asyncio.sleep(0.05)
    await expect(other.get_by_text("In progress")).to_be_visible()
    assert _asked(gateway) > before


async def test_readings_are_few(page: Page, gateway: FakeGateway) -> None:
    await expect(page.get_by_text("Credit $5.00")).to_be_visible()
    before = _asked(gateway)
    # A tab that says all the time that something has changed, of this origin or a broken one.
    await page.evaluate(
        """async () => {
          const tabs = new BroadcastChannel('caller');
          for (let n = 0; n < 300; n++) {
            tabs.postMessage('');
            window.dispatchEvent(new Event('online'));
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
        }"""
    )
    # Half a second apart at the least; three seconds and what the machine adds.
    assert _asked(gateway) - before <= 16


def _asked(gateway: FakeGateway) -> int:
    return sum("v1/calls" in address for address in gateway.addresses)


# -- what is wrong now ---------------------------------------------------------------------------


async def test_being_offline_is_over_with_the_network(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, _ = await open_page(browser, gateway)
    await expect(page.get_by_text("Credit $5.00")).to_be_visible()
    await page.context.set_offline(True)
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    # Once, not here and there.
    await expect(alert(page)).to_have_count(1)
    await expect(alert(page)).to_contain_text("You are offline.")
    await expect(status(page)).to_have_text("No call was placed")
    gateway.balance = 3_000_000
    await page.context.set_offline(False)
    await expect(alert(page)).to_have_count(0)
    await expect(page.get_by_text("Credit $3.00")).to_be_visible()
    await expect(status(page)).to_have_text("Ready to call")
    await page.context.close()


async def test_a_call_lost_with_the_network_leaves_no_fault_behind(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, _ = await open_page(browser, gateway)
    await dial(page, gateway)
    await page.context.set_offline(True)
    gateway.cut()
    await expect(alert(page)).to_have_count(1)
    await expect(alert(page)).to_contain_text("The connection to the gateway was lost.")
    await page.context.set_offline(False)
    await dial(page, gateway)
    await expect(page.get_by_text("You are offline")).to_have_count(0)
    await button(page, "Hang up").click()
    await expect(status(page)).to_have_text("Call ended")
    await expect(page.get_by_text("You are offline")).to_have_count(0)
    await page.context.close()


async def test_a_gateway_that_is_back_is_noticed(browser: Browser, gateway: FakeGateway) -> None:
    page, _ = await open_page(browser, gateway)
    await expect(page.get_by_text("Credit $5.00")).to_be_visible()
    await page.route("**/v1/**", lambda route: route.abort())
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await expect(alert(page)).to_have_count(1)
    await expect(alert(page)).to_contain_text("The gateway does not answer.")
    await page.unroute("**/v1/**")
    await expect(alert(page)).to_have_count(0, timeout=FOLLOWED_MS)
    await expect(status(page)).to_have_text("Ready to call")
    await page.context.close()


async def test_a_gateway_that_restarts_is_said_once(browser: Browser, gateway: FakeGateway) -> None:
    page, _ = await open_page(browser, gateway)
    line = await dial(page, gateway)
    await page.route("**/v1/**", lambda route: route.abort())
    await line.end(502, "gateway", "The gateway is being restarted. Call again in a moment.")
    summary = page.locator("caller-phone .summary")
    await expect(summary).to_contain_text("The gateway is being restarted.")
    await asyncio.sleep(0.5)
    await expect(alert(page)).to_have_count(0)
    await page.unroute("**/v1/**")
    await expect(page.get_by_text("Credit $5.00")).to_be_visible()
    await page.context.close()


async def test_a_gateway_that_goes_only_after_its_drain_is_said_once(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, _ = await open_page(browser, gateway)
    line = await dial(page, gateway)
    await line.end(502, "gateway", "The gateway is being restarted. Call again in a moment.")
    summary = page.locator("caller-phone .summary")
    await expect(summary).to_contain_text("The gateway is being restarted.")
    # It has answered once more before it goes.
    await asyncio.sleep(0.5)
    refused = await away(page)
    assert refused
    await expect(alert(page)).to_have_count(0)
    await page.unroute("**/v1/**")
    await page.evaluate("() => window.dispatchEvent(new Event('online'))")
    await asyncio.sleep(0.5)
    await away(page)
    await expect(alert(page)).to_contain_text("The gateway does not answer.")
    await page.context.close()


async def away(page: Page) -> list[str]:
    """Let no request come through any more; return what was asked for."""
    refused: list[str] = []

    async def refuse(route: Route) -> None:
        refused.append(route.request.url)
        await route.abort()

    await page.route("**/v1/**", refuse)
    await page.evaluate("() => window.dispatchEvent(new Event('online'))")
    await until(lambda: refused)
    await asyncio.sleep(0.5)
    return refused


async def test_a_list_that_is_known_stays_while_the_gateway_is_away(
    browser: Browser, gateway: FakeGateway
) -> None:
    gateway.calls = [past_call(ECHO, "2026-11-20T11:00:00Z", 7, 16)]
    page, _ = await open_page(browser, gateway)
    row = page.locator("caller-recent-calls li")
    await expect(row).to_contain_text("Completed")
    await page.route("**/v1/**", lambda route: route.abort())
    await page.evaluate("() => window.dispatchEvent(new Event('online'))")
    await expect(alert(page)).to_contain_text("The gateway does not answer.")
    await expect(row).to_contain_text("Completed")
    await page.context.close()


# -- a key that is no good any more --------------------------------------------------------------


async def test_a_revoked_key_is_named_and_its_last_call_has_a_price(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, _ = await open_page(browser, gateway)
    line = await dial(page, gateway)
    await until(lambda: line.seconds >= 1)
    gateway.keys.clear()
    await line.end(504, "operator", "The call was ended by request.")
    await expect(alert(page)).to_contain_text("The API key is no longer accepted")
    await expect(page.get_by_label("API key")).to_be_visible()
    ended = page.locator("caller-key-form .summary")
    await expect(ended).to_contain_text("The call was ended by request.")
    await expect(ended).to_contain_text("$0.000")
    await page.context.close()


async def test_a_call_goes_on_whose_key_is_no_good_any_more(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, _ = await open_page(browser, gateway)
    line = await dial(page, gateway)
    before = len(gateway.addresses)
    gateway.keys.clear()
    await page.evaluate("() => window.dispatchEvent(new Event('online'))")
    await until(lambda: any("v1/key" in address for address in gateway.addresses[before:]))
    await asyncio.sleep(0.5)
    await expect(status(page)).to_have_text("In call")
    assert line.close_code is None
    await button(page, "Hang up").click()
    await expect(alert(page)).to_contain_text("The API key is no longer accepted")
    await page.context.close()


async def test_a_tab_that_was_opened_to_pay_says_that_nothing_was_paid(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, _ = await open_page(browser, gateway, key=None)
    await page.goto(f"{gateway.origin}/?top-up-cancelled=1")
    await expect(page.get_by_text("Nothing was paid. You can close this tab.")).to_be_visible()
    assert page.url == f"{gateway.origin}/"
    await button(page, "Open the phone here instead").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    await page.context.close()
