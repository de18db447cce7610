"""`python -m benchmarks.frame_path`: the cost of the audio work on one 20 ms frame.

Each figure is the best of several rounds, in microseconds and as a multiple of the minimum that
anyone who looks into a frame must pay, the decoding of mu-law. Multiples compare between machines,
microseconds do not.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Final

import numpy as np

from benchmarks.micro import print_costs
from media import tones
from media.g711 import FRAME_SAMPLES, SILENCE_FRAME, audioop, mulaw_decode, mulaw_encode
from media.resample import WIDE_FRAME_SAMPLES, Downsampler, Upsampler
from media.vad import TalkDetector

ROUNDS: Final = 7
CALLS_PER_ROUND: Final = 20_000
FRAMES: Final = 50
"""Different frames that each operation is given in turn: one second."""

Operation = Callable[[bytes], object]


def _noise(samples: int) -> list[bytes]:
    """Return frames of loud noise as PCM: the dearest input for each operation."""
    # Seeded, so that two runs compare the same work.
    wave = np.random.default_rng(seed=0).normal(0, 4_000, (FRAMES, samples))
    return [frame.astype("<i2").tobytes() for frame in np.clip(wave, -32_768, 32_767)]


def _operations() -> dict[str, tuple[Operation, list[bytes]]]:
    wide = _noise(WIDE_FRAME_SAMPLES)
    narrow = _noise(FRAME_SAMPLES)
    mulaw = [mulaw_encode(frame) for frame in narrow]
    # Packets of 10 ms reach the same code as half frames.
    halves = [frame[: FRAME_SAMPLES // 2] for frame in mulaw]
    frame_at = tones.ringback("US").frame
    return {
        "mu-law to PCM (the measure)": (mulaw_decode, mulaw),
        "PCM to mu-law": (mulaw_encode, narrow),
        "level of PCM": (lambda pcm: audioop.rms(pcm, 2), narrow),
        "look up a frame of ringback": (lambda _: frame_at(7), mulaw),
        "talk detector, noise": (TalkDetector().feed, mulaw),
        "talk detector, silence": (TalkDetector().feed, [SILENCE_FRAME] * FRAMES),
        "talk detector, half a frame": (TalkDetector().feed, halves),
        "16 kHz PCM to mu-law": (Downsampler().convert, wide),
        "mu-law to 16 kHz PCM": (Upsampler().convert, mulaw),
        "mu-law to 16 kHz PCM, half a frame": (Upsampler().convert, halves),
    }


def _cost_us(operation: Operation, frames: list[bytes]) -> float:
    """Return the least cost of one call, the loop around it not counted."""

    def work() -> None:
        for frame in frames:
            operation(frame)

    def idle() -> None:
        for _ in frames:
            pass

    number = CALLS_PER_ROUND // len(frames)
    # The least of several: whatever else runs on the machine can only add.
    busy_s, idle_s = (min(timeit.repeat(run, number=number, repeat=ROUNDS)) for run in (work, idle))
    return (busy_s - idle_s) / (number * len(frames)) * 1e6


def main() -> None:
    """Measure everything and print one line for each operation."""
    costs = {name: _cost_us(*operation) for name, operation in _operations().items()}
    print_costs("per call", costs)


if __name__ == "__main__":
    main()
