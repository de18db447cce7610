"""The WebRTC servers under test: what each is offered, and what its browsers say."""

from __future__ import annotations

import fractions
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from aiortc.codecs.opus import OpusEncoder
from av import AudioFrame

from benchmarks import webrtc_report as names
from benchmarks.browsers import Browser, Uncounted, new_voice

OPUS = 111
OPUS_HZ = 48_000
OPUS_TICKS = OPUS_HZ // 50
RECORDING_FRAMES = 50


@dataclass(frozen=True, slots=True)
class WebRtcPeer:
    """A server that gives browsers their own audio back."""

    name: str
    what: str
    """One line for the reader of the table."""
    module: str
    """Run with the descriptor of the socket on which it takes offers."""
    browser: Callable[[int], Browser]
    """Makes the browser of call `index`."""
    offer: Callable[[str], str]
    """Narrows a browser's offer to what is measured."""
    calls: int
    """At which it is measured."""


def _only(payload_type: int) -> Callable[[str], str]:
    """Keep one codec; and offer to be the DTLS client, which aiortc would else be itself."""

    def narrow(offer: str) -> str:
        wanted = str(payload_type)
        kept = []
        for line in offer.split("\r\n"):
            name, _, value = line.partition(":")
            if name in {"a=rtpmap", "a=rtcp-fb"} and value.split()[0] != wanted:
                continue
            kept.append(
                f"{line.rpartition('SAVPF')[0]}SAVPF {wanted}" if name[:2] == "m=" else line
            )
        return "\r\n".join(kept).replace("a=setup:actpass", "a=setup:active")

    return narrow


@cache
def _opus_recording() -> Sequence[bytes]:
    """Return a second of Opus: a sweep with noise, so that the coder has something to do."""
    encoder = OpusEncoder()
    chance = np.random.default_rng(1)
    at = np.arange(OPUS_TICKS * RECORDING_FRAMES)
    sweep = 8_000 * np.sin(2e-2 * at + 1e-7 * at * at) + chance.normal(0, 500, at.size)
    recording = []
    for number, samples in enumerate(np.split(sweep.astype("<i2"), RECORDING_FRAMES)):
        frame = AudioFrame(format="s16", layout="stereo", samples=OPUS_TICKS)
        frame.planes[0].update(np.repeat(samples, 2).tobytes())
        frame.sample_rate, frame.pts = OPUS_HZ, number * OPUS_TICKS
        frame.time_base = fractions.Fraction(1, OPUS_HZ)
        recording += encoder.encode(frame)[0]
    return recording


def _opus_browser(index: int) -> Browser:
    voice = Uncounted(index, _opus_recording())
    return Browser(voice, payload_type=OPUS, ticks=OPUS_TICKS)


def _mulaw_browser(index: int) -> Browser:
    voice = new_voice(index)
    return Browser(Uncounted(index, [voice.speak(now_ns) for now_ns in range(RECORDING_FRAMES)]))


LEG = WebRtcPeer(
    names.LEG,
    "the gateway's WebRTC leg alone",
    "benchmarks.peers.webrtc_leg",
    lambda index: Browser(new_voice(index)),
    lambda offer: offer,
    100,
)
AIORTC_PCMU = WebRtcPeer(
    names.AIORTC_PCMU,
    "aiortc, mu-law as on the phone's side",
    "benchmarks.peers.aiortc_server",
    _mulaw_browser,
    _only(0),
    10,
)
AIORTC_OPUS = WebRtcPeer(
    names.AIORTC_OPUS,
    "aiortc, the codec that browsers prefer",
    "benchmarks.peers.aiortc_server",
    _opus_browser,
    _only(OPUS),
    10,
)
PEERS = (LEG, AIORTC_PCMU, AIORTC_OPUS)
