"""Makes calls from the phone page in a real Chromium, recording microphone and loudspeaker.

Knows gateway and carrier only by their addresses.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from playwright.async_api import Browser, Page, expect

from tests.calls.world import Customer
from tests.e2e.phone_page import RAW, dial, phone_page, status
from tests.web.speech import WIRE_HZ, Samples

SOCKET_ONLY = "delete window.RTCPeerConnection;"
CALL_MS_MAX = 20_000
WARM_UP_MS = 1_500
"""To open a recorder keeps the page busy, and what it plays late for a while."""

# Both inputs are taken in the same quantum, so that the recordings are aligned to the sample.
# Posted in tenths of a second, not for each quantum of 128 samples.
_RECORDER = """
registerProcessor('recorder', class extends AudioWorkletProcessor {
  blocks = [new Float32Array(4800), new Float32Array(4800)];
  size = 0;
  process(inputs) {
    const count = 128;
    if (this.size + count > 4800) {
      this.port.postMessage(this.blocks.map((block) => block.slice(0, this.size)));
      this.size = 0;
    }
    inputs.forEach(([samples], side) => {
      if (samples) this.blocks[side].set(samples, this.size);
      else this.blocks[side].fill(0, this.size, this.size + count);
    });
    this.size += count;
    return true;
  }
});
"""

# The page keeps its peer connection to itself, so that it is caught where it is made. Recordings
# leave as base64, for what leaves the page is JSON.
_LISTEN = """
const peers = [];
if (window.RTCPeerConnection) {
  const Peer = RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer {
    constructor(...given) {
      super(...given);
      peers.push(this);
    }
  };
}

const bufferOf = async (peer) => {
  const rows = [...(await peer.getStats()).values()];
  return rows.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio');
};

window.record = async (warmUpMs, ms) => {
  const peer = peers.find(({ connectionState }) => connectionState === 'connected');
  const tracks = [peer.getSenders()[0].track, peer.getReceivers()[0].track];
  const context = new AudioContext({ sampleRate: 48000 });
  const module = new Blob([`RECORDER`], { type: 'text/javascript' });
  await context.audioWorklet.addModule(URL.createObjectURL(module));
  const sides = { numberOfInputs: 2, numberOfOutputs: 0 };
  const recorder = new AudioWorkletNode(context, 'recorder', sides);
  const blocks = [[], []];
  recorder.port.onmessage = ({ data }) => data.forEach((block, side) => blocks[side].push(block));
  tracks.forEach((track, side) =>
    context.createMediaStreamSource(new MediaStream([track])).connect(recorder, 0, side));
  await new Promise((done) => setTimeout(done, warmUpMs));
  blocks.forEach((side) => side.splice(0));
  const before = await bufferOf(peer);
  await new Promise((done) => setTimeout(done, ms));
  const after = await bufferOf(peer);
  await context.close();
  const binary = async (side) => {
    const reader = new FileReader();
    const whole = new Promise((done) => (reader.onload = done));
    reader.readAsDataURL(new Blob(blocks[side]));
    await whole;
    return reader.result.slice(reader.result.indexOf(',') + 1);
  };
  return { said: await binary(0), heard: await binary(1), before, after };
};
""".replace("RECORDER", _RECORDER)


@dataclass(frozen=True, slots=True)
class Recording:
    """What microphone and loudspeaker had at the same moments, at 48 kHz, and what held it up."""

    said: Samples
    heard: Samples
    buffer_ms: float
    """Mean time in the browser's jitter buffer."""
    target_ms: float
    """What the browser wanted that to be, for the network's jitter and its own."""
    concealed_ms: float


@contextlib.asynccontextmanager
async def call_page(browser: Browser, caller: Customer, script: str = "") -> AsyncIterator[Page]:
    """Open the phone page, in which this script runs first."""
    # The page's policy forbids the blob that the recorder is loaded from.
    async with phone_page(browser, caller, RAW + script + _LISTEN, bypass_csp=True) as page:
        yield page


async def in_call(page: Page, number: str, path: str) -> None:
    """Call a number; return once it has answered and the audio has taken this path."""
    await dial(page, number)
    await expect(status(page)).to_have_text("In call", timeout=CALL_MS_MAX)
    # The page shows the path that the audio takes; before that it may still change.
    shown = page.locator("caller-phone small").filter(has_text=path)
    await expect(shown.first).to_be_visible(timeout=CALL_MS_MAX)


async def hang_up(page: Page) -> None:
    """End the call."""
    await page.get_by_role("button", name="Hang up").click()
    await expect(status(page)).not_to_have_text("In call", timeout=CALL_MS_MAX)


async def record(page: Page, seconds: float) -> Recording:
    """Record both ends of a call by WebRTC."""
    found = await page.evaluate(
        "([warmUp, ms]) => record(warmUp, ms)", [WARM_UP_MS, seconds * 1000]
    )
    before, after = found["before"], found["after"]

    def grown(name: str) -> float:
        return float(after[name] - before[name])

    # Both delays are sums over all samples that left the buffer (W3C webrtc-stats).
    emitted = max(1.0, grown("jitterBufferEmittedCount"))
    return Recording(
        said=_samples(found["said"]),
        heard=_samples(found["heard"]),
        buffer_ms=1000 * grown("jitterBufferDelay") / emitted,
        target_ms=1000 * grown("jitterBufferTargetDelay") / emitted,
        concealed_ms=1000 * grown("concealedSamples") / WIRE_HZ,
    )


def _samples(encoded: Any) -> Samples:
    return np.frombuffer(base64.b64decode(encoded), np.float32).astype(np.float64)
