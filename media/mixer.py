"""Adds voices without clipping: what would be too loud together is turned down, and then let up.

Mu-law at 8 kHz.
"""

from __future__ import annotations

from typing import Final

from media.errors import FormatError
from media.g711 import MULAW_PEAK, SAMPLE_BYTES, audioop

RELEASE_PER_FRAME: Final = 0.05
"""By how much the gain rises again in each piece: back from the half within ten, a fifth of a
second, which is no faster than syllables and so is not heard as a flutter."""


class Mixer:
    """The sum of two sources, and its gain from piece to piece."""

    __slots__ = ("_gain",)

    def __init__(self) -> None:
        self._gain = 1.0

    def mix(self, first: bytes, second: bytes) -> bytes:
        """Return the sum of two pieces of mu-law of one length.

        Raises:
            FormatError: They differ in length.

        """
        if len(first) != len(second):
            raise FormatError("Only pieces of one length can be added.")
        # Halves, whose sum has room in 16 bits whatever they are.
        half = audioop.add(
            audioop.mul(audioop.ulaw2lin(first, SAMPLE_BYTES), SAMPLE_BYTES, 0.5),
            audioop.mul(audioop.ulaw2lin(second, SAMPLE_BYTES), SAMPLE_BYTES, 0.5),
            SAMPLE_BYTES,
        )
        peak = 2 * audioop.max(half, SAMPLE_BYTES)
        # Down at once, so that not one sample clips, and up step by step.
        gain = min(1.0, self._gain + RELEASE_PER_FRAME)
        if peak * gain > MULAW_PEAK:
            gain = MULAW_PEAK / peak
        self._gain = gain
        return audioop.lin2ulaw(audioop.mul(half, SAMPLE_BYTES, 2 * gain), SAMPLE_BYTES)
