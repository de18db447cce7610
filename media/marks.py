"""Measures by marks what a carrier has yet to play beyond the model, and the network's round trip.

The carrier returns a mark when it has played the audio sent before it. The round trip less that
audio is the network's part and the error of the model together, and marks alone cannot separate
them: a longer way and audio that piled up during a stall look the same. After a clear the carrier
has only what it was sent since, so the first mark after a clear measures the network; other marks
never change the floor of the round trips, except the first few after the carrier ran dry.

(https://www.twilio.com/docs/voice/media-streams/websocket-messages)
"""

from __future__ import annotations

from typing import Final

from media.clear_control import PATIENCE_NS, ClearControl
from media.clock import MS_NS, NEVER_NS, SECOND_NS
from media.mark_history import MarkHistory
from media.surplus import SURPLUS_NS_MIN, SurplusFilter

PERIOD_NS: Final = SECOND_NS - 10 * MS_NS
"""Least time between two marks: a second, less what the once-a-second caller may be early."""
GIVEN_UP_NS: Final = 10 * SECOND_NS
"""Age at which a mark that is not back no longer delays the next one."""
WAITING_MAX: Final = 4
"""Marks remembered: the newest, and those given up, which may still come back."""

BEAT_NS: Final = 20 * MS_NS
"""Period by which a carrier plays. A stream that begins on another beat measures up to this much
more or less."""
LONGER_NS_MIN: Final = 24 * MS_NS
"""A round trip longer than the floor by more than this is not explained by another beat: the way
is longer, or a stall delayed the clear before it."""
LEARN_MARKS: Final = 8
"""This many marks after the carrier was dry may lower the floor; later ones lower the model, unless
marks come back unevenly: the least of eight is late as well."""
OVERDUE_NS: Final = SECOND_NS
"""A mark that is late by this shows by its absence that the carrier has so much too much to play,
or that the network to it is stalled."""
USUAL_NS_MAX: Final = 80 * MS_NS
FIRST_PATIENCE_NS: Final = 8 * SECOND_NS
"""A first round trip above `USUAL_NS_MAX` may have been measured during a stall. It is measured
again in a pause, or after this time."""
KNOWN_AFTER_NS: Final = 6_500 * MS_NS
KNOWN_MARKS: Final = 6
"""No pause is used before it can be told whether the first marks are late by chance; if they are,
the floor is that of twice as many."""
UNMARKED_PATIENCE_NS: Final = 6 * SECOND_NS
"""How long after a mark was sent the clear of a carrier that never returned one waits for a pause.
A mark follows a clear within a second, so what a stall left is gone after 7 s even without one."""
CHECKS: Final = 2
CHECKED_AFTER_NS: Final = 4 * SECOND_NS
"""A floor that has changed is measured again after `PATIENCE_NS`, and once more in a pause at least
this much later: the way may have stood still during either measurement."""
FORCED_MAX: Final = 4
"""Measurements in a row that contradict one another and force the next one; later ones wait for
pauses."""


