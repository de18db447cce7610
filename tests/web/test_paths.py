"""The two ways of a call's audio, WebRTC and the socket, in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.web.conftest import async_fixture, open_page
from tests.web.fake_gateway import FakeGateway, until
from tests.web.test_phone import dial, heard, status

pytestmark = pytest.mark.asyncio(loop_scope="session")


@async_fixture
async def page(browser: Browser, gateway: FakeGateway) -> AsyncIterator[Page]:
    """The phone, at a gateway that takes offers."""
    gateway.webrtc = True
    phone, faults = await open_page(browser, gateway)
    yield phone
    await phone.context.close()
    assert faults.texts == []


def way(page: Page) -> Any:
    """Where the page says how the audio travels."""
    return page.locator("caller-in-call dl")


async def on_webrtc(page: Page, gateway: FakeGateway) -> Any:
    """Dial, and wait until the audio goes by WebRTC."""
    line = await dial(page, gateway)
    await until(lambda: line.peer.selected)
    await expect(way(page)).to_contain_text("WebRTC")
    return line


async def test_webrtc_carries_the_call_and_the_socket_falls_silent(
    page: Page, gateway: FakeGateway
) -> None:
    line = await on_webrtc(page, gateway)
    start, frames = line.peer.frames, len(line.frames)
    await until(lambda: line.peer.frames >= start + 100)
    assert len(line.frames) - frames <= 25
    assert len(line.of_type("offer")) == 1
    level = "(e) => Number(getComputedStyle(e).getPropertyValue('--share'))"
    for side in ("microphone", "phone"):
        meter = page.locator(f"caller-in-call .{side} i")
        await until(lambda: True)
        assert max([await meter.evaluate(level) for _ in range(40)]) > 0.2, side


async def test_offer_holds_the_phone_networks_codec_alone(page: Page, gateway: FakeGateway) -> None:
    line = await on_webrtc(page, gateway)
    (offer,) = line.peer.offers
    audio = offer[offer.index("m=audio") :]
    payloads = audio.splitlines()[0].split()[3:]
    assert payloads[0] == "0"
    assert "a=rtcp-fb:0 nack\r\n" in audio
    assert "opus" not in audio
    assert "telephone-event/8000" in audio
    assert len(offer) < 12_000


async def test_reports_come_each_second_and_count_on(page: Page, gateway: FakeGateway) -> None:
    line = await on_webrtc(page, gateway)
    await until(lambda: len(line.of_type("report")) >= 3)
    before, sent_before = line.of_type("report")[-1], line.peer.frames
    await until(lambda: len(line.of_type("report")) >= 4)
    last, sent = line.of_type("report")[-1], line.peer.frames
    # Fifty a second, and fewer only where the phone, which shares a busy machine, sent fewer.
    assert sent - sent_before > 0
    assert last["packets"] - before["packets"] == pytest.approx(sent - sent_before, abs=15)
    assert last["rtt_ms"] is not None
    assert 0 <= last["buffer_ms"] < 2000


@pytest.mark.alone
async def test_reports_hold_all_that_was_sent_through_three_changes_of_path(
    page: Page, gateway: FakeGateway
) -> None:
    line = await on_webrtc(page, gateway)
    await until(lambda: line.peer.sent > 60)
    line.peer.silent = True
    await until(lambda: not line.peer.selected)
    await heard(line, 60)
    line.peer.silent = False
    sent = line.peer.sent
    await until(lambda: line.peer.selected and line.peer.sent > sent + 60, seconds=20)
    # Nothing more, by either: what is under way arrives.
    line.peer.silent = gateway.is_silent = True
    told = len(line.of_type("report"))
    await until(lambda: len(line.of_type("report")) >= told + 3)
    [before, last] = line.of_type("report")[-2:]
    assert before["packets"] == last["packets"] == line.sent + line.peer.sent
    assert last["lost"] == 0


async def test_muting_leaves_the_stream_of_silence(page: Page, gateway: FakeGateway) -> None:
    line = await on_webrtc(page, gateway)
    await page.get_by_role("button", name="Mute").click()
    await until(lambda: line.of_type("mute"))
    start = line.peer.frames
    await until(lambda: line.peer.frames >= start + 50)


@pytest.mark.parametrize("fault", ["closed", "silent"])
async def test_lost_webrtc_moves_to_the_socket_and_back(
    page: Page, gateway: FakeGateway, fault: str
) -> None:
    line = await on_webrtc(page, gateway)
    if fault == "silent":
        line.peer.silent = True
    else:
        await line.peer.close()
    await until(lambda: not line.peer.selected)
    await expect(way(page)).to_contain_text("WebSocket")
    assert len(set(await heard(line, 50))) > 1
    await expect(status(page)).to_have_text("In call")
    line.peer.silent = False
    await until(lambda: len(line.of_type("offer")) > 1)
    await until(lambda: line.peer.selected, seconds=15)
    await expect(way(page)).to_contain_text("WebRTC")


async def test_offer_that_is_never_answered_leaves_the_call_on_the_socket(
    page: Page, gateway: FakeGateway
) -> None:
    gateway.answers_offers = False
    line = await dial(page, gateway)
    assert len(set(await heard(line, 50))) > 1
    await until(lambda: line.of_type("offer"))
    assert line.of_type("media") == []
    blocked = "() => sessionStorage.getItem('caller-webrtc-blocked') !== null"
    await page.wait_for_function(blocked, timeout=15_000)


async def test_network_that_failed_is_not_tried_again_in_this_tab(
    page: Page, gateway: FakeGateway
) -> None:
    await page.evaluate("() => sessionStorage.setItem('caller-webrtc-blocked', Date.now())")
    line = await dial(page, gateway)
    await heard(line, 50)
    assert line.of_type("offer") == []


async def test_browser_without_webrtc_calls_by_the_socket(
    browser: Browser, gateway: FakeGateway
) -> None:
    gateway.webrtc = True
    page, faults = await open_page(browser, gateway, script="delete window.RTCPeerConnection;")
    line = await dial(page, gateway)
    assert len(set(await heard(line, 50))) > 1
    assert faults.texts == []
    await page.context.close()


async def test_everything_of_webrtc_is_given_back(page: Page, gateway: FakeGateway) -> None:
    await page.evaluate(
        """() => {
          window.peers = [];
          window.RTCPeerConnection = class extends RTCPeerConnection {
            constructor(...options) { super(...options); window.peers.push(this); }
          };
        }"""
    )
    await on_webrtc(page, gateway)
    await page.get_by_role("button", name="Hang up").click()
    await expect(status(page)).to_have_text("Call ended")
    states = await page.evaluate("() => peers.map((peer) => peer.connectionState)")
    assert states == ["closed"]
    await asyncio.sleep(0)
