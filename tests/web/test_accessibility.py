"""The page for everybody: axe's rules, narrow screens, large targets, motion, forced colours."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.web.conftest import open_page
from tests.web.fake_gateway import ECHO, FakeGateway, past_call

pytestmark = pytest.mark.asyncio(loop_scope="session")

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
TARGET_PX = 44
"""Side of the smallest control; WCAG 2.2 AA (2.5.8) asks 24, AAA (2.5.5) 44."""

_SMALL_TARGETS = """(least) => {
  const controls = (root) => [...root.querySelectorAll('*')].flatMap((element) => [
    ...(element.matches('button, input, select, a[href]') ? [element] : []),
    ...(element.shadowRoot ? controls(element.shadowRoot) : []),
  ]);
  return controls(document)
    .filter((control) => {
      const { width, height } = control.getBoundingClientRect();
      return width < least || height < least;
    })
    .map((control) => control.outerHTML);
}"""

SIDEWAYS = "() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"


async def check(page: Page) -> None:
    """Fail on anything axe finds, on sideways scrolling and on small targets."""
    results = await Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert results.violations_count == 0, results.generate_report()
    assert await page.evaluate(SIDEWAYS) == 0
    assert await page.evaluate(_SMALL_TARGETS, TARGET_PX) == []


def furnish(gateway: FakeGateway) -> None:
    """Give the page all it can show."""
    gateway.phonebook = [
        {"number": ECHO, "label": "Echo"},
        {"number": "+15005551001", "label": "A label as long as operators write"},
    ]
    gateway.calls = [
        past_call("+442079460018", "2026-11-20T11:00:00Z", 3725, 16),
        past_call(ECHO, "2026-11-20T10:30:00Z", 0, 17),
    ]


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_state_is_accessible(
    browser: Browser, gateway: FakeGateway, width: int, scheme: Literal["light", "dark"]
) -> None:
    furnish(gateway)
    options: dict[str, Any] = {
        "viewport": {"width": width, "height": 800},
        "color_scheme": scheme,
        "reduced_motion": "reduce",
    }
    page, faults = await open_page(browser, gateway, **options)
    await expect(page.locator("caller-recent-calls li").first).to_be_visible()
    await check(page)
    await page.get_by_role("button", name="Test my line").click()
    await page.get_by_role("button", name="Start the test").click()
    await expect(page.get_by_text("Speak now")).to_be_visible()
    await check(page)
    await expect(page.get_by_text("Calls will sound good from here.")).to_be_visible()
    await check(page)
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Keypad").click()
    await page.get_by_role("button", name="Mute").click()
    await gateway.line.sample(2.0)
    await expect(page.locator("caller-in-call .bars.poor")).to_be_visible()
    await gateway.line.send("credit-warning", seconds_left=10, cause="credit")
    await expect(page.get_by_text("This call ends in 10 seconds")).to_be_visible()
    await gateway.line.send("warning", name="x", message="A warning of the gateway.")
    await expect(page.get_by_text("A warning of the gateway.")).to_be_visible()
    await check(page)
    await page.get_by_role("button", name="Sound", exact=True).click()
    await expect(page.get_by_role("switch")).to_have_count(3)
    await check(page)
    await gateway.line.socket.close(1011)
    await expect(page.get_by_text("Something failed at the gateway.")).to_be_visible()
    await check(page)
    await page.get_by_role("button", name="Forget the API key").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    await check(page)
    assert faults.texts == []
    await page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_way_back_is_accessible(
    browser: Browser, gateway: FakeGateway, scheme: Literal["light", "dark"]
) -> None:
    gateway.resume_seconds = 15
    options: dict[str, Any] = {"viewport": {"width": 360, "height": 800}, "color_scheme": scheme}
    page, _ = await open_page(browser, gateway, **options)
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status").first).to_have_text("In call")
    gateway.cut()
    await expect(page.get_by_role("status").first).to_contain_text("No connection.")
    await check(page)
    await expect(page.get_by_role("status").first).to_have_text("In call")
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await page.reload()
    await expect(page.get_by_role("button", name="Return to the call")).to_be_focused()
    await check(page)
    await page.context.close()


async def test_forced_colours_keep_edges_and_states(browser: Browser, gateway: FakeGateway) -> None:
    page, _ = await open_page(browser, gateway, forced_colors="active")
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    mute = page.get_by_role("button", name="Mute")
    hold = page.get_by_role("button", name="Hold")
    await mute.click()
    await expect(mute).to_have_attribute("aria-pressed", "true")
    edge = "(e) => getComputedStyle(e).borderTopColor"
    assert await hold.evaluate(edge) != "rgba(0, 0, 0, 0)"
    ground = "(e) => getComputedStyle(e).backgroundColor"
    assert await mute.evaluate(ground) != await hold.evaluate(ground)
    await page.context.close()


async def test_nothing_moves_for_those_who_ask(browser: Browser, gateway: FakeGateway) -> None:
    gateway.answers = False
    page, _ = await open_page(browser, gateway, reduced_motion="reduce")
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    pulse = page.locator("caller-in-call .pulse")
    assert await pulse.evaluate("(e) => getComputedStyle(e).animationName") == "none"
    await page.context.close()


async def test_status_is_announced_and_time_is_not(browser: Browser, gateway: FakeGateway) -> None:
    """A screen reader hears the phase; the ticking clock would drown everything else."""
    page, _ = await open_page(browser, gateway)
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status").first).to_have_text("In call")
    clock = page.get_by_role("timer")
    await expect(clock).to_be_visible()
    assert await clock.evaluate("(e) => e.closest('[aria-live], [role=status]')") is None
    await page.context.close()
