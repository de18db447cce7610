"""Signals that the called party plays: a tone and a speech-like babble, as mu-law.

Everything is computed, nothing recorded, so no file and no licence is involved; the same call
gives the same bytes. Offline work: a clip is made once and kept.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from media.g711 import MULAW_SILENCE, RATE_HZ, mulaw_encode

_Samples = npt.NDArray[np.float64]

# First three formants of five vowels (Peterson & Barney 1952, adult men, rounded), in Hz.
_VOWELS_HZ: Final = (
    (730, 1090, 2440),
    (530, 1840, 2480),
    (270, 2290, 3010),
    (570, 840, 2410),
    (300, 870, 2240),
)
_FORMANT_WIDTHS_HZ: Final = (80, 110, 160)


def _encode(samples: _Samples, peak: float) -> bytes:
    """Return mu-law with the given peak, as a share of full scale."""
    top = float(np.max(np.abs(samples))) or 1.0
    pcm = np.asarray(samples / top * peak * 32767.0, dtype="<i2")
    return mulaw_encode(pcm.tobytes())


@lru_cache(maxsize=8)
def tone(hz: int, duration_ms: int, level: float = 0.25) -> bytes:
    """Return a sine; 1 kHz over whole 20 ms frames joins itself without a click."""
    at_s = np.arange(RATE_HZ * duration_ms // 1000) / RATE_HZ
    return _encode(np.sin(2 * np.pi * hz * at_s), level)


def silence(duration_ms: int) -> bytes:
    """Return digital silence."""
    return bytes([MULAW_SILENCE]) * (RATE_HZ // 1000 * duration_ms)


@lru_cache(maxsize=8)
def speech(duration_ms: int, seed: int = 1) -> bytes:
    """Return a babble of syllables in phrases with pauses: speech to any voice detector.

    A glottal pulse train with a wandering pitch is filtered by the formants of a vowel chosen
    per syllable; a noise burst stands for the consonant before it.
    """
    random = np.random.default_rng(seed)
    wanted = RATE_HZ * duration_ms // 1000
    parts: list[_Samples] = []
    length = 0
    while length < wanted:
        for _ in range(int(random.integers(4, 9))):
            parts.append(_syllable(random))
            length += len(parts[-1])
        pause = np.zeros(int(RATE_HZ * random.uniform(0.25, 0.7)))
        parts.append(pause)
        length += len(pause)
    return _encode(np.concatenate(parts)[:wanted], 0.5)


def _syllable(random: np.random.Generator) -> _Samples:
    vowel = _VOWELS_HZ[int(random.integers(len(_VOWELS_HZ)))]
    count = int(RATE_HZ * random.uniform(0.12, 0.26))
    pitch_hz = random.uniform(95, 140) * np.linspace(1.08, 0.92, count)
    phase = np.cumsum(pitch_hz / RATE_HZ)
    # A pulse wherever the phase passes a whole cycle.
    source = np.diff(np.floor(phase), prepend=0.0)
    voiced = _resonate(source, vowel)
    voiced *= np.hanning(count) / (float(np.max(np.abs(voiced))) or 1.0)
    burst = random.standard_normal(int(RATE_HZ * 0.03)) * np.hanning(int(RATE_HZ * 0.03)) * 0.15
    return np.concatenate([burst, voiced])


def _resonate(source: _Samples, formants_hz: tuple[int, int, int]) -> _Samples:
    """Filter in the frequency domain: the offline twin of three resonators in cascade."""
    spectrum = np.fft.rfft(source)
    hz = np.fft.rfftfreq(len(source), 1 / RATE_HZ)
    response = np.ones_like(hz)
    for centre, width in zip(formants_hz, _FORMANT_WIDTHS_HZ, strict=True):
        response *= 0.05 + 1.0 / (1.0 + ((hz - centre) / width) ** 2)
    return np.fft.irfft(spectrum * response, len(source))
