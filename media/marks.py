"""What marks tell about the audio a carrier has yet to play, and when to begin anew with it.

A mark comes back when the audio before it has been played. What its round trip takes beyond that
audio, by the model, is the network's part and the model's error together. Marks alone never tell
the two apart: a way that has become longer and audio that a stall has piled up look the same. A
cleared carrier tells them apart, for it has nothing but what it was given since: the first mark
after a clear measures the network. Knows no message format and no clock.
(https://www.twilio.com/docs/voice/media-streams/websocket-messages)
"""

from __future__ import annotations

from typing import Final

from media.slack import NEVER_NS
from media.source import MS_NS

SECOND_NS: Final = 1_000 * MS_NS


PERIOD_NS: Final = SECOND_NS - 10 * MS_NS
"""One mark a second, sent from a beat that may come a little early."""
GIVEN_UP_NS: Final = 10 * SECOND_NS
"""A mark that is not back by then no longer keeps the next one waiting."""
WAITING_MAX: Final = 4
"""Marks remembered: the newest and given up ones, which may yet come back."""

BEAT_NS: Final = 20 * MS_NS
SURPLUS_NS_MIN: Final = 30 * MS_NS
"""A carrier that plays 20 ms at a time returns marks up to 20 ms late; the rest is the way's."""
LONGER_NS_MIN: Final = 24 * MS_NS
"""A beginning on another beat measures up to 20 ms more; more than this is the way's, or a stall's
that the clear was behind."""
DRIFT_NS_MAX: Final = 10 * MS_NS
"""A carrier whose clock is fast has less to play than was believed, and would run dry: the model
follows it. By more than this at once no clock is off."""
SLOW_NS_MAX: Final = 40 * MS_NS
SLOW_APART_NS: Final = 60 * SECOND_NS
"""A surplus below this, and none so long before: a clock that is slow, with the noise of marks."""
STEADY_MARKS: Final = 3
STEADY_NS_MAX: Final = 6 * MS_NS
"""A surplus that so many marks in a row are above is no noise, though each of them might be: a
clock that is slow."""
STEP_NS_MIN: Final = 5 * MS_NS
STEPPED_NS_MIN: Final = 12 * MS_NS
"""A steady surplus that is above this, and has risen by more than that at once, is no clock's."""
LEARN_MARKS: Final = 8
"""A faster round trip of the first marks after the carrier was dry lowers the floor. One of a later
mark lowers the model."""
OVERDUE_NS: Final = SECOND_NS
"""A mark that is so late tells by its absence that the carrier has this much too much to play, or
that the way to it stands still."""
PATIENCE_NS: Final = 2 * SECOND_NS
"""How long a clear that two marks ask for waits for a pause."""
USUAL_NS_MAX: Final = 80 * MS_NS
FIRST_PATIENCE_NS: Final = 8 * SECOND_NS
"""A first round trip that is longer than this may be that of a way which stood still; so much later
it is measured anew, in a pause before that if there is one."""
CLEARS_APART_NS: Final = SECOND_NS
"""The least time between two clears; doubled with each that no mark came back after."""
UNMARKED_APART_NS: Final = 4 * SECOND_NS
"""The same of a carrier that has never returned a mark: nothing tells what it has."""
UNMARKED_PATIENCE_NS: Final = 6 * SECOND_NS
"""How long after its mark was sent such a carrier's clear waits for a pause. A mark goes within a
second of a clear, so that what a stall leaves is gone after 7 s, of a caller who never pauses too.
"""
DOUBLINGS: Final = 3
CHECKS: Final = 2
CHECKED_AFTER_NS: Final = 4 * SECOND_NS
"""A floor that has changed is measured again soon, and once more so much later in a pause: a stall
that took as long may have been in the way each time."""
FORCED_MAX: Final = 4
"""Measurements in a row that contradict one another; the next ones wait for pauses."""


