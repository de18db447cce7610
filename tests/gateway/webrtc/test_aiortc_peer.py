"""A call with aiortc as the browser: another implementation of every protocol, real sockets."""

from __future__ import annotations

import asyncio
import audioop
import fractions
import itertools
import math
import struct
from collections.abc import AsyncIterator

import aioice.ice
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack
from av import AudioFrame

from gateway.ports import AudioSession, SessionState
from gateway.webrtc.endpoint import WebRtcEndpoint

RATE_HZ = 8_000
FRAME = RATE_HZ // 50


def tone(hz: int, frame: int) -> bytes:
    """Return 20 ms of a tone as 16-bit samples."""
    start = frame * FRAME
    samples = [
        int(8_000 * math.sin(2 * math.pi * hz * n / RATE_HZ)) for n in range(start, start + FRAME)
    ]
    return struct.pack(f"<{FRAME}h", *samples)


def pitch_of(pcm: bytes) -> float:
    """Return the frequency of a tone by its changes of sign."""
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm)
    changes = sum((a < 0) != (b < 0) for a, b in itertools.pairwise(samples))
    return changes / 2 * RATE_HZ / len(samples)


class Tone(AudioStreamTrack):
    """What the browser's microphone hears, at its own pace."""

    def __init__(self, hz: int) -> None:
        super().__init__()
        self.hz = hz
        self.frames = 0

    async def recv(self) -> AudioFrame:
        await super().recv()  # for its pace
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(tone(self.hz, self.frames))
        frame.sample_rate = RATE_HZ
        frame.time_base = fractions.Fraction(1, RATE_HZ)
        frame.pts = self.frames * FRAME
        self.frames += 1
        return frame


class States(asyncio.Queue[SessionState]):
    """The states of a session."""

    def pressed(self, digit: str, duration_ms: int) -> None:
        """Nobody dials."""

    def session_changed(self, _session: AudioSession, state: SessionState) -> None:
        self.put_nowait(state)


@pytest.fixture
async def endpoint() -> AsyncIterator[WebRtcEndpoint]:
    endpoint = WebRtcEndpoint(addresses=["127.0.0.1"])
    await endpoint.start()
    yield endpoint
    endpoint.stop()


@pytest.fixture
async def browser(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RTCPeerConnection]:
    # It would leave the loopback interface out.
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    yield connection
    await connection.close()


async def test_aiortc_talks_and_listens(
    endpoint: WebRtcEndpoint, browser: RTCPeerConnection
) -> None:
    browser.addTrack(Tone(400))
    await browser.setLocalDescription(await browser.createOffer())
    session, answer = endpoint.accept(browser.localDescription.sdp)
    states = States()
    heard: asyncio.Queue[tuple[int, int, bytes]] = asyncio.Queue()
    session.listener = states
    session.on_audio = lambda *packet: heard.put_nowait(packet)
    async with asyncio.timeout(30):
        await browser.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        assert await states.get() is SessionState.CONNECTED
        packets = []
        for number in range(50):
            packets.append(await heard.get())
            session.send_audio(audioop.lin2ulaw(tone(1_000, number), 2), 20 * number)

        assert {len(payload) for *_, payload in packets} == {160}
        steps = {(s - packets[0][0] & 0xFFFF) * 160 for s, *_ in packets}
        assert steps == {t - packets[0][1] & 0xFFFFFFFF for _, t, _ in packets}
        assert pitch_of(audioop.ulaw2lin(packets[-1][2], 2)) == pytest.approx(400, abs=30)
        (receiver,) = browser.getReceivers()
        frame = await receiver.track.recv()
        assert isinstance(frame, AudioFrame)
        assert pitch_of(bytes(frame.planes[0])[: 2 * FRAME]) == pytest.approx(1_000, abs=30)

        (sender,) = browser.getSenders()
        assert sender.transport.state == "connected"
        await browser.close()
        assert await states.get() is SessionState.CLOSED
    assert session.bad_packets == session.replayed == session.wrong_source == 0
