"""Makes speech shorter or longer inaudibly: by whole frames in pauses, else by pitch periods.

Works on one mu-law frame at 8 kHz at a time. A period is removed or repeated by a cross-fade at the
most similar lag, as in WSOLA, which leaves the ends of the frame unchanged. The only state of its
stream is how loud the pauses are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from media.g711 import FRAME_SAMPLES, SAMPLE_BYTES, audioop
from media.pitch import PITCH_MAX, PITCH_MIN, leading_pitch, ramp, to_mulaw, to_wave

SIMILARITY_MIN: Final = 0.85
"""Least normalised correlation at which a change of speech is not heard."""
SIMILARITY_ANY: Final = -1.0
"""For the noise of a pause, which may be changed anywhere."""

HEAD_SAMPLES: Final = 2 * PITCH_MAX
"""Part of a long frame that is worked on: 30 ms, two of the longest periods."""

# Root mean square in 16-bit scale. Below -44 dBov a talker has paused between two words. While
# no one talks, noise up to -35 dBov is a pause too, unless it is louder than the noise before.
QUIET_RMS: Final = 200
PAUSE_RMS: Final = 570
NOISE_RATIO: Final = 3
NOISE_RISE: Final = 1.02
NOISE_RMS_MIN: Final = 8.0

PATIENCE: Final = 10
"""Frames in a row without a period after which only every eighth is searched: loud noise has none,
and a search costs thirty times as much as forwarding a frame."""
STRIDE: Final = 8
NOISE_FRAMES: Final = 75
"""Frames in a row without a period after which the audio is noise: every eighth frame is changed as
in a pause."""


class Stretcher:
    """Stretches and shortens frames of one stream."""

    __slots__ = ("_failures", "_noise_rms", "added", "removed")

    def __init__(self) -> None:
        self._noise_rms = float(QUIET_RMS)
        """Level of the noise: the quietest recent frame. Pauses are recognised by it."""
        self._failures = 0
        """Frames in a row without a period."""
        self.added = 0
        self.removed = 0
        """In samples, so far."""

    def grow(self, frame: bytes, *, is_talking: bool) -> bytes:
        """Return the frame longer by at most 15 ms, or unchanged where that would be heard."""
        is_quiet = self.is_quiet(frame, is_talking)
        # Too short for a cross-fade at any lag; in a pause plain repetition is inaudible.
        if is_quiet and len(frame) < 2 * PITCH_MIN:
            longer = frame * 2
        else:
            longer = self._try(lengthen, frame, is_quiet=is_quiet)
        self.added += len(longer) - len(frame)
        return longer

    def shrink(self, frame: bytes, excess: int, *, is_talking: bool) -> bytes:
        """Return the frame shorter, or unchanged; empty if it is of a pause and the excess allows.

        `excess` is in samples; up to 20 ms of it wait for a pause.
        """
        is_quiet = self.is_quiet(frame, is_talking)
        shorter = frame
        if is_quiet and excess >= len(frame):
            # A whole frame of a pause is left out: nothing has to be searched for or cross-faded.
            shorter = b""
        elif is_quiet or excess > FRAME_SAMPLES:
            shorter = self._try(shorten, frame, is_quiet=is_quiet)
        self.removed += len(frame) - len(shorter)
        return shorter

    def shrink_evenly(self, frame: bytes, excess: int, rest: int, *, is_talking: bool) -> bytes:
        """Return the frame shorter, so that over several frames all excess and rest is removed.

        An excess of 20 ms is removed as two halves in two frames of a pause, a shorter rest in one.
        `excess` and `rest` are in samples.
        """
        samples = rest or FRAME_SAMPLES // 2
        if excess > FRAME_SAMPLES or len(frame) <= samples:
            return self.shrink(frame, excess, is_talking=is_talking)
        if not self.is_quiet(frame, is_talking):
            return self._shrink_noise(frame)
        self.removed += samples
        return overlap(frame, samples)

    def _shrink_noise(self, frame: bytes) -> bytes:
        """Return the frame shorter if there has been only noise for long."""
        # So small an excess is not worth touching speech; noise that has lasted is no speech.
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
        # A period was found: this is speech again, so the next frame is searched as well.
        if changed is not frame:
            self._failures = 0
            return changed
        self._failures += 1
        # Noise hides any splice, so it may be changed without a period.
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
    """Return the frame without 5 to 15 ms of it, or unchanged where that would be heard."""
    head = to_wave(frame[:HEAD_SAMPLES])
    match = leading_pitch(head)
    if match is None or match.similarity < similarity_min:
        return frame
    return overlap(frame[:HEAD_SAMPLES], match.lag) + frame[HEAD_SAMPLES:]


def overlap(frame: bytes, lag: int) -> bytes:
    """Return the frame shorter by `lag` samples: cross-faded into itself that much later."""
    wave = to_wave(frame)
    # The fade begins with the frame's first sample and ends at its last, so it joins its neighbours
    # as it did before.
    early, late = wave[:-lag], wave[lag:]
    return to_mulaw(early + (late - early) * ramp(len(early)))


def lengthen(frame: bytes, similarity_min: float = SIMILARITY_MIN) -> bytes:
    """Return the frame with 5 to 15 ms of it repeated, or unchanged where that would be heard."""
    head = to_wave(frame[:HEAD_SAMPLES])
    match = leading_pitch(head)
    if match is None or match.similarity < similarity_min:
        return frame
    lag = match.lag
    early, late = head[:-lag], head[lag:]
    # From the later part back into the earlier one, after which the later part is heard again.
    longer = np.concatenate((head[:lag], late + (early - late) * ramp(len(early)), head[-lag:]))
    return to_mulaw(longer) + frame[HEAD_SAMPLES:]
