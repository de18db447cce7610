"""Supervision in real browsers, on the real gateway, through the simulated carrier.

An operator listens on the page of live calls and speaks; the phone hears it, and the caller's page
says that somebody is there.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from gateway.call.supervision import Mode, Rule
from gateway.http.bearer import key_hash, new_api_key
from gateway.operators import Order
from gateway.scopes import Scope
from gateway.supervision.store import SqlSupervision
from tests.calls.world import Customer, World
from tests.e2e.phone_page import RAW, assert_heard, dial, heard_for, live_call, phone_page, status
from tests.web.speech import Samples

pytestmark = pytest.mark.asyncio(loop_scope="module")

TONE = "+15005551001"
"""A phone that plays a tone: that is what the supervisor hears."""
SHOWN_MS = 30_000
"""Two pages, gateway and carrier share the machine."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("supervision-world")).start()
    yield world
    world.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def operator(world: World, caller: Customer) -> str:
    """Return the key of an operator, who may do everything in the caller's calls."""
    key = new_api_key()
    async with world.stores() as stores:
        await stores.accounts.create_account("operators", "USD")
        await stores.accounts.add_api_key("operators", key_hash(key), "night", scopes={Scope.ADMIN})
        rule = Rule(Mode.TAKE_OVER)
        assert await SqlSupervision(stores.engine).order(
            caller.account_id, rule, Order("kim", "agreed")
        )
    return key


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Browser, caller: Customer) -> AsyncIterator[Page]:
    async with phone_page(chromium, caller, RAW) as page:
        yield page


async def test_an_operator_listens_speaks_and_leaves(
    chromium: Browser, page: Page, world: World, caller: Customer, operator: str, speech: Samples
) -> None:
    await dial(page, TONE)
    await expect(status(page)).to_have_text("In call", timeout=SHOWN_MS)
    # Both pages have the same microphone: from now on only the operator's can be heard.
    await page.get_by_role("button", name="Mute").click()
    call = await live_call(caller)
    note = page.locator("caller-call-notices .note")

    context = await chromium.new_context(locale="en-US")
    await context.add_init_script(RAW)
    live = await context.new_page()
    faults: list[str] = []
    live.on("pageerror", lambda error: faults.append(str(error)))
    await live.goto(f"{world.base}/live#key={operator}")
    await live.goto(f"{world.base}/live#/call/{call['id']}")
    panel = live.locator("live-supervision")
    await panel.get_by_role("button", name="Listen").click(timeout=SHOWN_MS)
    await live.get_by_label("Reason").fill("A complaint")
    await live.keyboard.press("Enter")
    said = panel.get_by_role("status")
    await expect(said).to_have_text(re.compile("^No one hears you"), timeout=SHOWN_MS)
    await expect(note).to_have_text("Somebody from the service is listening to this call.")
    await expect(panel.locator(".bar i").first).to_have_attribute(
        "style", re.compile(r"--share: (0\.[3-9]|1)"), timeout=SHOWN_MS
    )
    # Beside the tone of 1,400 Hz that tells of the operator the phone hears nothing.
    assert median_level(await heard_for(caller, call, 4)) < 0.001

    await panel.get_by_label("Barge in").check()
    await expect(said).to_have_text("The caller and the phone hear you now.", timeout=SHOWN_MS)
    await expect(note).to_have_text(
        "Somebody from the service is speaking with both of you in this call."
    )
    await assert_heard(caller, call, speech)

    await panel.get_by_role("button", name="Leave").click()
    await expect(said).to_have_text("You have left. The call continues.")
    await expect(note).to_have_count(0)
    await expect(status(page)).to_have_text("In call, muted")
    assert median_level(await heard_for(caller, call, 3)) < 0.001
    await context.close()
    assert faults == []
    await page.get_by_role("button", name="Hang up").click()


def median_level(heard: Samples) -> float:
    """Return how loud the middle one of all tenths of a second is, 0 to 1."""
    tenths = heard[: heard.size // 800 * 800].reshape(-1, 800)
    return float(np.median(np.sqrt(np.mean(tenths**2, axis=1))))
