"""Scores recordings of a call: the delay of the echo, and the voice by PESQ. Pure.

`make bench` works without the package PESQ, which is compiled at installation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from media.g711 import mulaw_encode
from tests.web.speech import (
    MICROPHONE_HZ,
    WINDOW,
    WIRE_HZ,
    Samples,
    best_correlation,
    decode_mulaw,
    looped_delay,
    resampled,
)

try:
    import pesq as _pesq
except ImportError:
    _pesq = None

ECHO_MS_MAX = 400
"""Later than this an echo is not looked for."""
LIKENESS_MIN = 0.7
"""Least likeness of a window to what was said, or it tells no delay."""
RMS_MIN = 0.02
"""A quieter window has little that could be recognised."""


def echo_delays_ms(said: Samples, heard: Samples, window: int = WINDOW) -> list[float]:
    """Return how late each window of what was said is heard, those that can be recognised.

    Both are at 48 kHz and began at the same moment.
    """
    # What is said is limited to the telephone's band, as what comes back has been.
    band = resampled(resampled(said, said.size // 6), said.size)
    most = ECHO_MS_MAX * MICROPHONE_HZ // 1000
    delays = []
    for start in range(0, said.size - window - most, window):
        part = band[start : start + window]
        # A pause is like any other pause.
        if np.sqrt(np.mean(part**2)) < RMS_MIN:
            continue
        score, at = best_correlation(part, heard[start : start + window + most])
        if score >= LIKENESS_MIN:
            delays.append(at * 1000 / MICROPHONE_HZ)
    return delays


def through_g711(samples: Samples) -> Samples:
    """Return what G.711 mu-law leaves of samples at 8 kHz."""
    linear = np.clip(np.round(samples * 32768), -32768, 32767).astype("<i2")
    return decode_mulaw(mulaw_encode(linear.tobytes()))


def has_pesq() -> bool:
    """Whether the package `pesq` is installed."""
    return _pesq is not None


def pesq_of(heard: Samples, said: Samples) -> float:
    """Return PESQ-NB (ITU-T P.862.1) of what was heard, both at 8 kHz."""
    engine: Any = _pesq
    return float(engine.pesq(WIRE_HZ, said, heard, "nb"))


def pesq_beside_g711(heard: Samples, reference: Samples) -> tuple[float, float]:
    """Return PESQ-NB (ITU-T P.862) of what was heard, and of G.711 alone, over the same words.

    `heard` is at 8 kHz, the looped reference at 48 kHz.
    """
    size = heard.size
    fine = resampled(heard, size * MICROPHONE_HZ // WIRE_HZ)
    # The microphone plays its speech in a loop: what was heard began somewhere within it.
    start = looped_delay(fine, reference)
    said = np.resize(np.roll(reference, -start), size * MICROPHONE_HZ // WIRE_HZ)
    clean = resampled(said, size)
    # Beside G.711 over the same words, for the score depends on what is said.
    return pesq_of(heard, clean), pesq_of(through_g711(clean), clean)
