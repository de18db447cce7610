"""A real browser's sound on a network that is not kind: WebRTC, its loss, its end, and the socket.

The microphone plays speech; what the phone hears is compared with it, and what comes back of an
echo with what was said.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.calls.world import Customer, World
from tests.e2e.phone_page import (
    RAW,
    assert_heard,
    dial,
    heard_for,
    live_call,
    phone_page,
    status,
)
from tests.e2e.udp_relay import REDIRECT, UdpRelay, udp_relay
from tests.web.speech import Samples

pytestmark = pytest.mark.asyncio(loop_scope="module")

SILENT = "+15005551009"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("sound-world"), CALLER_RESUME_S="10").start()
    yield world
    world.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def relay(world: World) -> AsyncIterator[UdpRelay]:
    async with udp_relay(world.port) as relay:
        yield relay


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Browser, caller: Customer, relay: UdpRelay) -> AsyncIterator[Page]:
    script = RAW + REDIRECT.replace("RELAY_PORT", str(relay.port))
    async with phone_page(chromium, caller, script) as page:
        yield page


async def in_call(page: Page, caller: Customer, path: str) -> dict[str, Any]:
    await dial(page, SILENT)
    await expect(status(page)).to_have_text("In call", timeout=15_000)
    await expect_path(page, path)
    return await live_call(caller)


async def expect_path(page: Page, path: str) -> None:
    shown = page.get_by_text(re.compile(rf"^{path}\b"))
    await expect(shown.first).to_be_visible(timeout=20_000)


async def stream(caller: Customer, call: dict[str, Any]) -> dict[str, Any]:
    found = await caller.world.carrier_get(f"/calls/{call['carrier_call_id']}")
    return found["streams"][0]


async def hang_up(page: Page) -> None:
    await page.get_by_role("button", name="Hang up").click()
    await expect(status(page)).to_have_text(re.compile("ended|over", re.IGNORECASE))


async def test_speech_by_webrtc(page: Page, caller: Customer, speech: Samples):
    call = await in_call(page, caller, "WebRTC")
    await assert_heard(caller, call, speech)
    await hang_up(page)
    record = await caller.record(call["id"])
    assert record["browser"]["paths"][-1] == "webrtc"


async def test_speech_on_a_network_that_loses_and_delays(
    page: Page, caller: Customer, relay: UdpRelay, speech: Samples
):
    call = await in_call(page, caller, "WebRTC")
    relay.weather.loss, relay.weather.jitter_s = 0.05, 0.005
    await assert_heard(caller, call, speech)
    relay.weather.loss = relay.weather.jitter_s = 0
    await hang_up(page)


async def test_a_stall_of_the_network_leaves_no_delay(
    page: Page, caller: Customer, relay: UdpRelay
):
    call = await in_call(page, caller, "WebRTC")
    await heard_for(caller, call, 2)
    relay.weather.holds_back = True
    await asyncio.sleep(1)
    relay.release()
    await heard_for(caller, call, 5)
    assert (await stream(caller, call))["backlog_ms"] < 200
    await hang_up(page)


async def test_the_call_moves_to_the_socket_when_udp_dies_and_back_when_it_lives(
    page: Page, caller: Customer, relay: UdpRelay, speech: Samples
):
    call = await in_call(page, caller, "WebRTC")
    relay.weather.is_cut = True
    await expect_path(page, "WebSocket")
    await assert_heard(caller, call, speech)
    relay.weather.is_cut = False
    await expect_path(page, "WebRTC")
    await assert_heard(caller, call, speech)
    assert (await live_call(caller))["id"] == call["id"]
    await hang_up(page)
    record = await caller.record(call["id"])
    assert set(record["browser"]["paths"]) == {"webrtc", "websocket"}


def longest_silence_s(heard: Samples) -> float:
    """Return the longest time of what was heard without a sound."""
    loud = np.flatnonzero(np.abs(heard) > 0.005)
    return float(np.diff(loud, prepend=0, append=heard.size).max()) / 8000


@pytest.mark.parametrize("fault", ["is_cut", "is_cut_up", "is_cut_down"])
async def test_udp_that_dies_any_way_is_soon_left(
    page: Page, caller: Customer, relay: UdpRelay, speech: Samples, fault: str
):
    call = await in_call(page, caller, "WebRTC")
    await assert_heard(caller, call, speech)
    setattr(relay.weather, fault, True)
    heard = await heard_for(caller, call, 6)
    # ICE finds it out after seven seconds; this is more than it takes on any machine.
    assert longest_silence_s(heard) < 3
    await expect_path(page, "WebSocket")
    await assert_heard(caller, call, speech)
    setattr(relay.weather, fault, False)
    await expect_path(page, "WebRTC")
    await hang_up(page)


async def test_without_udp_the_socket_carries_the_call(
    page: Page, caller: Customer, relay: UdpRelay, speech: Samples
):
    relay.weather.is_cut = True
    call = await in_call(page, caller, "WebSocket")
    await assert_heard(caller, call, speech)
    await hang_up(page)
    assert (await caller.record(call["id"]))["browser"]["paths"] == ["websocket"]


async def test_a_page_that_is_loaded_again_returns_to_its_call(
    page: Page, caller: Customer, speech: Samples
):
    call = await in_call(page, caller, "WebRTC")
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await page.reload()
    await page.get_by_role("button", name="Return to the call").click()
    await expect(status(page)).to_have_text("In call", timeout=15_000)
    await assert_heard(caller, call, speech)
    await hang_up(page)
    record = await caller.record(call["id"])
    assert record["ended_by"] == "caller"
    assert len((await caller.http.get("/v1/calls")).json()["calls"]) == 1


async def test_a_call_left_by_a_loaded_page_is_ended_or_gives_way(page: Page, caller: Customer):
    first = await in_call(page, caller, "WebRTC")
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await page.reload()
    await page.get_by_role("button", name="End it").click()
    await expect(page.locator("caller-phone .summary")).to_be_visible(timeout=15_000)
    assert (await caller.record(first["id"]))["ended_by"] == "caller"
    second = await in_call(page, caller, "WebRTC")
    await page.reload()
    await expect(page.get_by_role("button", name="Return to the call")).to_be_visible()
    third = await in_call(page, caller, "WebRTC")
    assert (await caller.record(second["id"]))["ended_by"] == "caller"
    await hang_up(page)
    await caller.record(third["id"])