class Marks:
    """The marks of one stream. At most one is under way that is not given up."""

    __slots__ = (
        "_checks",
        "_count",
        "_forced",
        "_history",
        "_learnt",
        "_longer_ns",
        "_name",
        "_sent_ns",
        "_surplus",
        "_waiting",
        "clear_control",
        "rtt_ns",
    )

    def __init__(self) -> None:
        self.clear_control = ClearControl()
        self._history = MarkHistory()
        self._surplus = SurplusFilter(self.clear_control, self._history)
        self._waiting: dict[str, tuple[int, int]] = {}
        """By name: when the mark was sent, and the audio before it by the model, in ns."""
        self._name = ""
        """The newest mark."""
        self._count = 0
        self._sent_ns = -NEVER_NS
        self._learnt = 0
        """Marks that came back since the carrier was dry."""
        self._checks = 0
        """Measurements that are still to confirm the floor."""
        self._forced = 0
        """Measurements in a row that contradicted one another."""
        self._longer_ns: int | None = None
        """The round trip measured last, if it was longer than the floor."""
        self.rtt_ns: int | None = None
        """Floor of the round trips without audio; None before the first mark came back."""

    def due(self, now_ns: int, end_ns: int, *, is_way_shorter: bool = False) -> str | None:
        """Return the name of a mark to send now, if one is due.

        `end_ns` is when the carrier runs dry by the model; none is due if that was a second ago.
        `is_way_shorter` tells that the way from the carrier became shorter, which hides surplus of
        the same size from marks.
        """
        if is_way_shorter:
            # The clear that this doubt leads to measures once, and CHECKS more have to confirm it.
            self._checks = CHECKS + 1
            self.clear_control.doubt(now_ns + PATIENCE_NS)
        age_ns = now_ns - self._sent_ns
        if self._name in self._waiting:
            # Later than its audio and the way together explain.
            late_ns = age_ns - self._waiting[self._name][1] - (self.rtt_ns or 0)
            if late_ns > OVERDUE_NS:
                self._overdue(now_ns)
            if age_ns < GIVEN_UP_NS:
                return None
        if age_ns < PERIOD_NS or end_ns + SECOND_NS < now_ns:
            return None
        # The oldest: it was given up, and its answer would be outdated.
        if len(self._waiting) == WAITING_MAX:
            del self._waiting[next(iter(self._waiting))]
        self._count += 1
        self._name = f"playout-{self._count}"
        self._sent_ns = now_ns
        self._waiting[self._name] = (now_ns, max(0, end_ns - now_ns))
        return self._name

    def returned(self, now_ns: int, name: str) -> int:
        """Return how much later than the model the carrier runs dry; below zero, earlier.

        A single mark may be late because it was read late; `correct` says what to believe. An
        unknown name returns 0.
        """
        mark = self._waiting.pop(name, None)
        if mark is None:
            return 0
        sent_ns, audio_ns = mark
        trip_ns = max(0, now_ns - sent_ns - audio_ns)
        self.clear_control.mark_returned()
        self._learnt += 1
        self._history.returned(trip_ns)
        if self.clear_control.is_measuring or self.rtt_ns is None:
            self._measured(now_ns, trip_ns)
            return 0
        if self._history.is_way_longer:
            # Or it stood still once more.
            self.rtt_ns = trip_ns
            self._check(now_ns, CHECKS)
        surplus_ns = trip_ns - self.rtt_ns
        is_even = self._history.is_even
        if surplus_ns < 0 and (self._learnt <= LEARN_MARKS or not is_even):
            # The whole stream is new, not only what the carrier plays.
            is_new = self._count <= LEARN_MARKS
            if audio_ns or is_new:
                self.rtt_ns = trip_ns
            self._doubt_floor(now_ns, surplus_ns, is_even=is_even, is_new=is_new)
            surplus_ns = 0
        if not is_even:
            self._learn_uneven(now_ns)
        return surplus_ns

    def _doubt_floor(self, now_ns: int, change_ns: int, *, is_even: bool, is_new: bool) -> None:
        """Doubt a floor that has become lower by more than chance or another beat explain."""
        if change_ns >= -max(BEAT_NS, self._history.chance_ns()):
            return
        if is_even or self._count < KNOWN_MARKS:
            self.clear_control.doubt(NEVER_NS if is_new else now_ns + PATIENCE_NS)
        elif self._count > 2 * KNOWN_MARKS:
            self._surplus.doubted(now_ns)
            self.clear_control.doubt(NEVER_NS)

    def _learn_uneven(self, now_ns: int) -> None:
        """Learn the floor of marks that come back unevenly, or that are still few."""
        control = self.clear_control
        history = self._history
        self.rtt_ns = floor_ns = history.least_ns() or self.rtt_ns or 0
        is_long = floor_ns > USUAL_NS_MAX
        if self._count == KNOWN_MARKS and (not is_long or history.chance_ns() > BEAT_NS):
            control.trust()
        elif self._count == 2 * KNOWN_MARKS and is_long:
            self._surplus.doubted(now_ns)
            control.doubt(now_ns + 2 * PATIENCE_NS)

    def correct(self, now_ns: int, surplus_ns: int) -> int:
        """Return what to add to the model for the surplus of a mark that came back."""
        if self.rtt_ns is None:
            return 0
        return self._surplus.correct(now_ns, surplus_ns, self.rtt_ns)

    def relearn(self) -> None:
        """Let marks lower the floor again: the carrier was dry and begins on a beat of its own.

        The floor may have been measured at a later beginning. The model is right now, or low.
        """
        self._learnt = 0

    def cleared(self, now_ns: int) -> None:
        """Note a clear. The carrier returns all marks at once, which say nothing."""
        self._waiting.clear()
        self._learnt = 0
        self._history.cleared((self.rtt_ns or 0) + SURPLUS_NS_MIN)
        self._surplus.cleared(now_ns)
        self.clear_control.cleared(now_ns, has_marks=self.rtt_ns is not None)

    def _overdue(self, now_ns: int) -> None:
        if self.rtt_ns is None:
            # The mark after a clear is overdue as well: a pause may be used again without it.
            self.clear_control.is_measuring = False
            self.clear_control.doubt(self._sent_ns + UNMARKED_PATIENCE_NS)
        else:
            self.clear_control.doubt(now_ns)

    def _measured(self, now_ns: int, trip_ns: int) -> None:
        """Take the round trip of the network alone.

        One that is longer than the floor is believed when another says the same: the way may have
        stood still. One that is much shorter is believed and measured again: the way may have stood
        still for less than it became shorter by. Where marks come back unevenly, one of them says
        nothing: those that follow are compared with those before.
        """
        control = self.clear_control
        longer_ns, self._longer_ns = self._longer_ns, None
        control.is_measuring = False
        is_first = self.rtt_ns is None
        if self.rtt_ns is not None and not self._history.is_even:
            control.trust()
            self.rtt_ns = min(self.rtt_ns, trip_ns)
            self._check(now_ns, max(0, self._checks - 1))
            return
        change_ns = 0 if self.rtt_ns is None else trip_ns - self.rtt_ns
        is_confirmed = longer_ns is not None and abs(trip_ns - longer_ns) <= SURPLUS_NS_MIN
        if change_ns > LONGER_NS_MIN and not is_confirmed:
            # Not believed yet: the next measurement either says the same or shows a stall.
            self._longer_ns = trip_ns
            self._forced += 1
            control.doubt(now_ns if self._forced <= FORCED_MAX else NEVER_NS)
            return
        self.rtt_ns = trip_ns
        self._forced = 0
        control.trust()
        if is_first:
            control.wait_until(now_ns + KNOWN_AFTER_NS)
            if trip_ns > USUAL_NS_MAX:
                control.doubt(now_ns + FIRST_PATIENCE_NS)
        if abs(change_ns) > SURPLUS_NS_MIN:
            self._history.restart()
            self._check(now_ns, CHECKS)
        else:
            self._check(now_ns, max(0, self._checks - 1))

    def _check(self, now_ns: int, checks: int) -> None:
        """Measure the floor this many times more: soon, and then in pauses."""
        self._checks = checks
        if checks == CHECKS:
            self.clear_control.doubt(now_ns + PATIENCE_NS)
        elif checks:
            # Not at once: what stalled during the last measurement could still be stalled.
            self.clear_control.wait_until(now_ns + CHECKED_AFTER_NS)
            self.clear_control.doubt(NEVER_NS)
