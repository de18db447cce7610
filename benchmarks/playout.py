"""`python -m benchmarks.playout`: the cost of the playout model per frame.

Each figure is the best of several rounds, in microseconds and as a multiple of decoding one frame
of mu-law. Multiples compare between machines, microseconds do not.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable, Iterator
from itertools import count, cycle
from typing import Final

import numpy as np

from benchmarks.micro import print_costs
from media.conceal import Concealer
from media.g711 import FRAME_MS, FRAME_SAMPLES, mulaw_decode, mulaw_encode
from media.lead_control import PACKETS
from media.playout import Playout
from media.stretch import lengthen, shorten

ROUNDS: Final = 7
FRAME_NS: Final = FRAME_MS * 1_000_000
VOICE_SECONDS: Final = 2

Operation = Callable[[], object]


def _voice() -> list[bytes]:
    """Return frames of a steady vowel: pulses at 125 Hz through one resonance."""
    pulses = np.zeros(VOICE_SECONDS * 8_000)
    # 8,000 samples a second by 64.
    pulses[::64] = 20_000
    time = np.arange(200) / 8_000
    mouth = np.exp(-time * 300) * np.sin(2 * np.pi * 700 * time)
    wave = np.convolve(pulses, mouth)[: len(pulses)]
    audio = mulaw_encode(np.rint(wave).astype("<i2").tobytes())
    return [audio[at : at + FRAME_SAMPLES] for at in range(0, len(audio), FRAME_SAMPLES)]


def _in_order(frames: Iterator[bytes]) -> Operation:
    # The time moves with the frames: a clock that stood still would look like a burst.
    put, times = Playout().put, count(0, FRAME_NS)
    return lambda: put(next(times), next(frames), None)


def _nothing_due(frames: Iterator[bytes]) -> Operation:
    playout = Playout()
    playout.put(0, next(frames), None)
    return lambda: playout.poll(0)


def _overtaken(frames: Iterator[bytes]) -> Operation:
    """Two frames that come in each other's place."""
    put, times, numbers = Playout().put, count(0, 2 * FRAME_NS), count(0, 2)

    def work() -> None:
        now_ns, number = next(times), next(numbers)
        # Numbers of RTP packets have 16 bits and begin again (RFC 3550, 5.1).
        put(now_ns, next(frames), (number + 1) & 0xFFFF)
        put(now_ns, next(frames), number & 0xFFFF)

    return work


def _one_lost(frames: Iterator[bytes]) -> Operation:
    """A frame, and one that is lost and concealed."""
    playout, times, numbers = Playout(), count(0, 2 * FRAME_NS), count(0, 2)

    def work() -> None:
        now_ns = next(times)
        playout.put(now_ns, next(frames), next(numbers) & 0xFFFF)
        # As the node does, at each tick until concealment has begun and ended.
        for late_ns in range(0, 2 * FRAME_NS, PACKETS.tick_ns):
            playout.poll(now_ns + late_ns)

    return work


def _concealment(frame: bytes) -> Operation:
    concealer = Concealer()

    def work() -> None:
        concealer.start(frame * 3)
        concealer.join(concealer.take(FRAME_SAMPLES))

    return work


def _cost_us(operation: Operation, number: int) -> float:
    # The least of several: whatever else runs on the machine can only add.
    return min(timeit.repeat(operation, number=number, repeat=ROUNDS)) / number * 1e6


def main() -> None:
    """Measure everything and print one line for each operation."""
    voice = _voice()
    frames = cycle(voice)
    frame = voice[10]
    operations: dict[str, tuple[Operation, int]] = {
        "mu-law to PCM (the measure)": (lambda: mulaw_decode(frame), 100_000),
        # What the closures around the model cost by themselves.
        "time and frame, no model": (lambda: (next(frames), None), 100_000),
        "put, in order": (_in_order(frames), 100_000),
        "poll, nothing due": (_nothing_due(frames), 100_000),
        "two puts, the second overtaken": (_overtaken(frames), 20_000),
        "put, and one lost and concealed": (_one_lost(frames), 2_000),
        "conceal a frame and join": (_concealment(frame), 2_000),
        "shorten a frame": (lambda: shorten(frame), 2_000),
        "lengthen a frame": (lambda: lengthen(frame), 2_000),
    }
    costs = {name: _cost_us(*operation) for name, operation in operations.items()}
    print_costs("per operation", costs)


if __name__ == "__main__":
    main()
