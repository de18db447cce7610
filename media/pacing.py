"""What a listener is given, and when, so that a burst is not delay for the rest of the call.

The listener has a buffer of their own, which evens what networks do to frames. A sender that stalls
and then sends all at once would fill it, and what its owner has once seen late it keeps room for.
So a stall is told as a gap, and what it held up is handed on as evenly as it is played. Meanwhile
it is shortened here; the listener's buffer sees nothing of it.

Works on mu-law at 8 kHz. Knows no network, call or clock: times are nanoseconds of one clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from media.bounds import CAP_NS, HARD_NS
from media.g711 import FRAME_NS, SAMPLE_NS, SAMPLES_PER_MS
from media.nanoseconds import MS_NS, NEVER_NS
from media.pitch import ramp, to_mulaw, to_wave
from media.repair_budget import RepairBudget
from media.stretch import SIMILARITY_ANY, Stretcher, shorten
from media.waiter import Waiter

LOOSE_NS: Final = 80 * MS_NS
"""Early or late by less, a frame is handed on as it comes: that is what a listener's buffer is
for."""
FOLLOW_SHIFT: Final = 5
"""A thirty-second of what a frame is early or late moves the turns of all that follow: clocks
drift."""
TICK_NS: Final = 10 * MS_NS
SETTLE_NS: Final = 100 * MS_NS
"""Frames are paced for as long after a stall, at least: what it held up comes within that."""
REPEAT_NS: Final = 10_000 * MS_NS
"""A stall that repeats within this is expected again for as long."""
RESERVE_NS: Final = 40 * MS_NS
"""Most that is kept for such a stall."""
PATIENCE_NS: Final = 700 * MS_NS
"""What then waits still is shortened whatever it sounds like: noise has no period to take out."""

_UNKNOWN: Final = -NEVER_NS


class Pacer(Waiter):
    """One stream on its way to one listener.

    What `put` and `poll` return is to be handed on at once and in order.
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
        """Whether frames are handed on when they are played, and not as they come."""
        self._end_ns = _UNKNOWN
        """When the listener has played all they were given, had they begun at once."""
        self.gap_ms = 0
        """Silence before what was returned last, because the sender had stalled; to be set to 0 by
        whoever tells it."""
        self.cut_ms = 0
        """Audio that was thrown away, of all frames."""
        self.is_talking = False
        """Whether the source talks, as its owner judges."""
        self._repairs = RepairBudget() if repairs is None else repairs
        self._held: list[bytes] = []
        self._held_ns = 0
        self._leaving = b""
        """What would follow, had it not been thrown away: what does follow is faded in from it."""
        self._since_ns = 0
        """When what is held began to be more than it should be."""
        self._even_ns = _UNKNOWN
        """Frames are paced until then at least."""
        self._stalled_ns = _UNKNOWN
        self._reserve_ns = 0
        self._stretcher = Stretcher()

    @property
    def shortened_ms(self) -> int:
        """Audio that was taken out unheard, of all frames."""
        return self._stretcher.removed // SAMPLES_PER_MS

    def held_ms(self) -> float:
        """Return what waits here."""
        return self._held_ns / MS_NS

    def put(self, now_ns: int, audio: bytes) -> Sequence[bytes]:
        """Take audio as it arrives; return what the listener is to be given now."""
        early_ns = self._end_ns - now_ns
        if not self.is_even and -LOOSE_NS < early_ns < LOOSE_NS:
            self._end_ns += len(audio) * SAMPLE_NS - (early_ns >> FOLLOW_SHIFT)
            return (audio,)
        if self._end_ns == _UNKNOWN:
            self._end_ns = now_ns + len(audio) * SAMPLE_NS
            return (audio,)
        return self._put_aside(now_ns, audio, early_ns)

    def poll(self, now_ns: int) -> Sequence[bytes]:
        """Return what has its turn."""
        if now_ns < self.deadline_ns:
            return ()
        return self._release(now_ns)

    def restart(self) -> None:
        """Forget what waits; the next frame begins a stream."""
        if self._end_ns != _UNKNOWN:
            self._drop(self._held_ns)
            self._loosen()
            self._end_ns = _UNKNOWN
            self.gap_ms = 0

    # -- a frame that is too early or too late to be passed on as it is ------------------------

    def _put_aside(self, now_ns: int, audio: bytes, early_ns: int) -> Sequence[bytes]:
        if not self._held:
            self._note_lateness(now_ns, -early_ns)
        if not self.is_even:
            self.is_even = True
            self._since_ns, self._even_ns = now_ns, now_ns + SETTLE_NS
        self._held.append(audio)
        self._held_ns += len(audio) * SAMPLE_NS
        excess_ns = self._held_ns + self._end_ns - now_ns
        if excess_ns > HARD_NS:
            self._drop(excess_ns - CAP_NS)
        return self._release(now_ns)

    def _note_lateness(self, now_ns: int, late_ns: int) -> None:
        """Take a frame that finds nothing held: what was kept for stalls was not too much."""
        is_expected = now_ns - self._stalled_ns < REPEAT_NS
        if late_ns >= (FRAME_NS if self.is_even else LOOSE_NS):
            self.gap_ms += late_ns // MS_NS
            self._end_ns = self._since_ns = now_ns
            self._even_ns = now_ns + SETTLE_NS
            self._reserve_ns = RESERVE_NS if is_expected else 0
            self._stalled_ns = now_ns
        elif self._reserve_ns and is_expected:
            self._stalled_ns = now_ns

    def _drop(self, least_ns: int) -> None:
        """Throw the oldest away."""
        while self._held and least_ns > 0:
            audio = self._held.pop(0)
            self._leaving = self._leaving or audio
            size_ns = len(audio) * SAMPLE_NS
            self._held_ns -= size_ns
            least_ns -= size_ns
            self.cut_ms += size_ns // MS_NS

    def _release(self, now_ns: int) -> Sequence[bytes]:
        """Return what has its turn; all of it once so little waits that it need not be paced."""
        if now_ns - self._stalled_ns > REPEAT_NS:
            self._reserve_ns = 0
        given: list[bytes] = []
        while self._held and self._end_ns - now_ns <= TICK_NS // 2:
            audio = self._held.pop(0)
            self._held_ns -= len(audio) * SAMPLE_NS
            audio = self._shorter(now_ns, audio)
            if audio:
                self._end_ns += len(audio) * SAMPLE_NS
                given.append(audio)
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
        """Return audio that has its turn, joined and shortened as need be and may be."""
        if self._leaving:
            audio = faded(self._leaving, audio)
            self._leaving = b""
        excess_ns = self._held_ns - self._reserve_ns
        if excess_ns <= FRAME_NS:
            self._since_ns = now_ns
            return audio
        if not self._repairs.take(now_ns):
            return audio
        excess = excess_ns // SAMPLE_NS
        shorter = self._stretcher.shrink(audio, excess, is_talking=self.is_talking)
        if shorter is audio and now_ns - self._since_ns > PATIENCE_NS:
            shorter = shorten(audio, SIMILARITY_ANY)
            self._stretcher.removed += len(audio) - len(shorter)
        if not shorter:
            self._leaving = audio
        return shorter


def faded(leaving: bytes, coming: bytes) -> bytes:
    """Return `coming`, cross-faded into from `leaving`."""
    size = min(len(leaving), len(coming))
    early, late = to_wave(leaving[:size]), to_wave(coming[:size])
    return to_mulaw(early + (late - early) * ramp(size)) + coming[size:]
