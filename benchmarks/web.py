"""Measures what people wait for in a browser, and what a button asks of a page.

`python -m benchmarks.web`: a real Chromium, a gateway and a simulated carrier as processes of their
own, the phone page, the pages of an account, and a page of another site with a button.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from playwright.async_api import Browser, Frame, Page, Request, expect
from rich.console import Console
from rich.table import Table

from benchmarks.speech import SPEECH_S, NoBrowserError, Watch, chromium, new_customer, running
from gateway.roles.newcomer import make_holder, make_link
from tests.calls.test_buttons import Shop, shop_of
from tests.calls.world import Customer
from tests.web.fake_embed import HostPages, hosting
from tests.web.speech import MICROPHONE_HZ, speech_like

CALL_MS_MAX, INTERACTIVE_MS_MAX, PAINT_MS_MAX = 400, 1_000, 1_000
PAGE_BYTES_MAX = 20_480
SLOWER = 4
"""Times that the processor of a phone is slower than this one."""
RUNS = 5
SPELL_S = 5.0
WARM_UP_S = 3.0
"""A browser's buffer settles within seconds of a call's beginning."""
PAINTED_MS = 300
"""After which a page is painted no larger."""
ANSWER_MS_MAX = 20_000
FAULTS_EXIT, UNABLE_EXIT = 1, 2

PAGES = (
    "/account",
    "/account/calls",
    "/account/credit",
    "/account/destinations",
    "/account/buttons",
    "/account/buttons/new",
    "/account/keys",
    "/account/security",
    "/account/devices",
    "/account/data",
)

# Notes in every frame what keeps its main thread, when somebody clicks, and what WebRTC there is.
OBSERVE = """
window.long = [];
new PerformanceObserver((list) => list.getEntries().forEach((task) => long.push(task.duration)))
  .observe({ type: 'longtask', buffered: true });
document.addEventListener('click', () => {
  window.clickedAt = performance.timeOrigin + performance.now();
}, { capture: true });
window.peers = [];
if (window.RTCPeerConnection) {
  const Peer = RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer {
    constructor(...given) {
      super(...given);
      peers.push(this);
    }
  };
}
"""
SOCKET_ONLY = "delete window.RTCPeerConnection;"
HEARD = """async () => {
  for (const peer of peers) {
    for (const row of (await peer.getStats()).values()) {
      if (row.type === 'inbound-rtp' && row.packetsReceived) return {
        delay: row.jitterBufferDelay, emitted: row.jitterBufferEmittedCount,
        concealed: row.concealedSamples };
    }
  }
  return null;
}"""
BUSY = """() => setInterval(() => {
  for (const until = performance.now() + 150; performance.now() < until;);
}, 200)"""
"""Three quarters of the time: the next turn is due 200 ms after the last began."""
# Until somebody could type or press: looked for in each frame that is drawn.
INTERACTIVE = """
const within = (root, css) => root.querySelector(css) ?? [...root.querySelectorAll('*')]
  .map(({ shadowRoot }) => shadowRoot && within(shadowRoot, css)).find((found) => found);
