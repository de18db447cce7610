"""Runs the gateway's WebRTC leg alone, as a process of the benchmark.

Audio from a browser goes into a playout, as in a call, and returns to it: 50 packets a second each
way, without a carrier.
"""

from __future__ import annotations

import gc
import time

import uvloop

from benchmarks import loopback
from benchmarks.peers.offers import serve_offers
from gateway.heartbeat.ticker import BEATS_PER_SECOND, Ticker
from gateway.ports import AudioSession, SessionState
from gateway.webrtc.endpoint import WebRtcEndpoint
from gateway.webrtc.session import WebRtcSession
from media.playout import Playout

SWEEP_BEATS = 5
"""Between two looks at all sessions, as the node has it."""


class _Echo:
    """Sends a browser what it says."""

    def __init__(self, session: WebRtcSession, ticker: Ticker) -> None:
        self._ticker = ticker
        self._playout = playout = Playout()
        clock, put, send = ticker.clock_ns, playout.put, session.send_audio

        def hear(sequence: int, _timestamp: int, payload: bytes) -> None:
            # Through the model as in a call, though it is the packet itself that goes back.
            put(clock(), payload, sequence)
            send(payload)

        session.on_audio = hear
        session.listener = self
        # The ticker asks each waiter whether a packet is missing, as on a node.
        ticker.add_waiter(playout, playout)

    def pressed(self, digit: str, duration_ms: int) -> None:
        """Nobody dials."""

    def session_changed(self, _session: AudioSession, state: SessionState) -> None:
        """Forget the sound of a session that has ended: its memory is what is measured."""
        if state is not SessionState.CONNECTED:
            self._ticker.remove_waiter(self._playout)


async def serve() -> None:
    """Answer offers until the process is ended."""
    ticker = Ticker(time.monotonic_ns)
    endpoint = WebRtcEndpoint(addresses=[loopback.HOST], host=loopback.HOST)
    await endpoint.start()
    for slot in range(0, BEATS_PER_SECOND, SWEEP_BEATS):
        ticker.add_duty(slot, endpoint.tick)
    ticker.start()
    # What the start has made stays for good, and need not be looked through again.
    gc.collect()
    gc.freeze()

    async def answer(offer: str) -> str:
        session, text = endpoint.accept(offer)
        _Echo(session, ticker)
        return text

    await serve_offers(answer)


if __name__ == "__main__":
    uvloop.run(serve())