class Marks:
    """The marks of one stream. At most one is under way that is not given up."""

    __slots__ = (
        "_before_ns",
        "_checks",
        "_clears",
        "_corrected_ns",
        "_count",
        "_forced",
        "_forced_ns",
        "_has_corrected",
        "_has_stepped",
        "_is_measuring",
        "_learnt",
        "_longer_ns",
        "_name",
        "_quiet_ns",
        "_sent_ns",
        "_steady_before_ns",
        "_steady_marks",
        "_steady_ns",
        "_surplus_ns",
        "_waiting",
        "_waits_ns",
        "is_in_doubt",
        "rtt_ns",
    )

    is_in_doubt: bool

    def __init__(self) -> None:
        self.is_in_doubt = False
        """Whether the model may be wrong by more than noise: the carrier is to be cleared."""
        self._waiting: dict[str, tuple[int, int]] = {}
        """When each was sent, and how much audio was before it by the model."""
        self._name = ""
        self._count = self._clears = self._forced = self._learnt = self._checks = 0
        self._sent_ns = self._waits_ns = self._corrected_ns = -NEVER_NS
        self._forced_ns = NEVER_NS
        """From when a clear waits for a pause no longer."""
        self._has_corrected = False
        """The model has been raised since the last clear."""
        self._steady_marks = 0
        self._steady_ns = NEVER_NS
        """Least surplus of so many marks in a row."""
        self._steady_before_ns = 0
        """That of those before them."""
        self._has_stepped = False
        """It has risen at once since the last clear."""
        self._is_measuring = False
        """The next mark to come back is the first after a clear."""
        self._longer_ns: int | None = None
        """Round trip that was measured last, if it was longer than the floor."""
        self._before_ns = 0
        """Surplus by the mark before, as the model is by now."""
        self._quiet_ns = 0
        """Audio of a pause that was given last."""
        self._surplus_ns = 0
        """Audio that the carrier may have beyond the model, by the newest mark."""
        self.rtt_ns: int | None = None
        """Floor of the round trips without audio; None before the first mark came back."""

    def due(self, now_ns: int, end_ns: int, *, is_way_shorter: bool = False) -> str | None:
        """Return the name of a mark to send now, if any.

        `end_ns` is when the carrier runs dry by the model; of one that did a second ago there is
        nothing to learn. A way that has become shorter hides as much surplus from marks.
        """
        if is_way_shorter:
            self._checks = CHECKS + 1
            self._doubt(now_ns + PATIENCE_NS)
        age_ns = now_ns - self._sent_ns
        if self._name in self._waiting:
            late_ns = age_ns - self._waiting[self._name][1] - (self.rtt_ns or 0)
            if late_ns > OVERDUE_NS:
                self._overdue(now_ns)
            if age_ns < GIVEN_UP_NS:
                return None
        if age_ns < PERIOD_NS or end_ns + SECOND_NS < now_ns:
            return None
        if len(self._waiting) == WAITING_MAX:
            del self._waiting[next(iter(self._waiting))]
        self._count += 1
        self._name = f"playout-{self._count}"
        self._sent_ns = now_ns
        self._waiting[self._name] = (now_ns, max(0, end_ns - now_ns))
        return self._name

    def returned(self, now_ns: int, name: str) -> int:
        """Return by how much the carrier runs dry later than the model says; below 0, earlier.

        A single mark may be late because it was read late: `correct` tells what is to be believed.
        """
        mark = self._waiting.pop(name, None)
        if mark is None:
            return 0
        sent_ns, audio_ns = mark
        trip_ns = max(0, now_ns - sent_ns - audio_ns)
        self._clears = 0
        self._learnt += 1
        if self._is_measuring or self.rtt_ns is None:
            self._measured(now_ns, trip_ns)
            return 0
        surplus_ns = trip_ns - self.rtt_ns
        if surplus_ns < 0 and self._learnt <= LEARN_MARKS:
            is_new = self._count <= LEARN_MARKS
            if audio_ns or is_new:
                self.rtt_ns = trip_ns
            if surplus_ns < -BEAT_NS:
                self._doubt(NEVER_NS if is_new else now_ns + PATIENCE_NS)
            return 0
        return surplus_ns

    def correct(self, now_ns: int, surplus_ns: int) -> int:
        """Return what to add to the model for a surplus: what two marks in a row agree on."""
        before_ns, self._before_ns = self._before_ns, surplus_ns
        self._surplus_ns = max(0, surplus_ns)
        if -DRIFT_NS_MAX <= surplus_ns <= SURPLUS_NS_MIN:
            return self._steady(now_ns, surplus_ns) or min(0, surplus_ns) // 2
        agreed_ns = min(before_ns, surplus_ns)
        is_agreed = agreed_ns > SURPLUS_NS_MIN
        since_ns = now_ns - self._corrected_ns
        if not is_agreed:
            is_lower = max(before_ns, surplus_ns) < -DRIFT_NS_MAX
            if is_lower or not -SLOW_NS_MAX < surplus_ns < SLOW_NS_MAX:
                self._doubt(now_ns + PATIENCE_NS if is_lower else NEVER_NS)
            return 0
        if agreed_ns > SLOW_NS_MAX or since_ns < SLOW_APART_NS:
            # What was taken to be audio may be there still when it has been taken away.
            self._doubt(now_ns if self._has_corrected else now_ns + PATIENCE_NS)
            if self._has_corrected:
                return 0
            self._has_corrected = True
        self._corrected_ns = now_ns
        self._before_ns -= agreed_ns
        self._surplus_ns -= agreed_ns
        return agreed_ns

    def _steady(self, now_ns: int, surplus_ns: int) -> int:
        """Return what to add for a surplus that is small, and steady."""
        self._steady_ns = min(self._steady_ns, surplus_ns)
        self._steady_marks += 1
        if self._steady_marks < STEADY_MARKS:
            return 0
        steady_ns, before_ns = self._steady_ns, self._steady_before_ns
        self._steady_anew(steady_ns)
        if steady_ns <= STEADY_NS_MAX:
            return 0
        if steady_ns - before_ns < STEP_NS_MIN and not self._has_stepped:
            self._steady_before_ns = 0
            self._before_ns -= steady_ns
            self._surplus_ns = max(0, self._surplus_ns - steady_ns)
            return steady_ns
        if steady_ns > STEPPED_NS_MIN:
            self._has_stepped = True
            self._doubt(now_ns + PATIENCE_NS)
        return 0

    def _steady_anew(self, before_ns: int) -> None:
        self._steady_marks = 0
        self._steady_ns = NEVER_NS
        self._steady_before_ns = before_ns

    def gave(self, length_ns: int, *, is_quiet: bool) -> None:
        """Take note, while the model is in doubt, of audio that the carrier was given."""
        self._quiet_ns = self._quiet_ns + length_ns if is_quiet else 0

    def is_clear_due(self, now_ns: int, lead_ns: int) -> bool:
        """Return whether to clear the carrier now.

        That is not heard in a pause that is longer than what the carrier has yet to play: by the
        model `lead_ns`.
        """
        if not self.is_in_doubt or now_ns < self._waits_ns:
            return False
        is_pause = self._quiet_ns >= lead_ns + self._surplus_ns
        return now_ns >= self._forced_ns or (is_pause and not self._is_measuring)

    def relearn(self) -> None:
        """Take note that the model begins anew with a carrier that was dry.

        It is right then, or low: the carrier begins to play what it is given on its own beat. What
        comes back faster than before lowers the floor, which had a later beginning in it.
        """
        self._learnt = 0

    def cleared(self, now_ns: int) -> None:
        """Take note of a clear: the carrier returns all marks at once, which say nothing.

        The model is right from here on, whatever it was. The next mark measures the network.
        """
        self._waiting.clear()
        apart_ns = CLEARS_APART_NS << min(self._clears, DOUBLINGS)
        if self.rtt_ns is None:
            apart_ns = UNMARKED_APART_NS
        self._waits_ns = now_ns + apart_ns
        self._clears += 1
        self._forced_ns = NEVER_NS
        self._before_ns = self._surplus_ns = self._quiet_ns = self._learnt = 0
        self._has_corrected = self._has_stepped = False
        self._steady_anew(0)
        self._is_measuring = self.is_in_doubt = True

    def _doubt(self, forced_ns: int) -> None:
        if not self.is_in_doubt:
            self._quiet_ns = 0
        self.is_in_doubt = True
        self._forced_ns = min(self._forced_ns, forced_ns)

    def _overdue(self, now_ns: int) -> None:
        if self.rtt_ns is None:
            self._is_measuring = False
            self._doubt(self._sent_ns + UNMARKED_PATIENCE_NS)
        else:
            self._doubt(now_ns)

    def _measured(self, now_ns: int, trip_ns: int) -> None:
        """Take the round trip of the network alone.

        If it is longer than the floor, the way may have stood still meanwhile: that another one
        says the same is waited for. One that is much shorter is believed, and measured again: the
        way may have stood still for less than it has become shorter by.
        """
        longer_ns, self._longer_ns = self._longer_ns, None
        self._is_measuring = False
        change_ns = 0 if self.rtt_ns is None else trip_ns - self.rtt_ns
        is_said_twice = longer_ns is not None and abs(trip_ns - longer_ns) <= SURPLUS_NS_MIN
        if change_ns > LONGER_NS_MIN and not is_said_twice:
            self._longer_ns = trip_ns
            self._forced += 1
            self._doubt(now_ns if self._forced <= FORCED_MAX else NEVER_NS)
            return
        is_first, self.rtt_ns = self.rtt_ns is None, trip_ns
        self._forced = 0
        self.is_in_doubt = False
        self._forced_ns = NEVER_NS
        if is_first and trip_ns > USUAL_NS_MAX:
            self._doubt(now_ns + FIRST_PATIENCE_NS)
        self._checks = CHECKS if abs(change_ns) > SURPLUS_NS_MIN else max(0, self._checks - 1)
        if self._checks == CHECKS:
            self._doubt(now_ns + PATIENCE_NS)
        elif self._checks:
            self._waits_ns = now_ns + CHECKED_AFTER_NS
            self._doubt(NEVER_NS)
