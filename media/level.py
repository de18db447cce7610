"""Computes the loudness of telephone audio in dBov (RFC 6464)."""

from __future__ import annotations

from math import log10
from typing import Final

from media.g711 import MULAW_PEAK

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
