"""The page of live calls in a real browser, on the real gateway, through the simulated carrier.

What a holder and an operator see and do there is what becomes of real calls, a gateway that is
killed, and an alarm that the gateway itself raises.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from gateway.http.bearer import key_hash, new_api_key
from gateway.scopes import Scope
from tests.calls.world import Customer, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

NODE = "n1"
DEAR = "+15005551001"
"""A call there costs more a minute than all calls together may."""
CHEAP = "+15005551000"
RATES = """prefix,description,country,rate_per_minute,connect_fee,first,next
1500555,Test numbers,US,0.6000,0,1,1
15005551001,A dear number,US,6.0000,0,1,1
"""
SPEND_MAX = "5"
"""Whole dollars a minute."""
SHOWN_MS = 30_000
"""A call is on the page within a second; browser, gateway and carrier share the machine."""
ALARM_MS = 60_000
"""A gateway judges nothing at first, and then only what lasts ten seconds."""

OBSERVE = """document.addEventListener('securitypolicyviolation',
  (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));"""

AWAY = re.compile("Failed to load resource")
"""What the browser says of a gateway that is away; the page says it, too."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("live-world")
    deck = folder / "rates.csv"
    deck.write_text(RATES)
    world = World(
        folder,
        CALLER_NODE=NODE,
        CALLER_RATE_DECK=str(deck),
        CALLER_ALARM_SPEND_PER_MINUTE=SPEND_MAX,
    )
    world.start_carrier(ring_s="1")
    world.start_gateway()
    yield world
    world.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(world: World) -> str:
    """Return the key of an operator."""
    key = new_api_key()
    async with world.stores() as stores:
        await stores.accounts.create_account("operators", "USD")
        digest = key_hash(key)
        await stores.accounts.add_api_key("operators", digest, "night", scopes={Scope.ADMIN})
    return key


@dataclass
class Screen:
    """Somebody's live page."""

    page: Page

    async def show(self, view: str) -> None:
        """Go to a view as its links do."""
        await self.page.evaluate("(view) => { location.hash = `#/${view}` }", view)

    @property
    def rows(self) -> Locator:
        return self.page.locator("live-calls tbody tr")

    @property
    def connection(self) -> Locator:
        return self.page.locator("header [role=status]")

    def cell(self, name: str) -> Locator:
        """Return a cell of the first row."""
        return self.rows.first.locator(f"[data-label='{name}']")


@contextlib.asynccontextmanager
async def screen(chromium: Browser, world: World, key: str, view: str) -> AsyncIterator[Screen]:
    """Open the live page with a key; at the end nothing may have failed in it."""
    context = await chromium.new_context(locale="en-US")
    await context.add_init_script(OBSERVE)
    page = await context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda message: (
            faults.append(message.text)
            if message.type == "error" and not AWAY.search(message.text)
            else None
        ),
    )
    await page.goto(f"{world.base}/live#key={key}")
    shown = Screen(page)
    await expect(shown.connection).to_have_text("● Live", timeout=SHOWN_MS)
    await shown.show(view)
    yield shown
    await context.close()
    assert faults == []


async def test_a_holder_sees_a_call_of_their_own_and_ends_it(
    chromium: Browser, world: World, caller: Customer, operator: str
) -> None:
    async with (
        screen(chromium, world, caller.key, "calls") as own,
        screen(chromium, world, operator, "calls") as everybody,
        caller.call(CHEAP) as phone,
    ):
        call_id = (await phone.wait("ready"))["call_id"]
        for each in (own, everybody):
            await expect(each.cell("State")).to_contain_text("answered", timeout=SHOWN_MS)
            await expect(each.cell("To")).to_have_text("+1 500 555 1000")
            await expect(each.cell("Duration")).to_have_text(re.compile(r"\d:(?!00)\d\d"))
            await expect(each.cell("Cost")).to_have_text(re.compile(r"\$(?!0\.0000)\d"))
        await expect(everybody.cell("Node")).to_have_text(NODE)
        await expect(everybody.cell("Account")).to_have_text(caller.account_id)
        await expect(own.cell("Account")).to_have_count(0)

        await own.page.get_by_role("link", name="+1 500 555 1000").click()
        await expect(own.page.locator("live-call canvas")).to_have_count(5, timeout=SHOWN_MS)
        quality = own.page.locator("live-call dl > div", has_text="MOS").locator("dd")
        await expect(quality).to_contain_text(re.compile(r"[1-4]\.\d\d"), timeout=SHOWN_MS)

        await own.page.get_by_role("button", name="End the call").click()
        dialog = own.page.get_by_role("dialog")
        await dialog.get_by_role("button", name="End the call").click()
        await phone.wait("disconnect")
        ended = own.page.get_by_text(re.compile(r"Ended.* · "))
        await expect(ended).to_be_visible(timeout=SHOWN_MS)
        await expect(everybody.cell("State")).to_contain_text("ended", timeout=SHOWN_MS)
        record = await caller.record(call_id)
        cost = f"${record['cost']['micros'] / 1e6:.4f}"
        await expect(everybody.cell("Cost")).to_have_text(cost)
    assert record["seconds"] > 0


