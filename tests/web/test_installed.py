"""The phone as a program of its own: links of numbers, no network, a call in the tab's title."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.async_api import Browser, Error, Page, expect

from gateway.http.site.branding import Branding
from gateway.http.site.rendering import Pages
from tests.calls.world import eventually
from tests.web.conftest import open_page
from tests.web.fake_gateway import ECHO, KEY, FakeGateway, running, until
from tests.web.test_accessibility import check
from tests.web.test_phone import button, dial, status
from tests.web.test_signed_in import sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHOWN = "+1 500 555 1000"
INSTALL = """async () => {
  dispatchEvent(new Event('appinstalled'));
  const found = await navigator.serviceWorker.getRegistration();
  return found?.active?.state === 'activated';
}"""
"""Told until somebody listens: what does so is loaded after all that is shown."""


def field(page: Page) -> Any:
    """The field for the number."""
    return page.get_by_role("textbox", name="Phone number")


async def test_number_of_a_link_is_shown_priced_and_never_dialled_by_itself(
    page: Page, gateway: FakeGateway
) -> None:
    await expect(field(page)).to_have_value("")
    await page.evaluate("location.hash = 'to=tel:+15005551000'")
    await expect(field(page)).to_have_value(SHOWN)
    await expect(page.locator("caller-dialler")).to_contain_text("$0.0130/min")
    assert page.url == f"{gateway.origin}/"
    assert gateway.token_requests == []
    await page.keyboard.press("Enter")
    await until(lambda: gateway.token_requests != [])
    assert gateway.token_requests[0]["destination"] == ECHO


@pytest.mark.parametrize("address", ["?to=%2B15005551000#key={key}", "#key={key}&to=+15005551000"])
async def test_number_that_comes_with_the_page_leaves_the_address_at_once(
    browser: Browser, gateway: FakeGateway, address: str
) -> None:
    page, faults = await open_page(browser, gateway, key=None)
    await page.goto("about:blank")
    await page.goto(f"{gateway.origin}/{address.format(key=KEY)}")
    await expect(field(page)).to_have_value(SHOWN)
    assert page.url == f"{gateway.origin}/"
    assert gateway.token_requests == faults.texts == []
    await page.context.close()


async def test_number_waits_until_it_is_known_whose_phone_it_is(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, _ = await open_page(browser, gateway, key=None)
    await page.evaluate("location.hash = 'to=%2B15005551000'")
    await page.wait_for_url(f"{gateway.origin}/")
    await page.get_by_label("API key").fill(KEY)
    await page.keyboard.press("Enter")
    await expect(field(page)).to_have_value(SHOWN)
    await page.context.close()


async def test_who_is_new_goes_to_where_the_service_says_what_it_is(
    browser: Browser, built_pages: object
) -> None:
    async with running(FakeGateway(site=Pages(Branding("Exämple")))) as gateway:
        page, _ = await open_page(browser, gateway, key=None)
        await page.wait_for_url(f"{gateway.origin}/welcome")
        # Whoever has a key asks for the phone itself.
        await page.goto(f"{gateway.origin}/phone#to=%2B15005551000")
        await page.get_by_text("Use an API key instead").click()
        await page.get_by_label("API key").fill(KEY)
        await page.keyboard.press("Enter")
        await expect(field(page)).to_have_value(SHOWN)
        assert page.url == f"{gateway.origin}/phone"
        # What was given there stays with the tab.
        await page.goto(gateway.origin)
        await expect(field(page)).to_be_visible()
        await page.context.close()


async def test_number_of_a_link_waits_for_who_has_to_sign_in_first(
    browser: Browser, built_pages: object
) -> None:
    async with running(FakeGateway(site=Pages(Branding("Exämple")))) as gateway:
        context = await browser.new_context(locale="en-US")
        page = await context.new_page()
        await page.goto(f"{gateway.origin}/#to=%2B15005551000")
        await expect(page.get_by_role("link")).to_have_attribute("href", "sign-in?next=%2F")
        assert page.url == f"{gateway.origin}/"
        await sign_in(page, gateway)
        await page.goto(gateway.origin)
        await expect(field(page)).to_have_value(SHOWN)
        await context.close()


async def test_who_asks_while_the_gateway_cannot_answer_is_sent_nowhere(
    browser: Browser, built_pages: object
) -> None:
    async with running(FakeGateway(site=Pages(Branding("Exämple")))) as gateway:
        context = await browser.new_context(locale="en-US")
        page = await context.new_page()
        await page.route("**/v1/key", lambda route: route.fulfill(status=503))
        await page.goto(gateway.origin)
        await expect(page.get_by_label("API key")).to_be_visible()
        assert page.url == f"{gateway.origin}/"
        await context.close()


async def test_number_waits_while_a_call_goes_on(page: Page, gateway: FakeGateway) -> None:
    line = await dial(page, gateway)
    await page.evaluate("location.hash = 'to=%2B442079460018'")
    await page.wait_for_url(f"{gateway.origin}/")
    await line.end()
    await expect(field(page)).to_have_value("+44 20 7946 0018")
    assert len(gateway.lines) == 1


async def test_tab_says_how_long_the_call_has_lasted_and_with_whom(
    page: Page, gateway: FakeGateway
) -> None:
    before = await page.title()
    line = await dial(page, gateway)
    await expect(page).to_have_title(re.compile(rf"^0:\d\d · {re.escape(SHOWN)}$"))
    await line.end()
    await expect(page).to_have_title(before)


SESSION = """
navigator.mediaSession.setActionHandler = (name, act) => (window[name] = act);
navigator.mediaSession.setMicrophoneActive = async (active) => (window.active = active);
"""


async def test_browsers_controls_mute_and_hang_up(browser: Browser, gateway: FakeGateway) -> None:
    page, _ = await open_page(browser, gateway, script=SESSION)
    await dial(page, gateway)
    await page.evaluate("togglemicrophone()")
    await expect(button(page, "Mute")).to_have_attribute("aria-pressed", "true")
    assert await page.evaluate("active") is False
    await page.evaluate("hangup()")
    await until(lambda: gateway.line.of_type("hangup") != [])
    await expect(button(page, "Call")).to_be_visible()
    assert await page.evaluate("[hangup, togglemicrophone]") == [None, None]
    await page.context.close()


_SMALL_WINDOWS = (
    "window.documentPictureInPicture ??= { requestWindow: async () => window.open('about:blank') };"
)
"""For a browser without windows, which has no small ones either."""


async def test_a_call_in_a_small_window_mutes_hangs_up_and_closes_with_it(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, faults = await open_page(browser, gateway, script=_SMALL_WINDOWS)
    line = await dial(page, gateway)
    async with page.context.expect_page() as opening:
        await button(page, "Show in a small window").click()
    small = await opening.value
    await expect(small.get_by_role("timer")).to_have_text(re.compile(r"^0:\d\d$"))
    await expect(small.locator("body")).to_contain_text("+1 500 555 1000")
    ground = "(e) => getComputedStyle(e).backgroundColor"
    await expect(button(small, "Mute")).to_have_attribute("aria-pressed", "false")
    await button(small, "Mute").click()
    await expect(status(page)).to_have_text("In call, muted")
    await expect(button(small, "Mute")).to_have_attribute("aria-pressed", "true")
    assert await button(small, "Hang up").evaluate(ground) != "rgba(0, 0, 0, 0)"
    await button(small, "Hang up").click()
    await until(lambda: line.of_type("hangup"))
    await until(small.is_closed)
    assert faults.texts == []
    await page.context.close()


async def test_links_of_numbers_are_opened_here_if_the_browser_is_asked(page: Page) -> None:
    await page.evaluate("navigator.registerProtocolHandler = (...given) => (window.given = given)")
    await button(page, "Open links of phone numbers here").click()
    scheme, address = await page.evaluate("given")
    assert scheme == "tel"
    assert address == f"{page.url}#to=%s"


async def test_a_browser_finds_nothing_wrong_with_what_is_to_be_installed(
    browser: Browser, built_pages: object
) -> None:
    async with running(FakeGateway(site=Pages(Branding("Exämple")))) as gateway:
        page, faults = await open_page(browser, gateway)
        devtools = await page.context.new_cdp_session(page)
        found = await devtools.send("Page.getAppManifest")
        assert found["errors"] == []
        manifest = json.loads(found["data"])
        assert manifest["name"] == "Exämple"
        for icon in manifest["icons"]:
            reply = await page.request.get(f"{gateway.origin}/{icon['src']}")
            assert reply.headers["content-type"] == icon["type"]
        assert faults.texts == []
        await page.context.close()


@pytest.mark.parametrize(
    ("locale", "title", "again"),
    [("de-DE", "Kein Netz", "Erneut versuchen"), ("es-MX", "Sin red", "Reintentar")],
)
async def test_an_installed_phone_says_that_there_is_no_network_and_opens_when_there_is(
    browser: Browser, gateway: FakeGateway, locale: str, title: str, again: str
) -> None:
    page, faults = await open_page(browser, gateway, locale=locale)
    await expect(page.get_by_role("textbox")).to_be_visible()
    registered = "navigator.serviceWorker.getRegistrations().then((all) => all.length)"
    assert await page.evaluate(registered) == 0
    await eventually(lambda: page.evaluate(INSTALL))
    assert await page.evaluate("caches.keys()") == []
    await page.context.set_offline(True)
    await page.reload()
    await expect(page).to_have_title(title)
    await expect(button(page, again)).to_be_visible()
    assert await page.evaluate("document.documentElement.lang") == locale[:2]
    await check(page)
    await page.context.set_offline(False)
    # By itself: the tab's key has been kept meanwhile.
    await expect(page.get_by_role("textbox")).to_be_visible()
    assert faults.texts == []
    await page.context.close()


async def test_the_worker_looks_at_the_phone_and_at_nothing_else(
    page: Page, gateway: FakeGateway
) -> None:
    await eventually(lambda: page.evaluate(INSTALL))
    await page.reload()
    await expect(field(page)).to_be_visible()
    assert await page.evaluate("navigator.serviceWorker.controller !== null")
    await page.context.set_offline(True)
    with pytest.raises(Error, match="ERR_INTERNET_DISCONNECTED"):
        await page.goto(f"{gateway.origin}/pay")
    await page.context.set_offline(False)
