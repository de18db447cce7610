"""A real browser's WebRTC against the endpoint: audio both ways, digits, an ICE restart, an end."""

from __future__ import annotations

import asyncio
import math
import struct
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from gateway.ports import AudioSession, SessionState
from gateway.webrtc.endpoint import WebRtcEndpoint
from gateway.webrtc.session import WebRtcSession
from tests.e2e.browser import launch

ORIGIN = "https://phone.test/"
"""Never asked for over the network: the browser gets the page from here."""

PAGE = """<!doctype html><title>phone</title><script>
const pc = new RTCPeerConnection({ iceServers: [], bundlePolicy: "max-bundle" });
const states = [];
pc.onconnectionstatechange = () => states.push(pc.connectionState);
const remote = new Promise((resolve) => (pc.ontrack = ({ track }) => resolve(track)));

async function negotiate() {
  const offer = await pc.createOffer();
  offer.sdp = offer.sdp.replace(/(a=rtpmap:0 PCMU\\/8000\\r\\n)/, "$1a=rtcp-fb:0 nack\\r\\n");
  await pc.setLocalDescription(offer);
  await pc.setRemoteDescription({ type: "answer", sdp: await window.answer(offer.sdp) });
}

async function connect() {
  const media = await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  });
  pc.addTrack(media.getAudioTracks()[0], media);
  const begun = performance.now();
  await negotiate();
  while (pc.connectionState !== "connected") await new Promise((done) => setTimeout(done, 2));
  const took = performance.now() - begun;
  const player = new Audio();
  player.srcObject = new MediaStream([await remote]);
  await player.play();
  return took;
}

async function stats() {
  const all = [...(await pc.getStats()).values()];
  const one = (type) => all.find((entry) => entry.type === type && entry.kind !== "video") ?? {};
  return {
    in: one("inbound-rtp"),
    out: one("outbound-rtp"),
    remoteIn: one("remote-inbound-rtp"),
    transport: one("transport"),
  };
}

async function press(digits) {
  await pc.getSenders()[0].dtmf.insertDTMF(digits, 100, 70);
}

async function restart() {
  pc.restartIce();
  await negotiate();
}
</script>"""


class Line:
    """The gateway's side: answers offers and sends every packet back."""

    def __init__(self, endpoint: WebRtcEndpoint) -> None:
        self.endpoint = endpoint
        self.session: WebRtcSession | None = None
        self.states: asyncio.Queue[SessionState] = asyncio.Queue()
        self.digits: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self.sizes: set[int] = set()

    def answer(self, offer: str) -> str:
        if self.session is not None:
            return self.endpoint.restart(self.session, offer)
        session, answer = self.endpoint.accept(offer)
        self.session = session
        session.listener = self
        session.on_audio = self._echo
        return answer

    def pressed(self, digit: str, duration_ms: int) -> None:
        self.digits.put_nowait((digit, duration_ms))

    def session_changed(self, _session: AudioSession, state: SessionState) -> None:
        self.states.put_nowait(state)

    def _echo(self, _sequence: int, _timestamp: int, payload: bytes) -> None:
        assert self.session is not None
        self.sizes.add(len(payload))
        self.session.send_audio(payload)


@pytest.fixture
def microphone(tmp_path: Path) -> Path:
    """A second of a tone, played over and over."""
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        samples = [int(12_000 * math.sin(2 * math.pi * 500 * n / 48_000)) for n in range(48_000)]
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return path


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    endpoint = WebRtcEndpoint(addresses=["127.0.0.1"])
    await endpoint.start()

    async def beat() -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0.1)
            endpoint.tick(int(loop.time() * 1e9))

    beating = asyncio.create_task(beat())
    yield Line(endpoint)
    beating.cancel()
    endpoint.stop()


@pytest.fixture
async def page(line: Line, microphone: Path) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await launch(playwright, microphone=microphone)
        page = await browser.new_page()
        await page.route(ORIGIN, lambda route: route.fulfill(content_type="text/html", body=PAGE))
        await page.expose_function("answer", line.answer)
        await page.goto(ORIGIN)
        yield page
        await browser.close()


async def until(page: Page, path: str, least: float) -> dict[str, Any]:
    """Wait until one of the browser's figures has grown so far; return them all."""
    async with asyncio.timeout(30):
        while True:
            stats: dict[str, Any] = await page.evaluate("stats()")
            section, _, name = path.partition(".")
            if stats[section].get(name, 0) >= least:
                return stats
            await asyncio.sleep(0.1)


@pytest.mark.timeout(180)
async def test_chromium_talks_hears_presses_keys_and_moves(page: Page, line: Line) -> None:
    took_ms = await page.evaluate("connect()")
    assert took_ms < 2_000
    assert await line.states.get() is SessionState.CONNECTED
    session = line.session
    assert session is not None

    stats = await until(page, "in.packetsReceived", 100)
    assert line.sizes == {160}
    assert stats["in"]["packetsLost"] == 0
    assert stats["in"]["totalAudioEnergy"] > 0.01
    assert stats["transport"]["srtpCipher"] == "SRTP_AEAD_AES_128_GCM"
    assert stats["transport"]["tlsVersion"] == "FEFD"

    await page.evaluate("press('19#')")
    async with asyncio.timeout(30):
        pressed = [await line.digits.get() for _ in range(3)]
    assert [digit for digit, _ in pressed] == ["1", "9", "#"]
    assert all(80 <= duration_ms <= 200 for _, duration_ms in pressed)

    await until(page, "remoteIn.roundTripTimeMeasurements", 1)
    async with asyncio.timeout(30):
        while session.media_rtt_ns is None or session.remote_report is None:
            await asyncio.sleep(0.1)

    before = session.ufrags
    address = session.address
    await page.evaluate("restart()")
    async with asyncio.timeout(30):
        while len(session.ufrags) == 2 or session.ufrags == before:
            await asyncio.sleep(0.05)
    received = (await page.evaluate("stats()"))["in"]["packetsReceived"]
    await until(page, "in.packetsReceived", received + 50)
    assert session.address is not None
    assert session.address != address
    assert session.state is SessionState.CONNECTED

    await page.evaluate("pc.close()")
    async with asyncio.timeout(10):
        assert await line.states.get() is SessionState.CLOSED
    assert session.bad_packets == session.replayed == 0
    assert line.endpoint.counters.handler_faults == 0
