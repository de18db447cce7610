"""The button in a page of another site, on the real gateway, through the simulated carrier."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, FrameLocator, Page, expect

from tests.calls.test_buttons import Shop, shop_of
from tests.calls.world import Customer, World
from tests.e2e.phone_page import RAW, assert_heard, live_call
from tests.e2e.test_real_call import TAP
from tests.web.fake_embed import HostPages, hosting
from tests.web.speech import Samples

pytestmark = pytest.mark.asyncio(loop_scope="module")

ISOLATED = {
    "Content_Security_Policy": (
        "default-src 'self'; script-src 'self' {gateway}; frame-src {gateway}; style-src 'self'"
    ),
    "Cross_Origin_Embedder_Policy": "require-corp",
}
"""A page that allows no more than what docs/buttons.md asks for, and isolates itself."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("button-world"))
    world.start_carrier(ring_s="1")
    world.start_gateway()
    yield world
    world.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def pages(world: World) -> AsyncIterator[HostPages]:
    async with hosting(HostPages(world.base)) as pages:
        yield pages


@pytest_asyncio.fixture(loop_scope="module")
async def shop(world: World, caller: Customer, pages: HostPages) -> AsyncIterator[Shop]:
    # Its phone is the carrier's echo.
    async with shop_of(world, caller, origins=(pages.origin,)) as shop:
        yield shop


def note(faults: list[str], said: ConsoleMessage) -> None:
    """Note what went wrong; a page without an icon is as it should be."""
    if said.type == "error" and "favicon.ico" not in said.location["url"]:
        faults.append(said.text)


@contextlib.asynccontextmanager
async def visited(chromium: Browser, url: str) -> AsyncIterator[tuple[Page, list[str]]]:
    """Open a page; what the browser complained of is in the list."""
    context = await chromium.new_context(locale="en-US")
    await context.add_init_script(RAW + TAP)
    page, faults = await context.new_page(), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: note(faults, said))
    await page.goto(url)
    yield page, faults
    assert await context.cookies() == []
    await context.close()


def phone(page: Page) -> FrameLocator:
    """The phone in the page."""
    return page.frame_locator("caller-button iframe")


def pinned(gateway: str) -> tuple[str, str]:
    """Return path and integrity of the loader that is served now, as docs/buttons.md has them."""
    loader = httpx.get(f"{gateway}/embed/v1.js").content
    proof = base64.b64encode(hashlib.sha384(loader).digest()).decode()
    return f"/embed/v{hashlib.sha256(loader).hexdigest()[:8]}.js", f"sha384-{proof}"


def tag(key: str) -> str:
    """Return the button as its owner pastes it."""
    return f'<caller-button key="{key}" label="Call us"></caller-button>'


async def test_a_visitor_is_heard_at_the_phone_and_hears_it(
    chromium: Browser, shop: Shop, pages: HostPages, caller: Customer, speech: Samples
) -> None:
    script, integrity = pinned(pages.gateway)
    button = tag(shop.key)
    url = pages.add("/", button=button, script=script, integrity=integrity, **ISOLATED)
    async with visited(chromium, url) as (page, faults):
        await page.locator("caller-button button").click()
        await phone(page).get_by_role("button", name="Call now").click()
        status = phone(page).locator(".status")
        await expect(status).to_have_text("In call", timeout=15_000)
        call = await live_call(caller)
        await assert_heard(caller, call, speech)
        frame = page.frames[1]
        await frame.wait_for_function("() => window.played > 0.02")
        assert "$" not in await frame.inner_text("main")
        await phone(page).get_by_role("button", name="Hang up").click()
        await expect(status).to_have_text("Call ended")
        record = await caller.record(call["id"])
        assert record["ended_by"] == "caller"
        assert record["cost"]["micros"] > 0
        assert faults == []


_SEES_FOUR = """() => void (window.four = new Promise((seen) => {
  const look = () => document.querySelector('[role=timer]')?.textContent === '0:04'
    ? seen() : requestAnimationFrame(look);
  look();
}))"""
"""Looks at each picture that is drawn, as a second of the timer may pass between two questions."""


_LISTEN = """
window.told = [];
document.addEventListener('caller-ended', ({ detail, target }) => {
  const { outcome, seconds, cost } = detail;
  told.push({ outcome, seconds, cost, at: target.nodeName });
});
"""

_REMOVED = "document.querySelector('caller-button').remove()"
_FRAME = "document.querySelector('caller-button').shadowRoot.querySelector('iframe')"


