"""What stands beside a call: the test of the line, the sound settings, and how good the line is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.web.conftest import open_page
from tests.web.fake_gateway import ECHO, FakeGateway, until
from tests.web.test_phone import alert, button, dial, heard, status

pytestmark = pytest.mark.asyncio(loop_scope="session")


def panel(page: Page, name: str) -> Any:
    """An opened tool."""
    return page.locator(f"caller-{name}")


async def checked(page: Page) -> Any:
    """Run the test of the line; return where its outcome is read out."""
    await button(page, "Test my line").click()
    await button(page, "Start the test").click()
    return panel(page, "line-check").get_by_role("status")


async def test_line_is_tested_before_a_call(page: Page, gateway: FakeGateway) -> None:
    outcome = await checked(page)
    await expect(outcome).to_have_text("Speak now: you hear your own voice.")
    await expect(page.get_by_role("progressbar")).to_be_visible()
    await expect(outcome).to_contain_text("Good Calls will sound good from here.")
    await expect(outcome).to_contain_text("WebSocket · 12 ms round trip · 0 % lost")
    assert gateway.line.start == {"type": "start", "version": 1, "token": "check_1"}
    assert gateway.token_requests == []
    await until(lambda: not page.workers)
    live = (
        "() => opened.streams.flatMap((s) => s.getTracks()).filter((t) => t.readyState === 'live')"
    )
    assert await page.evaluate(f"({live})().length") == 0
    await expect(button(page, "Test again")).to_be_enabled()
    await dial(page, gateway)


async def test_line_is_tested_by_webrtc_where_that_is_taken(
    page: Page, gateway: FakeGateway
) -> None:
    gateway.webrtc = True
    await checked(page)
    await until(lambda: gateway.lines and gateway.line.peer.selected)
    assert gateway.line.peer.frames >= 0


async def test_faint_microphone_is_advised(page: Page, gateway: FakeGateway) -> None:
    gateway.check_verdict = {"level_dbov": -60}
    outcome = await checked(page)
    await expect(outcome).to_contain_text("Your microphone is very quiet.")


async def test_bad_line_is_advised_in_german(browser: Browser, gateway: FakeGateway) -> None:
    gateway.check_verdict = {"verdict": "poor", "message": "Bad.", "action": "Act.", "rtt_ms": None}
    page, faults = await open_page(browser, gateway, locale="de-DE")
    await button(page, "Leitung testen").click()
    await button(page, "Test beginnen").click()
    outcome = panel(page, "line-check").get_by_role("status")
    await expect(outcome).to_contain_text("Versuchen Sie ein anderes Netz")
    assert faults.texts == []
    await page.context.close()


async def test_test_that_fails_says_why(page: Page, gateway: FakeGateway) -> None:
    await page.route("**/v1/check-tokens", lambda route: route.abort())
    outcome = await checked(page)
    await expect(outcome).to_contain_text("The gateway does not answer.")


async def test_calling_ends_the_test(page: Page, gateway: FakeGateway) -> None:
    await checked(page)
    await until(lambda: gateway.lines)
    line = await dial(page, gateway)
    assert line.start["token"] == "token_1"
    await until(lambda: len(page.workers) == 1)


# What the page asks of the microphone, each time.
_ASKED = """
window.asked = [];
const askBrowser = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = (wanted) => {
  window.asked.push(JSON.parse(JSON.stringify(wanted.audio)));
  return askBrowser(wanted);
};
"""

_STORED = "() => localStorage.getItem('caller-sound')"


async def test_sound_is_chosen_before_a_call_and_kept(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, faults = await open_page(browser, gateway, script=_ASKED)
    await button(page, "Sound").click()
    noise = page.get_by_role("switch", name="Suppress noise")
    await expect(noise).to_be_checked()
    assert await page.evaluate(_STORED) is None
    await noise.press("Space")
    assert await page.evaluate(_STORED) is not None
    await dial(page, gateway)
    (asked,) = await page.evaluate("() => asked")
    assert asked["noiseSuppression"] == {"ideal": False}
    assert asked["echoCancellation"] == {"ideal": "all"}
    await button(page, "Hang up").click()
    await page.reload()
    await button(page, "Sound").click()
    await expect(page.get_by_role("switch", name="Suppress noise")).not_to_be_checked()
    assert faults.texts == []
    await page.context.close()


async def holds(element: Any, condition: str) -> None:
    """Wait until a condition of an element holds."""
    async with asyncio.timeout(10):
        while not await element.evaluate(condition):
            await asyncio.sleep(0.05)


async def test_the_microphone_is_tried_and_given_back(page: Page, gateway: FakeGateway) -> None:
    await button(page, "Sound").click()
    await button(page, "Play a test tone").click()
    listen = button(page, "Try the microphone")
    await listen.click()
    bar = page.get_by_role("img", name="Your microphone").locator("i")
    await holds(bar, "(bar) => Number(getComputedStyle(bar).getPropertyValue('--share')) > 0.2")
    await listen.click()
    await expect(bar).to_have_count(0)
    ended = "() => opened.streams.flatMap((s) => s.getTracks()).map((track) => track.readyState)"
    assert set(await page.evaluate(ended)) == {"ended"}
    given_back = "() => opened.contexts.every(({ state }) => state === 'closed')"
    await holds(page.locator("body"), given_back)


@pytest.mark.parametrize("webrtc", [False, True])
async def test_sound_is_changed_in_the_call(
    browser: Browser, gateway: FakeGateway, webrtc: bool
) -> None:
    gateway.webrtc = webrtc
    page, faults = await open_page(browser, gateway, script=_ASKED)
    line = await dial(page, gateway)
    if webrtc:
        await until(lambda: line.peer.selected)
    await button(page, "Sound").click()
    picker = page.get_by_label("Microphone")
    await expect(picker.get_by_role("option")).not_to_have_count(1)
    chosen = await picker.get_by_role("option").nth(1).get_attribute("value")
    await picker.select_option(chosen)
    await page.wait_for_function("() => asked.length === 2")
    assert (await page.evaluate("() => asked"))[1]["deviceId"] == {"ideal": chosen}
    await expect(page.get_by_label("Speaker")).to_be_visible()
    if webrtc:
        before = line.peer.frames
        await until(lambda: line.peer.frames > before + 50)
    else:
        assert len(set(await heard(line, 50))) > 1
    await expect(status(page)).to_have_text("In call")
    assert faults.texts == []
    await page.context.close()


async def test_quality_is_shown_and_spoken_only_when_it_changes(
    page: Page, gateway: FakeGateway
) -> None:
    line = await dial(page, gateway)
    spoken = page.locator("caller-in-call p.hidden[role=status]")
    await expect(spoken).to_be_empty()
    await line.sample(4.3)
    await expect(spoken).to_have_text("Line: Good, by WebSocket")
    await expect(page.locator("caller-in-call dl")).to_contain_text("WebSocket · 34 ms")
    await page.evaluate(
        """() => {
          window.spoken = 0;
          const line = document.querySelector('caller-app').shadowRoot.querySelector('caller-phone')
            .shadowRoot.querySelector('caller-in-call').shadowRoot.querySelector('caller-call-facts')
            .shadowRoot.querySelector('p.hidden');
          new MutationObserver(() => window.spoken++)
            .observe(line, { subtree: true, childList: true, characterData: true });
        }"""
    )
    for rtt_ms in range(35, 45):
        await line.sample(4.2, rtt_ms=rtt_ms)
    await expect(page.locator("caller-in-call dl")).to_contain_text("44 ms")
    assert await page.evaluate("() => spoken") == 0
    await line.sample(2.0, times=3)
    await expect(spoken).to_have_text("Line: Poor, by WebSocket")


async def test_warning_says_what_to_do(page: Page, gateway: FakeGateway) -> None:
    line = await dial(page, gateway)
    await line.send("warning", name="high-rtt", message="The connection answers slowly.")
    warning = page.locator("caller-in-call .alert[role=status]")
    await expect(warning).to_have_text(
        "The connection answers slowly. Move closer to the Wi-Fi or use a cable; "
        "stop other uses of the network."
    )
    await line.send("warning-cleared", name="high-rtt")
    await expect(warning).to_have_count(0)


async def test_warning_is_read_in_german(browser: Browser, gateway: FakeGateway) -> None:
    page, _ = await open_page(browser, gateway, locale="de-DE")
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await until(lambda: gateway.lines)
    await gateway.line.send("warning", name="high-jitter", message="English words.")
    await expect(page.get_by_text("Wörter können abgehackt klingen.")).to_be_visible()
    await expect(alert(page)).to_be_empty()
    await page.context.close()
