"""Converts mu-law and A-law (ITU-T G.711) to and from linear samples; defines frame and level.

PCM is 16-bit signed little-endian mono.
"""

from __future__ import annotations

import warnings
from math import log10
from typing import Final

from media.errors import FormatError

with warnings.catch_warnings():
    # In the standard library up to Python 3.12, where importing it warns; from 3.13 on the package
    # audioop-lts provides the same module.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

# `audioop` is exported for modules of this package that call it for each frame.
__all__ = [
    "ALAW_SILENCE",
    "FRAME_MS",
    "FRAME_NS",
    "FRAME_SAMPLES",
    "MULAW_PEAK",
    "MULAW_SILENCE",
    "RATE_HZ",
    "SAMPLES_PER_MS",
    "SAMPLE_BYTES",
    "SAMPLE_NS",
    "SILENCE_DBOV",
    "SILENCE_FRAME",
    "alaw_decode",
    "alaw_encode",
    "audioop",
    "level_dbov",
    "mulaw_decode",
    "mulaw_encode",
]

RATE_HZ: Final = 8_000
FRAME_MS: Final = 20
FRAME_SAMPLES: Final = RATE_HZ * FRAME_MS // 1_000
"""Samples in a 20 ms frame; in mu-law and A-law also bytes."""
SAMPLES_PER_MS: Final = RATE_HZ // 1_000
SAMPLE_NS: Final = 1_000_000_000 // RATE_HZ
FRAME_NS: Final = FRAME_SAMPLES * SAMPLE_NS
SAMPLE_BYTES: Final = 2
"""Size of one PCM sample."""

MULAW_SILENCE: Final = 0xFF
"""The mu-law code of +0 (G.711 table 2a)."""
ALAW_SILENCE: Final = 0xD5
"""The code of the smallest positive value in A-law, which has no zero (G.711 table 1a)."""
MULAW_PEAK: Final = 32_124
"""The largest decoded magnitude: 8031 of G.711 table 2a, in 16 bits."""
SILENCE_FRAME: Final = bytes([MULAW_SILENCE]) * FRAME_SAMPLES
"""20 ms of mu-law silence."""


def mulaw_decode(mulaw: bytes) -> bytes:
    """Return PCM for mu-law: two bytes per byte."""
    return audioop.ulaw2lin(mulaw, SAMPLE_BYTES)


def mulaw_encode(pcm: bytes) -> bytes:
    """Return mu-law for PCM: one byte per two bytes.

    Raises:
        FormatError: The input ends in the middle of a sample.

    """
    _require_whole_samples(pcm)
    return audioop.lin2ulaw(pcm, SAMPLE_BYTES)


def alaw_decode(alaw: bytes) -> bytes:
    """Return PCM for A-law: two bytes per byte."""
    return audioop.alaw2lin(alaw, SAMPLE_BYTES)


def alaw_encode(pcm: bytes) -> bytes:
    """Return A-law for PCM: one byte per two bytes.

    Raises:
        FormatError: The input ends in the middle of a sample.

    """
    _require_whole_samples(pcm)
    return audioop.lin2alaw(pcm, SAMPLE_BYTES)


def _require_whole_samples(pcm: bytes) -> None:
    # Otherwise audioop raises an error type of its own, which callers do not know.
    if len(pcm) % SAMPLE_BYTES:
        raise FormatError("PCM must be whole 16-bit samples.")


SILENCE_DBOV: Final = -127
"""The lowest level that RFC 6464 can express, also used for digital silence."""


def level_dbov(rms: float) -> int:
    """Return the level of samples with this root mean square, from -127 to 0 dBov.

    RFC 6464 section 3: 0 dBov is the loudest signal the codec can carry, which in mu-law is a
    square wave between its two extreme values.
    """
    # Silence has no logarithm, and mu-law has no code but zero below 1.
    if rms < 1:
        return SILENCE_DBOV
    return min(0, round(20 * log10(rms / MULAW_PEAK)))
