"""Shortens or lengthens speech inaudibly: by whole frames in pauses, otherwise by pitch periods.

Works on one mu-law frame at 8 kHz at a time. A period is removed or repeated by a cross-fade at the
most similar lag, as in WSOLA, which leaves the ends of the frame unchanged. Knows nothing of the
stream but how loud its pauses are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from media.g711 import FRAME_SAMPLES, SAMPLE_BYTES, audioop
from media.pitch import PITCH_MAX, PITCH_MIN, leading_pitch, ramp, to_mulaw, to_wave

SIMILARITY_MIN: Final = 0.85
"""How similar speech must be to itself to be changed inaudibly."""
SIMILARITY_ANY: Final = -1.0
"""The noise of a pause may be changed anywhere."""

HEAD_SAMPLES: Final = 2 * PITCH_MAX
"""Only the first 30 ms of a long frame are processed: room for two of the longest periods."""

# Root mean square in 16-bit scale: below -44 dBov a talker is pausing between two words; while
# nobody talks, noise up to -35 dBov is a pause too, unless it stands out from what preceded it.
QUIET_RMS: Final = 200
PAUSE_RMS: Final = 570
NOISE_RATIO: Final = 3
NOISE_RISE: Final = 1.02
NOISE_RMS_MIN: Final = 8.0

PATIENCE: Final = 10
"""After this many frames in a row without a period, only every eighth is examined: loud noise has
none, and examining costs thirty times as much as forwarding a frame."""
STRIDE: Final = 8
NOISE_FRAMES: Final = 75
"""After this many frames in a row without a period the signal is taken for noise, and an examined
frame is changed as in a pause."""


class Stretcher:
    """Changes frames of one stream on request."""

    __slots__ = ("_failures", "_noise_rms", "added", "removed")

    def __init__(self) -> None:
        self._noise_rms = float(QUIET_RMS)
        """The quietest recent level, by which pauses are recognised."""
        self._failures = 0
        self.added = 0
        self.removed = 0
        """In samples, so far."""

    def change(
        self, frame: bytes, is_short: bool, excess: int, rest: int, *, is_talking: bool
    ) -> bytes:
        """Return the frame lengthened if `is_short`, otherwise shortened by any excess.

        May be empty.
        """
        if is_short:
            return self.grow(frame, is_talking=is_talking)
        return self.shrink_evenly(frame, excess, rest, is_talking=is_talking)

    def grow(self, frame: bytes, *, is_talking: bool) -> bytes:
        """Return the frame longer by up to 15 ms, or unchanged if that would be audible."""
        is_quiet = self.is_quiet(frame, is_talking)
        # Too short for a cross-fade at any lag; in a pause plain repetition is inaudible.
        if is_quiet and len(frame) < 2 * PITCH_MIN:
            longer = frame * 2
        else:
            longer = self._try(lengthen, frame, is_quiet=is_quiet)
        self.added += len(longer) - len(frame)
        return longer

    def shrink(self, frame: bytes, excess: int, *, is_talking: bool) -> bytes:
        """Return the frame shortened, or unchanged; in a pause the whole frame may go.

        An excess of 20 ms of samples or less waits for a pause.
        """
        is_quiet = self.is_quiet(frame, is_talking)
        shorter = frame
        if is_quiet and excess >= len(frame):
            shorter = b""
        elif is_quiet or excess > FRAME_SAMPLES:
            shorter = self._try(shorten, frame, is_quiet=is_quiet)
        self.removed += len(frame) - len(shorter)
        return shorter

    def shrink_evenly(self, frame: bytes, excess: int, rest: int, *, is_talking: bool) -> bytes:
        """Return the frame shortened so that, over several, excess and rest go exactly.

        An excess of 20 ms is removed in halves, from two frames of a pause; a smaller rest from
        one.
        """
        samples = rest or FRAME_SAMPLES // 2
        if excess > FRAME_SAMPLES or len(frame) <= samples:
            return self.shrink(frame, excess, is_talking=is_talking)
        if not self.is_quiet(frame, is_talking):
            return self._shrink_noise(frame)
        self.removed += samples
        return overlap(frame, samples)

    def _shrink_noise(self, frame: bytes) -> bytes:
        """Return the frame shortened if there has been only noise for a while."""
        if self._failures < NOISE_FRAMES:
            return frame
        shorter = self._try(shorten, frame, is_quiet=False)
        self.removed += len(frame) - len(shorter)
        return shorter

    def _try(
        self, change: Callable[[bytes, float], bytes], frame: bytes, *, is_quiet: bool
    ) -> bytes:
        if is_quiet:
            return change(frame, SIMILARITY_ANY)
        changed = frame
        if self._failures < PATIENCE or not self._failures % STRIDE:
            changed = change(frame, SIMILARITY_MIN)
        if changed is not frame:
            self._failures = 0
            return changed
        self._failures += 1
        if self._failures > NOISE_FRAMES and not self._failures % STRIDE:
            changed = change(frame, SIMILARITY_ANY)
        return changed

    def is_quiet(self, frame: bytes, is_talking: bool) -> bool:
        """Return whether the frame belongs to a pause."""
        rms = float(audioop.rms(audioop.ulaw2lin(frame, SAMPLE_BYTES), SAMPLE_BYTES))
        # The noise floor falls at once and rises slowly: speech must not raise it.
        noise_rms = self._noise_rms
        self._noise_rms = max(rms, NOISE_RMS_MIN) if rms < noise_rms else noise_rms * NOISE_RISE
        return rms < NOISE_RATIO * noise_rms and rms < (QUIET_RMS if is_talking else PAUSE_RMS)


def shorten(frame: bytes, similarity_min: float = SIMILARITY_MIN) -> bytes:
    """Return the frame without 5 to 15 ms of it, or unchanged if that would be audible."""
    head = to_wave(frame[:HEAD_SAMPLES])
    match = leading_pitch(head)
    if match is None or match.similarity < similarity_min:
        return frame
    return overlap(frame[:HEAD_SAMPLES], match.lag) + frame[HEAD_SAMPLES:]


def overlap(frame: bytes, lag: int) -> bytes:
    """Return the frame cross-faded into its own continuation `lag` samples later."""
    wave = to_wave(frame)
    early, late = wave[:-lag], wave[lag:]
    return to_mulaw(early + (late - early) * ramp(len(early)))


def lengthen(frame: bytes, similarity_min: float = SIMILARITY_MIN) -> bytes:
    """Return the frame with 5 to 15 ms of it repeated, or unchanged if that would be audible."""
    head = to_wave(frame[:HEAD_SAMPLES])
    match = leading_pitch(head)
    if match is None or match.similarity < similarity_min:
        return frame
    lag = match.lag
    early, late = head[:-lag], head[lag:]
    longer = np.concatenate((head[:lag], late + (early - late) * ramp(len(early)), head[-lag:]))
    return to_mulaw(longer) + frame[HEAD_SAMPLES:]
