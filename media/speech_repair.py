"""Alters the speech of one stream: conceals losses, cross-fades joins, makes it longer or shorter.

A repair (concealment, cross-fade, time stretching) costs as much as forwarding thirty frames. After
a stall of the process all streams ask for one at once; if all were granted, the process would stall
again and stay overloaded for seconds. So each repair is taken from a budget that all streams share.
A stream that is refused forwards its audio unrepaired, or conceals in a cheaper way.
"""

from __future__ import annotations

from typing import Final

from media.conceal import Concealer
from media.g711 import SAMPLE_NS, SAMPLES_PER_MS
from media.lead_control import LeadControl
from media.playout_state import PlayoutCounters
from media.stretch import Stretcher

REPAIR_NS: Final = 500_000
"""Interval at which the bucket gains one repair. A repair takes a fifth of it, so that repairs take
at most a fifth of a core. This is one for each lost packet of 1,200 calls with 3 % loss."""
REPAIRS_MAX: Final = 20
"""Capacity of the bucket: 2 ms of work, a tenth of a frame."""


class RepairBudget:
    """A token bucket of repairs, kept as the time at which it is full again (GCRA)."""

    __slots__ = ("_full_ns",)

    def __init__(self) -> None:
        self._full_ns = 0

    def take(self, now_ns: int) -> bool:
        """Take one repair; return False if the bucket is empty."""
        # A full bucket gains nothing by waiting, hence the maximum.
        full_ns = max(self._full_ns, now_ns) + REPAIR_NS
        if full_ns > now_ns + REPAIRS_MAX * REPAIR_NS:
            return False
        self._full_ns = full_ns
        return True


class SpeechRepair:
    """The repairs of one stream."""

    __slots__ = ("_concealer", "_counters", "_history", "_stretcher", "budget")

    def __init__(
        self, history: list[bytes], counters: PlayoutCounters, budget: RepairBudget
    ) -> None:
        self.budget = budget
        self._history = history
        """What was sent last, which concealment continues; kept by its owner."""
        self._counters = counters
        self._concealer = Concealer()
        self._stretcher = Stretcher()

    @property
    def is_concealment_over(self) -> bool:
        """Whether concealment has faded to silence."""
        return self._concealer.is_over

    def is_quiet(self, frame: bytes, *, is_talking: bool) -> bool:
        """Return whether the frame belongs to a pause."""
        return self._stretcher.is_quiet(frame, is_talking)

    def start_concealment(self, now_ns: int) -> None:
        """Continue what was sent last."""
        concealer = self._concealer
        start = concealer.start if self.budget.take(now_ns) else concealer.start_roughly
        start(b"".join(self._history))

    def stop_concealment(self) -> None:
        """Continue with silence, from which the next frame is faded in."""
        self._concealer.finish()

    def conceal(self, samples: int) -> bytes:
        """Return the next samples of concealment."""
        audio = self._concealer.take(samples)
        self._counters.concealed_ms += len(audio) // SAMPLES_PER_MS
        return audio

    def join(self, now_ns: int, frame: bytes, *, is_concealing: bool) -> bytes:
        """Return the frame cross-faded in from concealment, which is begun if there is none."""
        # A join that is not faded may click once; a process beyond its budget would stall every
        # call.
        if not self.budget.take(now_ns):
            return frame
        if not is_concealing:
            # Nothing is concealed: the continuation is made only to be faded out of.
            self._concealer.start(b"".join(self._history))
        return self._concealer.join(frame)

    def stretch(self, frame: bytes, lead: LeadControl, rest: int, *, is_talking: bool) -> bytes:
        """Return the frame longer or shorter as the lead asks for; empty if it is to be left out.

        `rest` is how many bytes are left over from whole frames, to be taken away in a pause.
        """
        stretcher = self._stretcher
        counters = self._counters
        if lead.grow_ns > 0:
            frame = stretcher.grow(frame, is_talking=is_talking)
            counters.stretched_ms = stretcher.added // SAMPLES_PER_MS
        else:
            excess = lead.excess_ns // SAMPLE_NS
            frame = stretcher.shrink_evenly(frame, excess, rest, is_talking=is_talking)
            counters.shortened_ms = stretcher.removed // SAMPLES_PER_MS
        return frame
