"""Finds the pitch period of speech: the lag at which a signal is most similar to itself.

Arithmetic on samples at 8 kHz.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from media.g711 import mulaw_decode, mulaw_encode

# ITU-T G.711 Appendix I, I.2.3: periods from 5 to 15 ms, 200 down to 66 Hz, found by comparing the
# last 20 ms. For a higher voice this finds a multiple of its period, which serves as well.
PITCH_MIN: Final = 40
PITCH_MAX: Final = 120
WINDOW: Final = 160

OVERLAP_MIN: Final = 40
"""Fewest samples over which a signal is compared with itself: 5 ms."""

# The correlation of digital silence would be 0 / 0; adding this much energy makes it 0. It is far
# below the energy of a single mu-law step.
ENERGY_MIN: Final = 1.0

Wave: TypeAlias = NDArray[np.float64]


class Match(NamedTuple):
    """How similar a signal is to itself."""

    lag: int
    """Best lag in samples."""
    similarity: float
    """Normalised correlation at that lag, -1 to 1."""


def to_wave(mulaw: bytes) -> Wave:
    """Return the samples of mu-law in 16-bit scale."""
    return np.frombuffer(mulaw_decode(mulaw), "<i2").astype(np.float64)


def to_mulaw(wave: Wave) -> bytes:
    """Return mu-law for samples in 16-bit scale, which must not exceed it."""
    return mulaw_encode(np.rint(wave).astype("<i2").tobytes())


def ramp(samples: int) -> Wave:
    """Return the gain of the incoming side of a cross-fade: rising, ending just below 1."""
    return np.arange(samples, dtype=np.float64) / max(1, samples)


def trailing_pitch(wave: Wave) -> Match:
    """Return the period at the end of a signal of at least `WINDOW + PITCH_MAX` samples."""
    target = wave[-WINDOW:]
    # Every window that ends PITCH_MIN to PITCH_MAX samples before the target does.
    past = wave[-WINDOW - PITCH_MAX : -PITCH_MIN]
    cross = np.correlate(past, target, "valid")
    energies = np.concatenate(([0.0], np.cumsum(past * past)))
    energy = (energies[WINDOW:] - energies[:-WINDOW]) * float(target @ target)
    similarity = cross / np.sqrt(energy + ENERGY_MIN)
    best = int(similarity.argmax())
    # The first position is the oldest, and so the longest lag.
    return Match(PITCH_MAX - best, float(similarity[best]))


def leading_pitch(wave: Wave) -> Match | None:
    """Return the lag at which a whole signal best overlaps itself; None if it is too short."""
    size = len(wave)
    lag_max = min(PITCH_MAX, size - OVERLAP_MIN)
    if lag_max < PITCH_MIN:
        return None
    lags = np.arange(PITCH_MIN, lag_max + 1)
    # The full correlation has lag 0 in its middle, at size - 1.
    cross = np.correlate(wave, wave, "full")[size - 1 + lags]
    # Running sums give the energy of every overlap without a loop.
    energies = np.concatenate(([0.0], np.cumsum(wave * wave)))
    energy = energies[size - lags] * (energies[size] - energies[lags])
    similarity = cross / np.sqrt(energy + ENERGY_MIN)
    best = int(similarity.argmax())
    return Match(PITCH_MIN + best, float(similarity[best]))