const look = () => {
  const found = document.body && within(document, 'CSS');
  if (found && !found.disabled && found.checkVisibility()) window.interactive = performance.now();
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
PAINT = f"""() => new Promise((done) => {{
  let waits = 0;
  new PerformanceObserver((list) => list.getEntries().forEach(({{ startTime }}) => {{
    clearTimeout(waits);
    waits = setTimeout(() => done(startTime), {PAINTED_MS});
  }})).observe({{ type: 'largest-contentful-paint', buffered: true }});
}})"""
KEPT = """async () => {
  try {
    return document.cookie.length + localStorage.length + sessionStorage.length
      + (await indexedDB.databases()).length + (await caches.keys()).length;
  } catch (error) {
    // A browser that keeps nothing for frames of other sites.
    if (error.name === 'SecurityError') return 0;
    throw error;
  }
}"""

BARE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Bare</title>
<style>body { font: 400 1rem/1.45 system-ui, sans-serif; }</style><button>Call</button></html>"""
"""What the phone page is compared with: nothing but a button in the same font."""


@dataclass(slots=True)
class Figures:
    """What was measured; durations in milliseconds."""

    to_carrier: list[float] = field(default_factory=list)
    """From the click to the carrier's having been asked for the call."""
    long_tasks: list[float] = field(default_factory=list)
    """Of the main thread of a page whose button calls, from its load to the hang-up."""
    left: int = 0
    """Cookies and anything else kept, and requests to third parties: by all of those calls."""
    heard: dict[str, Heard] = field(default_factory=dict)
    interactive: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    paints: dict[str, float] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    """Path -> bytes of the page, gzipped."""
    disturbed: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """How a call sounded while the page around it was quiet, or busy."""

    buffer_ms: float | None
    """Mean time in the browser's buffer; None by the socket, whose buffer is the page's own."""
    concealed_ms: float
    """Of the phone's voice, in the whole call."""
    jitter_ms_max: float
    """Of the caller's voice, as it arrives at the gateway."""


@asynccontextmanager
async def opened(browser: Browser, url: str, script: str = "") -> AsyncIterator[Page]:
    """Open a page in a context of its own."""
    context = await browser.new_context(locale="en-US")
    await context.add_init_script(script)
    page = await context.new_page()
    await page.goto(url)
    yield page
    await context.close()


@asynccontextmanager
async def in_call(page: Page) -> AsyncIterator[Frame]:
    """Call with the button of a page; give the phone's frame."""
    await page.locator("caller-button button").click()
    phone = page.frame_locator("caller-button iframe")
    await phone.get_by_role("button", name="Call now").click()
    status = phone.locator(".status")
    await expect(status).to_have_text("In call", timeout=ANSWER_MS_MAX)
    yield page.frames[1]
    await phone.get_by_role("button", name="Hang up").click()
    await expect(status).to_have_text("Call ended", timeout=ANSWER_MS_MAX)


async def call_of(customer: Customer) -> dict[str, Any]:
    """Return the newest call."""
    calls: list[dict[str, Any]] = (await customer.http.get("/v1/calls?limit=1")).json()["calls"]
    return calls[0]


async def clicks(browser: Browser, shop: Shop, url: str, runs: int, figures: Figures) -> None:
    """Call again and again, each time from a page that has just been opened."""
    homes = (shop.world.base, url)
    for _ in range(runs):
        async with opened(browser, "about:blank", OBSERVE) as page:
            asked: list[Request] = []

            # A function, as Playwright keeps something at each handler.
            def note(request: Request, asked: list[Request] = asked) -> None:
                asked.append(request)

            page.on("request", note)
            await page.goto(url)
            async with in_call(page) as frame:
                clicked_ms = await frame.evaluate("() => clickedAt")
                call = await call_of(shop.owner)
                path = f"/calls/{call['carrier_call_id']}"
                asked_ns = (await shop.world.carrier_get(path))["created_at_ns"]
                figures.to_carrier.append(asked_ns / 1e6 - clicked_ms)
            figures.long_tasks += await page.evaluate("() => long")
            kept = [await each.evaluate(KEPT) for each in page.frames]
            strangers = [each for each in asked if not each.url.startswith(homes)]
            figures.left += sum(kept) + len(await page.context.cookies()) + len(strangers)


async def sound(browser: Browser, shop: Shop, url: str, figures: Figures) -> None:
    """Listen to a call while its page is quiet and while it is busy, by each path."""
    for path, script in (("WebRTC", ""), ("WebSocket", SOCKET_ONLY)):
        for how, work in (("quiet", "() => {}"), ("busy", BUSY)):
            async with opened(browser, url, OBSERVE + script) as page:
                async with in_call(page) as frame:
                    await page.evaluate(work)
                    await asyncio.sleep(WARM_UP_S)
                    before = await frame.evaluate(HEARD)
                    await asyncio.sleep(SPELL_S)
                    after = await frame.evaluate(HEARD)
                    call = await call_of(shop.owner)
                record = await shop.owner.record(call["id"])
            buffer_ms = None
            if before and after:
                grown = {name: after[name] - before[name] for name in after}
                buffer_ms = 1000 * grown["delay"] / max(1, grown["emitted"])
            figures.heard[f"{path}, {how}"] = Heard(
                buffer_ms,
                record["carrier"]["concealed_ms"] or 0,
                record["browser"]["jitter_ms_max"] or 0,
            )


async def slow(browser: Browser, url: str, css: str, runs: int) -> list[float]:
    """Return how long it takes on a slow processor until this can be used; nothing is cached."""
    found = []
    for _ in range(runs):
        async with opened(browser, "about:blank", INTERACTIVE.replace("CSS", css)) as page:
            session = await page.context.new_cdp_session(page)
            await session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
            await page.goto(url)
            await page.wait_for_function("() => window.interactive")
            found.append(await page.evaluate("() => interactive"))
    return found


async def account_pages(browser: Browser, customer: Customer, figures: Figures) -> None:
    """Sign in, and look at each page of the account."""
    secret = secrets.token_urlsafe(32)
    async with customer.world.stores() as stores:
        await make_holder(stores.engine, customer.account_id, secrets.token_urlsafe(), "en")
        await make_link(stores.engine, customer.account_id, secret)
    base = customer.world.base
    async with opened(browser, f"{base}/l/{secret}") as page:
        await page.get_by_role("button").first.click()
        await page.wait_for_url(f"{base}/")
        for path in PAGES:
            reply = await page.goto(base + path)
            if reply is None or reply.status != 200 or not page.url.endswith(path):
                status = None if reply is None else reply.status
                raise RuntimeError(f"{path} led to {page.url}: {status}")
            figures.paints[path] = await page.evaluate(PAINT)
            figures.sizes[path] = len(gzip.compress(await reply.body()))


async def measure(runs: int) -> Figures:
    """Measure everything. Raises NoBrowserError."""
    figures, watch = Figures(), Watch()
    watch.start()
    async with (
        chromium(speech_like(SPEECH_S, MICROPHONE_HZ)) as browser,
        running() as world,
        new_customer(world) as customer,
        hosting(HostPages(world.base)) as pages,
        shop_of(world, customer, origins=(pages.origin,), calls_at_once=10) as shop,
    ):
        button = f'<caller-button key="{shop.key}" label="Call us"></caller-button>'
        url = pages.add("/", button=button)
        pages.pages["/bare"] = (BARE, {})
        await clicks(browser, shop, url, runs, figures)
        await sound(browser, shop, url, figures)
        figures.interactive = await slow(
            browser, f"{world.base}/#key={customer.key}", "#number", runs
        )
        figures.bare = await slow(browser, f"{pages.origin}/bare", "button", runs)
        await account_pages(browser, customer, figures)
    figures.disturbed = watch.is_disturbed()
    return figures


def conclude(figures: Figures) -> Table:
    """Return what was found beside what was asked for."""
    missed = "unsure" if figures.disturbed else "MISSED"
    table = Table(title=f"Medians of {len(figures.to_carrier)}")
    for name in ("", "found", "at most", ""):
        table.add_column(name, justify="right" if name else "left")

    def row(what: str, found: float, most: float | None = None, *, sure: bool = False) -> None:
        verdict = "" if most is None else "kept" if found <= most else "MISSED" if sure else missed
        table.add_row(what, f"{found:.0f}", "" if most is None else f"{most:.0f}", verdict)

    row("click to carrier asked, ms", median(figures.to_carrier), CALL_MS_MAX)
    row("long tasks of the page around, number", len(figures.long_tasks))
    row("the longest of them, ms", max(figures.long_tasks, default=0))
    row("kept in the browser, and third parties asked", figures.left, 0, sure=True)
    for how, heard in figures.heard.items():
        if heard.buffer_ms is not None:
            row(f"{how}: buffered, ms", heard.buffer_ms)
        row(f"{how}: concealed in the call, ms", heard.concealed_ms)
        row(f"{how}: jitter of the caller's voice, at most, ms", heard.jitter_ms_max)
    row(f"phone interactive, {SLOWER}x slower, ms", median(figures.interactive), INTERACTIVE_MS_MAX)
    row("a bare page with a button, the same, ms", median(figures.bare))
    times = median(figures.interactive) / median(figures.bare)
    table.add_row("the phone, in bare pages", f"{times:.1f}", "", "")
    slowest = max(figures.paints, key=lambda path: figures.paints[path])
    row(f"largest paint of {slowest}, ms", figures.paints[slowest], PAINT_MS_MAX)
    largest = max(figures.sizes, key=lambda path: figures.sizes[path])
    row(f"bytes of {largest}, gzipped", figures.sizes[largest], PAGE_BYTES_MAX, sure=True)
    table.caption = "Other work kept the machine busy." if figures.disturbed else ""
    return table


def is_faulty(figures: Figures) -> bool:
    """Whether something is wrong that no busy machine explains."""
    return figures.left > 0 or max(figures.sizes.values()) > PAGE_BYTES_MAX


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.web",
        description=__doc__,
        epilog="Exit code 1: a button left something in the browser, asked a third party, or a "
        "page is too large. 2: the benchmark cannot run here.",
    )
    parser.add_argument("--runs", type=int, default=RUNS, help=f"of each measurement ({RUNS})")
    options = parser.parse_args(arguments)
    try:
        figures = asyncio.run(measure(options.runs))
    except NoBrowserError as error:
        print(error)
        return UNABLE_EXIT
    Console(width=110).print(conclude(figures))
    return FAULTS_EXIT if is_faulty(figures) else 0


if __name__ == "__main__":
    sys.exit(main())
