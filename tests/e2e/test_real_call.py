"""The phone page in a real browser, on the real gateway, through the simulated carrier.

What is said into the browser's microphone must be heard at the phone, and what the phone says must
be heard in the page.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.calls.world import Customer, World
from tests.e2e.phone_page import RAW, assert_heard, dial, live_call, phone_page, status
from tests.web.speech import Samples

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Taps what the page plays, as the loudspeaker would get it: by Web Audio, or by WebRTC.
TAP = """
window.played = 0;
const addTransceiver = RTCPeerConnection.prototype.addTransceiver;
RTCPeerConnection.prototype.addTransceiver = function (...kind) {
  const transceiver = addTransceiver.apply(this, kind);
  setInterval(async () => {
    for (const { audioLevel } of (await transceiver.receiver.getStats()).values()) {
      window.played = Math.max(window.played, audioLevel ?? 0);
    }
  }, 50);
  return transceiver;
};
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode) {
    const analyser = new AnalyserNode(this.context, { fftSize: 2048 });
    connect.call(this, analyser);
    const samples = new Float32Array(2048);
    setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      window.played = Math.max(window.played, Math.max(...samples.map(Math.abs)));
    }, 50);
  }
  return connect.call(this, target, ...rest);
};
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("browser-world"))
    world.start_carrier(ring_s="2")
    world.start_gateway()
    yield world
    world.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Browser, caller: Customer) -> AsyncIterator[Page]:
    async with phone_page(chromium, caller, RAW + TAP) as page:
        yield page


async def test_what_is_said_is_heard_at_the_phone(page: Page, caller: Customer, speech: Samples):
    await dial(page, "+15005551009")
    await expect(status(page)).to_have_text("In call", timeout=15_000)
    call = await live_call(caller)
    await assert_heard(caller, call, speech)
    await page.get_by_role("button", name="Hang up").click()
    await expect(status(page)).to_have_text(re.compile("ended|over", re.IGNORECASE))


async def test_a_newcomer_calls_listens_counts_presses_and_finds_the_call(
    page: Page, caller: Customer
):
    await dial(page, "+1 (500) 555-1001")
    await expect(status(page)).to_have_text(re.compile("ringing", re.IGNORECASE), timeout=10_000)
    await page.wait_for_function("() => window.played > 0.02")  # ringback
    await expect(status(page)).to_have_text("In call", timeout=15_000)
    await page.evaluate("() => { window.played = 0 }")
    await page.wait_for_function("() => window.played > 0.02")  # the phone's tone
    await expect(page.get_by_text(re.compile(r"^0:0[2-9]$"))).to_be_visible(timeout=15_000)
    await expect(page.get_by_text("$0.00").first).to_be_visible()
    await page.get_by_role("button", name="Keypad").click()
    await page.get_by_role("button", name="Key 5").click()
    await page.get_by_role("button", name="Mute").click()
    await expect(
        page.get_by_role("button", name=re.compile("mute", re.IGNORECASE))
    ).to_have_attribute("aria-pressed", "true")
    call = await live_call(caller)
    await page.get_by_role("button", name="Hang up").click()
    record = await caller.record(call["id"])
    assert record["ended_by"] == "caller"
    assert record["cost"]["micros"] > 0
    row = page.locator("caller-recent-calls, .recent, main").get_by_text("555 1001").first
    await expect(row).to_be_visible(timeout=10_000)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("+15005551004", "busy"),
        ("+15005551006", "cannot be reached|does not exist|failed"),
        ("+911", "emergency"),
        ("+1 900 555 1234", "premium"),
    ],
)
async def test_a_call_that_cannot_be_says_why(page: Page, number: str, words: str):
    await dial(page, number)
    await expect(page.get_by_text(re.compile(words, re.IGNORECASE)).first).to_be_visible(
        timeout=15_000
    )


async def test_the_end_of_credit_is_told(chromium: Browser, world: World):
    poor = await world.new_customer(credit_micros=3_000)
    page = await (await chromium.new_context(locale="en-US")).new_page()
    await page.goto(f"{world.base}/#key={poor.key}")
    await dial(page, "+15005551001")
    began = time.monotonic()
    await expect(page.get_by_text(re.compile("credit", re.IGNORECASE)).last).to_be_visible()
    call = await live_call(poor)
    record = await poor.record(call["id"])
    assert (record["seconds"], record["cost"]["micros"], record["ended_by"]) == (3, 3_000, "credit")
    assert time.monotonic() - began < 12
    assert await poor.balance() == 0
    await page.context.close()
    await poor.http.aclose()
    await asyncio.sleep(0)
