"""Speech made shorter or longer unheard: by whole frames in pauses, else by pitch periods.

Works on one mu-law frame at 8 kHz at a time. A period is removed or repeated by a cross-fade at the
most similar lag, as in WSOLA, which leaves the frame's ends as they were. Knows no stream but how
loud its pauses are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from media.g711 import FRAME_SAMPLES, SAMPLE_BYTES, audioop
from media.pitch import PITCH_MAX, PITCH_MIN, leading_pitch, ramp, to_mulaw, to_wave

SIMILARITY_MIN: Final = 0.85
"""Speech must resemble itself so well to be changed unheard."""
SIMILARITY_ANY: Final = -1.0
"""The noise of a pause may be changed anywhere."""

HEAD_SAMPLES: Final = 2 * PITCH_MAX
"""Of a long frame only the first 30 ms are worked on: room for two of the longest periods."""

# Root mean square in 16-bit scale: below -44 dBov a talker has paused between two words; while
# nobody talks noise up to -35 dBov is a pause too, unless it stands out from what was before.
QUIET_RMS: Final = 200
PAUSE_RMS: Final = 570
NOISE_RATIO: Final = 3
NOISE_RISE: Final = 1.02
NOISE_RMS_MIN: Final = 8.0

PATIENCE: Final = 10
"""Frames in a row without a period after which only each eighth is looked at: loud noise has none,
and looking costs thirty times as much as passing a frame on."""
STRIDE: Final = 8
NOISE_FRAMES: Final = 75
"""Frames in a row without a period after which what is heard is noise, and is changed as a pause
is where it is looked at."""


class Stretcher:
    """Changes frames of one stream on request."""

    __slots__ = ("_failures", "_noise_rms", "added", "removed")

    def __init__(self) -> None:
        self._noise_rms = float(QUIET_RMS)
        """The quietest of late, which pauses are told by."""
        self._failures = 0
        self.added = 0
        self.removed = 0
        """In samples, of all frames."""

    def change(
        self, frame: bytes, is_short: bool, excess: int, rest: int, *, is_talking: bool
    ) -> bytes:
        """Return the frame longer if it is to be, else shorter by what is in excess, or empty."""
        if is_short:
            return self.grow(frame, is_talking=is_talking)
        return self.shrink_evenly(frame, excess, rest, is_talking=is_talking)

    def grow(self, frame: bytes, *, is_talking: bool) -> bytes:
        """Return the frame longer by 15 ms at most, or as it is where that would be heard."""
        is_quiet = self.is_quiet(frame, is_talking)
        if is_quiet and len(frame) < 2 * PITCH_MIN:
            longer = frame * 2
        else:
            longer = self._try(lengthen, frame, is_quiet=is_quiet)
        self.added += len(longer) - len(frame)
        return longer

    def shrink(self, frame: bytes, excess: int, *, is_talking: bool) -> bytes:
        """Return the frame shorter, or as it is; the whole of a pause's frame goes if it may.

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
        """Return the frame shorter, so that with others all of the excess and the rest goes.

        An excess of 20 ms goes by halves, in two frames of a pause, and a rest of less in one.
        """
        samples = rest or FRAME_SAMPLES // 2
        if excess > FRAME_SAMPLES or len(frame) <= samples:
            return self.shrink(frame, excess, is_talking=is_talking)
        if not self.is_quiet(frame, is_talking):
            return self._shrink_noise(frame)
        self.removed += samples
        return overlap(frame, samples)

    def _shrink_noise(self, frame: bytes) -> bytes:
        """Return the frame shorter if there has long been noise alone."""
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
        """Return whether the frame is of a pause."""
        rms = float(audioop.rms(audioop.ulaw2lin(frame, SAMPLE_BYTES), SAMPLE_BYTES))
        noise_rms = self._noise_rms
        self._noise_rms = max(rms, NOISE_RMS_MIN) if rms < noise_rms else noise_rms * NOISE_RISE
        return rms < NOISE_RATIO * noise_rms and rms < (QUIET_RMS if is_talking else PAUSE_RMS)


def shorten(frame: bytes, similarity_min: float = SIMILARITY_MIN) -> bytes:
    """Return the frame without 5 to 15 ms of it, or as it is where that would be heard."""
    head = to_wave(frame[:HEAD_SAMPLES])
    match = leading_pitch(head)
    if match is None or match.similarity < similarity_min:
        return frame
    return overlap(frame[:HEAD_SAMPLES], match.lag) + frame[HEAD_SAMPLES:]


def overlap(frame: bytes, lag: int) -> bytes:
    """Return the frame cross-faded into what comes so many samples later in it."""
    wave = to_wave(frame)
    early, late = wave[:-lag], wave[lag:]
    return to_mulaw(early + (late - early) * ramp(len(early)))


def lengthen(frame: bytes, similarity_min: float = SIMILARITY_MIN) -> bytes:
    """Return the frame with 5 to 15 ms of it repeated, or as it is where that would be heard."""
    head = to_wave(frame[:HEAD_SAMPLES])
    match = leading_pitch(head)
    if match is None or match.similarity < similarity_min:
        return frame
    lag = match.lag
    early, late = head[:-lag], head[lag:]
    longer = np.concatenate((head[:lag], late + (early - late) * ramp(len(early)), head[-lag:]))
    return to_mulaw(longer) + frame[HEAD_SAMPLES:]
