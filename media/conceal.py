"""Conceals lost speech by repeating its pitch period, after ITU-T G.711 Appendix I.

Works on mu-law at 8 kHz. The caller passes what was played last.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from media.g711 import MULAW_SILENCE, SAMPLE_NS
from media.pitch import PITCH_MAX, ramp, to_mulaw, to_wave, trailing_pitch

HISTORY_SAMPLES: Final = 390
"""History that concealment needs: three of the longest periods and a quarter (I.2.2)."""

# I.2.5, I.2.7: one period is repeated for 10 ms, two for another 10 ms, then three; the level is
# full for 10 ms, then falls by a fifth each 10 ms. I.2.7 ends at 60 ms; here the last fifth takes
# 30 ms instead of 10, because silence follows.
STEP: Final = 80
PERIODS_MAX: Final = 3
FADE_END: Final = 400
FADED: Final = 0.2
CONCEALED_SAMPLES_MAX: Final = 640
CONCEALED_NS_MAX: Final = CONCEALED_SAMPLES_MAX * SAMPLE_NS

# I.2.8: speech fades in over a quarter of a period, plus 4 ms for each 10 ms that were lost, at
# most 10 ms.
SEAM_MAX: Final = 80
SEAM_PER_STEP: Final = 32

_SILENCE: Final = bytes([MULAW_SILENCE])
_ALL_CODES: Final = bytes(range(256))
_TIME: Final = np.arange(CONCEALED_SAMPLES_MAX)
_GAIN: Final = np.interp(_TIME, (STEP, FADE_END, CONCEALED_SAMPLES_MAX), (1, FADED, 0))
_FADES: Final = tuple(to_mulaw(to_wave(_ALL_CODES) * gain) for gain in _GAIN[STEP // 2 :: STEP])
"""For each step: the mu-law codes at the gain of its middle."""


class Concealer:
    """Concealment of one stream; silence until it is started."""

    __slots__ = ("_at", "_audio", "_quarter")

    def __init__(self) -> None:
        self._audio = b""
        self._at = 0
        self._quarter = PITCH_MAX // 4

    @property
    def is_over(self) -> bool:
        """Whether only silence is left."""
        return self._at >= len(self._audio)

    def start(self, history: bytes) -> None:
        """Conceal what follows `history`, of which the last 390 samples are used."""
        heard = to_wave(history[-HISTORY_SAMPLES:].rjust(HISTORY_SAMPLES, _SILENCE))
        period = trailing_pitch(heard).lag
        self._quarter = quarter = period // 4
        parts = []
        for count in range(1, PERIODS_MAX + 1):
            span = count * period
            periods = heard[-span:].copy()
            # Fade the end of the repeated part into what preceded it, so that the wrap-around to
            # its start is as smooth as the original was.
            before = heard[-span - quarter : -span]
            gain = ramp(quarter)
            periods[-quarter:] = periods[-quarter:] * (1 - gain) + before * gain
            first, last = (count - 1) * STEP, count * STEP
            # All spans are multiples of one period, so the phase of the pitch continues from part
            # to part.
            parts.append(periods[_TIME[first : last if count < PERIODS_MAX else None] % span])
        self._audio = to_mulaw(np.concatenate(parts) * _GAIN)
        self._at = 0

    def start_roughly(self, history: bytes) -> None:
        """Conceal by repeating the last 10 ms of `history`: a fortieth of the work of `start`."""
        last = history[-STEP:].rjust(STEP, _SILENCE)
        # By translation tables and without numpy: a process that is out of time does this.
        self._audio = b"".join([last.translate(fade) for fade in _FADES])
        self._at = 0

    def finish(self) -> None:
        """Conceal with silence from now on."""
        self._audio = b""
        self._at = 0

    def take(self, samples: int) -> bytes:
        """Return the next samples of the concealment."""
        start = self._at
        self._at = start + samples
        return self._audio[start : self._at].ljust(samples, _SILENCE)

    def join(self, audio: bytes) -> bytes:
        """Return `audio` cross-faded in from the concealment, of the same length."""
        seam = self._quarter + self._at // STEP * SEAM_PER_STEP
        # When only silence is left the frame has nothing to continue: it fades in as slowly as
        # allowed.
        seam = min(len(audio), SEAM_MAX if self.is_over else seam, SEAM_MAX)
        gain = ramp(seam)
        # The concealment goes on below the frame until it has faded out.
        continued = to_wave(self.take(seam))
        return to_mulaw(continued + (to_wave(audio[:seam]) - continued) * gain) + audio[seam:]
