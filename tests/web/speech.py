"""A signal that behaves like speech, for a fake microphone, and the means to recognise it. Pure."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

MICROPHONE_HZ = 48_000
WIRE_HZ = 8_000


def speech_like(seconds: float, rate_hz: int, seed: int = 7) -> Samples:
    """Return syllables: a gliding pitch with its overtones, shaped, with pauses between words."""
    rng = np.random.default_rng(seed)
    out = np.zeros(int(seconds * rate_hz))
    at = int(0.1 * rate_hz)
    while at < out.size - rate_hz // 2:
        count = int(rng.uniform(0.12, 0.32) * rate_hz)
        out[at : at + count] += _syllable(count, rate_hz, rng)
        pause = rng.uniform(0.02, 0.06) if rng.random() < 0.7 else rng.uniform(0.15, 0.35)
        at += count + int(pause * rate_hz)
    return 0.5 * out / np.abs(out).max()


def _syllable(count: int, rate_hz: int, rng: np.random.Generator) -> Samples:
    time = np.arange(count) / rate_hz
    pitch = rng.uniform(95, 160) + rng.uniform(-30, 30) * time / time[-1]
    phase = 2 * np.pi * np.cumsum(pitch) / rate_hz
    formants = [(rng.uniform(300, 800), 120), (rng.uniform(900, 2200), 180), (2600, 250)]
    voice = np.zeros(count)
    for harmonic in range(1, 26):
        hz = harmonic * pitch.mean()
        gain = sum(np.exp(-(((hz - f) / (2 * width)) ** 2)) for f, width in formants)
        voice += (gain + 0.02) * np.sin(harmonic * phase + rng.uniform(0, 2 * np.pi))
    envelope = np.sin(np.pi * np.arange(count) / count) ** 0.5
    return voice * envelope


def write_wav(path: Path, samples: Samples, rate_hz: int) -> None:
    """Write mono 16-bit PCM."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def decode_mulaw(codes: bytes) -> Samples:
    """Decode G.711 mu-law (ITU-T G.711 table 2a)."""
    bits = ~np.frombuffer(codes, np.uint8) & 0xFF
    exponent, mantissa = (bits >> 4) & 7, (bits & 15).astype(np.int64)
    magnitude = (((mantissa << 3) + 132) << exponent) - 132
    return np.where(bits & 0x80, -magnitude, magnitude) / 32768


WINDOW = MICROPHONE_HZ * 2 // 5
SEARCH = MICROPHONE_HZ * 60 // 1000
"""Samples at 48 kHz that a window may be off the one before."""
SHORT_WINDOW = WINDOW // 2
SPEEDS = [1 + permille / 1000 for permille in range(-4, 5)]
"""So close that half a step does not blur a short window."""


def likeness(heard: Samples, reference: Samples, window: int = WINDOW) -> float:
    """Return how much this is the looped reference: 1 for the same waveform, near 0 for another.

    `heard` is at 8 kHz, the reference at 48 kHz. It is the median over windows of the best
    normalised correlation. Each window is aligned to a sixth of an 8 kHz sample, at most 60 ms from
    where the one before was found, and silent ones do not count: gain control, the framing's phase
    and a playout that follows the network must not decide.
    """
    fine = resampled(heard, heard.size * MICROPHONE_HZ // WIRE_HZ)
    clean = resampled(resampled(reference, reference.size // 6), reference.size)
    delay = looped_delay(fine, clean)
    scores = []
    for start in range(0, fine.size - window, window):
        part = fine[start : start + window]
        if np.sqrt(np.mean(part**2)) < 0.01:
            continue
        around = np.roll(clean, SEARCH - (start + delay) % clean.size)[: window + 2 * SEARCH]
        score, at = best_correlation(part, around)
        scores.append(score)
        if score > 0.5:
            delay += at - SEARCH
    return float(np.median(scores)) if scores else 0.0


def likeness_at_any_speed(heard: Samples, reference: Samples) -> float:
    """As `likeness`, but of a player that follows its sender's clock by up to 0.4 %."""
    sizes = [round(heard.size * speed) for speed in SPEEDS]
    return max(likeness(resampled(heard, size), reference, SHORT_WINDOW) for size in sizes)


def resampled(samples: Samples, size: int) -> Samples:
    """Return the same signal in another number of samples, ideally band-limited."""
    spectrum = np.fft.rfft(samples)[: size // 2 + 1]
    return np.asarray(np.fft.irfft(spectrum, size)) * size / samples.size


def looped_delay(heard: Samples, reference: Samples) -> int:
    """Return where in the looped reference the signal starts, by circular correlation."""
    size = reference.size
    padded = np.zeros(size)
    padded[: min(size, heard.size)] = heard[:size]
    spectrum = np.fft.rfft(reference) * np.conj(np.fft.rfft(padded))
    return int(np.argmax(np.fft.irfft(spectrum, size)))


def best_correlation(part: Samples, around: Samples) -> tuple[float, int]:
    """Return the largest normalised correlation and where in `around` it is."""
    size = around.size + part.size
    spectrum = np.fft.rfft(around, size) * np.conj(np.fft.rfft(part, size))
    products = np.fft.irfft(spectrum, size)[: around.size - part.size + 1]
    energy = np.concatenate(([0.0], np.cumsum(around**2)))
    norms = np.sqrt(np.maximum(energy[part.size :] - energy[: -part.size], 0))
    scores = products / (norms * np.linalg.norm(part) + 1e-12)
    at = int(np.argmax(scores))
    return float(scores[at]), at
