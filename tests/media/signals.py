"""Sounds to test with, and instruments to measure them: all in 16-bit scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from media.g711 import RATE_HZ, mulaw_decode, mulaw_encode

Wave = NDArray[np.float64]


def sine(hz: float, seconds: float, *, rate_hz: int = RATE_HZ, peak: float = 8_000) -> Wave:
    return peak * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def to_pcm(wave: Wave) -> bytes:
    return np.clip(np.rint(wave), -32_768, 32_767).astype("<i2").tobytes()


def from_pcm(pcm: bytes) -> Wave:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def to_mulaw(wave: Wave) -> bytes:
    return mulaw_encode(to_pcm(wave))


def from_mulaw(mulaw: bytes) -> Wave:
    return from_pcm(mulaw_decode(mulaw))


def goertzel(wave: Wave, hz: float, rate_hz: int = RATE_HZ) -> float:
    """Return the amplitude of one frequency: Goertzel's recurrence in closed form."""
    turn = np.exp(-2j * np.pi * hz * np.arange(len(wave)) / rate_hz)
    return float(2 * abs(turn @ wave) / len(wave))


def voice(seconds: float, *, peak: float = 9_000, pitch_hz: float = 120) -> Wave:
    """Return vowels: pitch pulses that glide, through the resonances of a mouth, in syllables."""
    samples = round(seconds * RATE_HZ)
    time = np.arange(samples) / RATE_HZ
    phase = np.cumsum(pitch_hz * (1 + 0.15 * np.sin(2 * np.pi * 1.3 * time)) / RATE_HZ)
    pulses = np.diff(np.floor(phase), prepend=0.0)
    mouth = sum(
        gain * np.exp(-time[:400] * 400) * np.sin(2 * np.pi * hz * time[:400])
        for hz, gain in ((650, 1.0), (1_080, 0.6), (2_650, 0.3))
    )
    wave = np.convolve(pulses, mouth)[:samples] * (0.7 + 0.3 * np.sin(2 * np.pi * 4 * time))
    return np.asarray(peak * wave / np.abs(wave).max(), np.float64)
