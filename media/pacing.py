"""Decides what audio to send to a listener, and when, so that a burst does not become delay.

The listener has a jitter buffer, which smooths what networks do to frames. A sender that stalls and
then sends everything at once would fill that buffer, and a buffer that has seen late audio keeps
room for more. So a stall is signalled as a gap, and what it delayed is forwarded as evenly as it is
played. Meanwhile it is shortened here; the listener's buffer notices nothing.

Works on mu-law at 8 kHz. Times are nanoseconds of one clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from media.clock import MS_NS, NEVER_NS, Waiter
from media.g711 import FRAME_NS, SAMPLE_NS, SAMPLES_PER_MS
from media.lead_control import CAP_NS, HARD_NS
from media.pitch import ramp, to_mulaw, to_wave
from media.speech_repair import RepairBudget
from media.stretch import SIMILARITY_ANY, Stretcher, shorten

LOOSE_NS: Final = 80 * MS_NS
"""A frame that is early or late by less is forwarded as it comes: that is what the listener's
buffer is for."""
FOLLOW_SHIFT: Final = 5
"""Clocks drift, so each frame shifts the schedule by a thirty-second of its own deviation."""
TICK_NS: Final = 10 * MS_NS
PACED_NS_MIN: Final = 100 * MS_NS
"""Frames are paced for at least this long after a stall: what it delayed arrives within that."""
REPEAT_NS: Final = 10_000 * MS_NS
"""A stall that recurs within this is expected again for as long."""
RESERVE_NS: Final = 40 * MS_NS
"""Most audio kept in reserve for such a stall."""
PATIENCE_NS: Final = 700 * MS_NS
"""What still waits after this is shortened regardless of its sound: noise has no period to
remove."""

_UNKNOWN: Final = -NEVER_NS


class Pacer(Waiter):
    """One stream on its way to one listener.

    The result of `put` and `poll` must be forwarded at once and in order.
    """

    __slots__ = (
        "_end_ns",
        "_even_ns",
        "_held",
        "_held_ns",
        "_leaving",
        "_repairs",
        "_reserve_ns",
        "_since_ns",
        "_stalled_ns",
        "_stretcher",
        "cut_ms",
        "gap_ms",
        "is_even",
        "is_talking",
    )

    # What each frame touches.
    is_even: bool
    _end_ns: int

    def __init__(self, repairs: RepairBudget | None = None) -> None:
        """Make a stream; `repairs` are those of all streams of the process, None for its own."""
        super().__init__(NEVER_NS, TICK_NS)
        self.is_even = False
        """Whether frames are being paced instead of forwarded as they come."""
        self._end_ns = _UNKNOWN
        """When the listener will have played everything, had they started at once."""
        self.gap_ms = 0
        """Silence before what was returned last, because the sender had stalled. Reset to 0 by the
        code that forwards it."""
        self.cut_ms = 0
        """Audio discarded so far."""
        self.is_talking = False
        """Whether the source talks, as its owner judges."""
        self._repairs = RepairBudget() if repairs is None else repairs
        self._held: list[bytes] = []
        self._held_ns = 0
        self._leaving = b""
        """The audio that would have followed had it not been discarded: the audio that does follow
        is faded in from it."""
        self._since_ns = 0
        """When the held audio began to exceed what should be held."""
        self._even_ns = _UNKNOWN
        """Frames are paced until at least this time."""
        self._stalled_ns = _UNKNOWN
        self._reserve_ns = 0
        self._stretcher = Stretcher()

    @property
    def shortened_ms(self) -> int:
        """Audio removed inaudibly so far."""
        return self._stretcher.removed // SAMPLES_PER_MS

    def held_ms(self) -> float:
        """Return how much audio is held."""
        return self._held_ns / MS_NS

    def put(self, now_ns: int, audio: bytes) -> Sequence[bytes]:
        """Take audio as it arrives; return what to forward now."""
        early_ns = self._end_ns - now_ns
        if not self.is_even and -LOOSE_NS < early_ns < LOOSE_NS:
            self._end_ns += len(audio) * SAMPLE_NS - (early_ns >> FOLLOW_SHIFT)
            return (audio,)
        # The first frame of a stream: there is no schedule yet that it could miss.
        if self._end_ns == _UNKNOWN:
            self._end_ns = now_ns + len(audio) * SAMPLE_NS
            return (audio,)
        return self._put_slow(now_ns, audio, early_ns)

    def poll(self, now_ns: int) -> Sequence[bytes]:
        """Return the held audio that is due."""
        if now_ns < self.deadline_ns:
            return ()
        return self._release(now_ns)

    def restart(self) -> None:
        """Discard the held audio; the next frame begins a new stream."""
        if self._end_ns != _UNKNOWN:
            self._drop(self._held_ns)
            self._loosen()
            self._end_ns = _UNKNOWN
            self.gap_ms = 0

    # -- the slow path: a frame too early or too late to be forwarded as it is ------------------

    def _put_slow(self, now_ns: int, audio: bytes, early_ns: int) -> Sequence[bytes]:
        # Only the first frame after a stall shows how long the stall was; those behind it are early
        # by what waits.
        if not self._held:
            self._note_lateness(now_ns, -early_ns)
        if not self.is_even:
            self.is_even = True
            self._since_ns = now_ns
            self._even_ns = now_ns + PACED_NS_MIN
        self._held.append(audio)
        self._held_ns += len(audio) * SAMPLE_NS
        # What the listener has still to play counts as well: a frame is heard after both.
        excess_ns = self._held_ns + self._end_ns - now_ns
        if excess_ns > HARD_NS:
            self._drop(excess_ns - CAP_NS)
        return self._release(now_ns)

    def _note_lateness(self, now_ns: int, late_ns: int) -> None:
        """Take a frame that finds nothing held, and judge the reserve by its lateness."""
        is_expected = now_ns - self._stalled_ns < REPEAT_NS
        # While frames are paced the listener is fed just in time. Otherwise its own buffer covers
        # LOOSE_NS.
        if late_ns >= (FRAME_NS if self.is_even else LOOSE_NS):
            self.gap_ms += late_ns // MS_NS
            self._end_ns = self._since_ns = now_ns
            self._even_ns = now_ns + PACED_NS_MIN
            self._reserve_ns = RESERVE_NS if is_expected else 0
            self._stalled_ns = now_ns
        # The reserve has covered a smaller stall: it is kept as long again.
        elif self._reserve_ns and is_expected:
            self._stalled_ns = now_ns

    def _drop(self, least_ns: int) -> None:
        """Discard the oldest audio."""
        while self._held and least_ns > 0:
            audio = self._held.pop(0)
            self._leaving = self._leaving or audio
            size_ns = len(audio) * SAMPLE_NS
            self._held_ns -= size_ns
            least_ns -= size_ns
            self.cut_ms += size_ns // MS_NS

    def _release(self, now_ns: int) -> Sequence[bytes]:
        """Return what is due; everything once so little is held that it need not be paced."""
        if now_ns - self._stalled_ns > REPEAT_NS:
            self._reserve_ns = 0
        given: list[bytes] = []
        # Half a tick early on average: the next poll may come a whole tick later.
        while self._held and self._end_ns - now_ns <= TICK_NS // 2:
            audio = self._held.pop(0)
            self._held_ns -= len(audio) * SAMPLE_NS
            audio = self._shorter(now_ns, audio)
            if audio:
                self._end_ns += len(audio) * SAMPLE_NS
                given.append(audio)
        # A frame too early teaches a listener's buffer nothing.
        is_little = self._held_ns <= FRAME_NS and now_ns >= self._even_ns
        if is_little and not self._reserve_ns:
            given += self._held
            self._end_ns += self._held_ns
            self._loosen()
        else:
            self.deadline_ns = self._end_ns - TICK_NS // 2 if self._held else NEVER_NS
        return given

    def _loosen(self) -> None:
        self._held.clear()
        self._held_ns = 0
        self._leaving = b""
        self.is_even = False
        self.deadline_ns = NEVER_NS

    def _shorter(self, now_ns: int, audio: bytes) -> bytes:
        """Return audio that is due, faded in and shortened as needed and as allowed."""
        if self._leaving:
            audio = faded(self._leaving, audio)
            self._leaving = b""
        excess_ns = self._held_ns - self._reserve_ns
        if excess_ns <= FRAME_NS:
            self._since_ns = now_ns
            return audio
        # After a stall of the process all streams want repairs at once; those over budget wait.
        if not self._repairs.take(now_ns):
            return audio
        excess = excess_ns // SAMPLE_NS
        shorter = self._stretcher.shrink(audio, excess, is_talking=self.is_talking)
        if shorter is audio and now_ns - self._since_ns > PATIENCE_NS:
            shorter = shorten(audio, SIMILARITY_ANY)
            self._stretcher.removed += len(audio) - len(shorter)
        # A frame of a pause was left out whole: what follows is faded in from it.
        if not shorter:
            self._leaving = audio
        return shorter


def faded(leaving: bytes, coming: bytes) -> bytes:
    """Return `coming`, cross-faded from `leaving`."""
    size = min(len(leaving), len(coming))
    early, late = to_wave(leaving[:size]), to_wave(coming[:size])
    return to_mulaw(early + (late - early) * ramp(size)) + coming[size:]