@pytest.mark.parametrize(
    ("act", "at"),
    [
        ("hang up", "CALLER-BUTTON"),
        ("phone hangs up", "CALLER-BUTTON"),
        (_REMOVED, "#document"),
        ("document.querySelector('caller-button').close()", "CALLER-BUTTON"),
        (f"{_FRAME}.src = 'about:blank'", "CALLER-BUTTON"),
        ("document.body.innerHTML = ''", "#document"),
    ],
)
async def test_the_end_of_a_call_is_told_once_whatever_becomes_of_the_phone(
    chromium: Browser, shop: Shop, pages: HostPages, caller: Customer, act: str, at: str
) -> None:
    async with visited(chromium, pages.add("/ended", button=tag(shop.key))) as (page, _):
        await page.evaluate(_LISTEN)
        await page.locator("caller-button button").click()
        await phone(page).get_by_role("button", name="Call now").click()
        # Any second: one may pass between two looks.
        begun = re.compile(r"0:(?!00)\d\d")
        await expect(phone(page).locator("[role=timer]")).to_have_text(begun, timeout=15_000)
        call = await live_call(caller)
        if act == "hang up":
            await phone(page).get_by_role("button", name="Hang up").click()
        elif act == "phone hangs up":
            await caller.world.carrier_act(call["carrier_call_id"], action="hangup")
        else:
            await page.evaluate(act)
        await page.wait_for_function("() => told.length", timeout=5000)
        record = await caller.record(call["id"])
        [told] = await page.evaluate("() => told")
        assert (told["outcome"], told["cost"], told["at"]) == ("answered", None, at)
        # A second that has begun is charged.
        assert told["seconds"] in (record["seconds"] - 1, record["seconds"])
        assert await page.locator("caller-button[live]").count() == 0


async def test_what_ends_before_the_answer_is_told_as_well(
    chromium: Browser, shop: Shop, pages: HostPages
) -> None:
    async with visited(chromium, pages.add("/ringing", button=tag(shop.key))) as (page, _):
        await page.evaluate(_LISTEN)
        await page.locator("caller-button button").click()
        await phone(page).get_by_role("button", name="Call now").click()
        await expect(phone(page).locator(".status")).to_have_text("Ringing…", timeout=15_000)
        await page.evaluate(_REMOVED)
        said = {"outcome": "cancelled", "seconds": 0, "cost": None, "at": "#document"}
        assert await page.evaluate("() => told") == [said]


async def test_the_page_of_its_own_speaks_the_same_and_shows_its_code(
    chromium: Browser, shop: Shop
) -> None:
    url = f"{shop.world.base}/c/{shop.button.test_key}"
    async with visited(chromium, url) as (page, faults):
        await expect(page.get_by_text("Test: you will hear yourself")).to_be_visible()
        await page.evaluate(_SEES_FOUR)
        await page.get_by_role("button", name="Call now").click()
        await expect(page.locator(".status")).to_have_text("In call", timeout=15_000)
        await page.wait_for_function("() => window.played > 0.02")
        # The gateway is heard from second to second, as in any call.
        async with asyncio.timeout(15):
            await page.evaluate("() => window.four")
        await expect(page.locator(".status")).to_have_text("In call")
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.locator(".status")).to_have_text("Call ended")
        code = await page.request.get(f"{url}/qr.svg")
        assert code.headers["content-type"] == "image/svg+xml"
        assert faults == []


async def test_a_page_that_is_not_on_the_list_gets_a_link(
    chromium: Browser, shop: Shop, pages: HostPages
) -> None:
    await shop.change(origins=("https://elsewhere.example",))
    async with visited(chromium, pages.add("/not-listed", button=tag(shop.key))) as (page, faults):
        await page.locator("caller-button button").click()
        link = page.get_by_role("link", name="Call us")
        await expect(link).to_be_focused()
        assert (await link.get_attribute("href") or "").startswith(f"{pages.gateway}/c/{shop.key}")
        assert "frame-ancestors" in faults[0]


async def test_a_button_that_is_paused_says_so(
    chromium: Browser, shop: Shop, pages: HostPages
) -> None:
    await shop.pause()
    async with visited(chromium, pages.add("/paused", button=tag(shop.key))) as (page, _):
        await page.locator("caller-button button").click()
        await expect(phone(page).locator(".status")).to_have_text("No calls are taken right now")
