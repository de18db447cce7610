"""The phone page of a real gateway in a real browser, and what tests do with it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from playwright.async_api import Browser, Page

from tests.calls.world import Customer, eventually
from tests.web.speech import Samples, decode_mulaw, likeness

# The microphone as it is: the browser's own echo, noise and level control are no matter of ours.
RAW = """
const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const askBrowser = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = () => askBrowser({ audio: raw });
"""

LIKENESS_MIN = 0.9
"""Least likeness to the microphone in the best of some spells: a quiet machine has 0.99 in each. On
one whose browser, gateway, carrier and test share two busy cores much comes late."""
SPELLS = 16


@contextlib.asynccontextmanager
async def phone_page(
    chromium: Browser, caller: Customer, script: str, *, bypass_csp: bool = False
) -> AsyncIterator[Page]:
    """Open the page with this script before its own; at the end nothing may have failed in it."""
    context = await chromium.new_context(locale="en-US", bypass_csp=bypass_csp)
    await context.add_init_script(script)
    page = await context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    await page.goto(f"{caller.world.base}/#key={caller.key}")
    yield page
    await context.close()
    assert faults == []


async def dial(page: Page, number: str) -> None:
    await page.get_by_role("textbox", name="Phone number").fill(number)
    await page.keyboard.press("Enter")


def status(page: Page) -> Any:
    return page.locator("caller-phone .status")


async def live_call(caller: Customer) -> dict[str, Any]:
    """Return the call that the page has placed, once the carrier has named it."""

    async def find() -> dict[str, Any] | None:
        calls = (await caller.http.get("/v1/calls")).json()["calls"]
        return calls[0] if calls and calls[0]["carrier_call_id"] else None

    return await eventually(find)


async def heard_for(caller: Customer, call: dict[str, Any], seconds: float) -> Samples:
    """Return what the phone hears from now on."""
    path = f"/calls/{call['carrier_call_id']}/heard"
    start = len(await caller.world.carrier_get(path))

    async def enough() -> bytes | None:
        heard = (await caller.world.carrier_get(path))[start:]
        return heard if len(heard) >= seconds * 8000 else None

    return decode_mulaw(await eventually(enough, 20 + seconds))


async def assert_heard(caller: Customer, call: dict[str, Any], speech: Samples) -> None:
    """The phone hears from now on what is said."""
    await assert_like(speech, lambda: heard_for(caller, call, 4))


async def assert_like(
    speech: Samples,
    listen: Callable[[], Awaitable[Samples]],
    judge: Callable[[Samples, Samples], float] = likeness,
) -> None:
    """What is listened to from now on, spell by spell, is what is said."""
    scores: list[float] = []
    while not scores or (max(scores) <= LIKENESS_MIN and len(scores) < SPELLS):
        scores.append(judge(await listen(), speech))
    assert max(scores) > LIKENESS_MIN, scores