async def test_a_gateway_that_is_killed_is_away_and_comes_back_by_itself(
    chromium: Browser, world: World, caller: Customer, operator: str
) -> None:
    async with (
        screen(chromium, world, caller.key, "calls") as own,
        screen(chromium, world, operator, "nodes") as everybody,
    ):
        node = everybody.page.locator("live-nodes tbody tr")
        await expect(node).to_contain_text(NODE, timeout=SHOWN_MS)
        assert world.gateway is not None
        world.gateway.popen.kill()
        world.gateway.popen.wait()
        for each in (own, everybody):
            await expect(each.connection).to_have_text("✕ No connection", timeout=SHOWN_MS)
            await expect(each.page.locator(".state")).to_contain_text("old.")
        await expect(node).to_contain_text(NODE)
        world.start_gateway()
        for each in (own, everybody):
            await expect(each.connection).to_have_text("● Live", timeout=SHOWN_MS)
        await expect(node).to_contain_text("takes calls", timeout=SHOWN_MS)
        async with caller.call(CHEAP) as phone:
            await phone.wait("accept")
            await expect(own.rows.first).to_contain_text("answered", timeout=SHOWN_MS)
            await phone.hang_up()
        await expect(own.rows.first).to_contain_text("ended", timeout=SHOWN_MS)


async def test_an_alarm_that_the_gateway_raises_is_acknowledged_from_the_page(
    chromium: Browser, world: World, caller: Customer, operator: str
) -> None:
    # A busy machine would raise another one, which nobody looks for here.
    silence = {"name": "loop_lag:n1", "minutes": 5, "reason": "Repair"}
    asked = {
        "url": f"{world.base}/v1/admin/alarms/silence",
        "headers": {"Authorization": f"Bearer {operator}"},
    }
    async with httpx.AsyncClient() as client:
        assert (await client.post(**asked, json=silence)).status_code == 204
    async with screen(chromium, world, operator, "") as shown:
        page = shown.page
        await expect(shown.connection).to_have_text("● Live", timeout=SHOWN_MS)
        listed = page.get_by_role("list", name="Alarms").get_by_role("listitem")
        # All but what is silenced.
        alarms = listed.filter(has_not_text=f"Node {NODE} is late")
        await expect(alarms).to_have_count(0)
        alarm = listed.filter(has_text="in USD")
        async with caller.call(DEAR) as phone:
            await phone.wait("accept")
            await expect(alarm).to_contain_text("▲ raised", timeout=ALARM_MS)
            await expect(page).to_have_title(re.compile(r"^▲ 1 \(1\) "))
            said = page.locator("live-alarms [role=status]")
            await expect(said).to_have_text(re.compile("New alarm: Calls cost"))

            await alarm.get_by_role("button", name="Acknowledge").click()
            await page.get_by_label("Reason").fill("Talking to the holder")
            await page.keyboard.press("Enter")
            await expect(alarm).to_contain_text("◆ acknowledged", timeout=SHOWN_MS)
            await expect(alarm).to_contain_text("Talking to the holder")
            await alarm.get_by_role("button", name="Undo").click()
            await expect(alarm).to_contain_text("▲ raised", timeout=SHOWN_MS)
            await phone.hang_up()
        await expect(alarms).to_have_count(0, timeout=ALARM_MS)
