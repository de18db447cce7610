"""Tells audio that a carrier has beyond the model from the noise of its marks.

Takes the surplus of each mark: its round trip less the audio before it and less the network's
floor. Returns what to add to the model. What may be wrong by more than noise becomes a doubt of the
clear control.
"""

from __future__ import annotations

from typing import Final

from media.clear_control import PATIENCE_NS, ClearControl
from media.clock import MS_NS, NEVER_NS
from media.mark_history import LOW_ROW, MarkHistory

SURPLUS_NS_MIN: Final = 30 * MS_NS
"""Smallest surplus that is audio. A carrier that plays 20 ms at a time returns marks up to 20 ms
late; the rest is jitter of the network."""
DRIFT_NS_MAX: Final = 10 * MS_NS
"""Largest negative surplus that a clock explains. A carrier whose clock is fast has less to play
than the model says, and would run dry, so the model follows."""
SLOW_NS_MAX: Final = 40 * MS_NS
SLOW_APART_NS: Final = 60_000 * MS_NS
"""A surplus below `SLOW_NS_MAX`, with none for this long before it, is a slow clock and noise."""
AGREEING_MARKS: Final = 2
"""How many marks in a row have to agree where they come back evenly. Where they do not, chance has
to be unlikely."""
AGREEING_CHANCE: Final = 5e-3
"""They are taken for chance all the same where that makes them as often."""
FAR_OFF_CHANCE: Final = 0.02
"""And a single one."""
DOUBTFUL: Final = 1e-3
"""A row of late marks that chance makes this seldom asks for a clear in a pause."""
DOUBTFUL_AGAIN: Final = 0.02
"""After each such clear, chance has to be as much less likely."""
FORGOTTEN_NS: Final = 120_000 * MS_NS
"""One such clear is forgotten each time this has passed."""
ALIKE: Final = 2e-4
"""So do marks that agree so well by chance this seldom."""
CERTAIN: Final = 1e-5
"""Marks that agree so well by chance this seldom do not wait for a pause for ever."""
CERTAIN_LATE: Final = 1e-9
"""Nor do marks that are so late by chance this seldom, which may last for some of them."""
STEADY_MARKS: Final = 3
STEADY_MARKS_MAX: Final = 48
STEADY_NS_MAX: Final = 6 * MS_NS
"""A surplus that this many marks in a row exceed is not noise, though each of them could be: the
carrier's clock is slow. The row is longer where chance makes it."""
STEADY_CHANCE: Final = 3e-4
STEADY_CHANCE_LONGER: Final = 1e-5
"""Of rows that are longer: they are looked at with each mark."""
STEP_NS_MIN: Final = 5 * MS_NS
STEPPED_NS_MIN: Final = 12 * MS_NS
"""A steady surplus above `STEPPED_NS_MIN` that has risen by more than `STEP_NS_MIN` at once is not
caused by a clock."""

_NO_SURPLUS: Final = (0,) * AGREEING_MARKS


class SurplusFilter:
    """The surplus of one stream's marks."""

    __slots__ = (
        "_accused",
        "_clear_control",
        "_corrected_ns",
        "_doubted_ns",
        "_doubts",
        "_has_corrected",
        "_has_stepped",
        "_history",
        "_last_ns",
        "_steady_before_ns",
        "_steady_marks",
        "_steady_ns",
    )

    def __init__(self, clear_control: ClearControl, history: MarkHistory) -> None:
        self._clear_control = clear_control
        self._history = history
        self._last_ns: tuple[int, ...] = _NO_SURPLUS
        """Surplus of the last marks, less what was added to the model since."""
        self._corrected_ns = -NEVER_NS
        """When the model was raised last."""
        self._has_corrected = False
        """The model has been raised since the last clear."""
        self._accused = 0
        """How many of the newest marks a doubt is about that says they are no chance."""
        self._doubts = 0
        """Clears that such doubts led to, and that are not forgotten yet."""
        self._doubted_ns = -NEVER_NS
        """When the last of them was made or forgotten."""
        self._steady_marks = 0
        """Small surpluses in a row."""
        self._steady_ns = NEVER_NS
        """The least of them."""
        self._steady_before_ns = 0
        """The least of the row before them."""
        self._has_stepped = False
        """That least has risen at once since the last clear."""

    def correct(self, now_ns: int, surplus_ns: int, floor_ns: int) -> int:
        """Return what to add to the model: the surplus that marks in a row agree on.

        `floor_ns` is the round trip that the surplus is counted from.
        """
        control = self._clear_control
        if not self._history.is_even:
            control.surplus_ns = 0
            return self._correct_uneven(now_ns, surplus_ns, floor_ns)
        before_ns = self._last_ns[-1]
        self._last_ns = (*self._last_ns[1:], surplus_ns)
        control.surplus_ns = max(0, surplus_ns)
        # Within noise. Below zero the model follows by half: a fast clock would let the carrier run
        # dry.
        if -DRIFT_NS_MAX <= surplus_ns <= SURPLUS_NS_MIN:
            self._acquit()
            steady_ns = self._correct_steady(now_ns, surplus_ns, floor_ns)
            return steady_ns or min(0, surplus_ns) // 2
        # Marks agree on what all of them show; more of any may be jitter.
        agreed_ns = min(self._last_ns)
        if agreed_ns <= SURPLUS_NS_MIN:
            self._doubt_one(now_ns, before_ns, surplus_ns, floor_ns)
            return 0
        if self._history.chance(AGREEING_MARKS, floor_ns + agreed_ns) > AGREEING_CHANCE:
            self._accuse(now_ns, floor_ns)
            return 0
        is_slow = agreed_ns <= SLOW_NS_MAX
        if not is_slow or now_ns - self._corrected_ns < SLOW_APART_NS:
            # If it was audio, it is gone once the playout has shortened it. If it is back, it was
            # something else, and only a clear can tell.
            control.doubt(now_ns if self._has_corrected else now_ns + PATIENCE_NS)
            if self._has_corrected:
                return 0
            self._has_corrected = True
        self._corrected_ns = now_ns
        self._history.corrected(AGREEING_MARKS, agreed_ns)
        self._added(agreed_ns)
        return agreed_ns

    def _doubt_one(self, now_ns: int, before_ns: int, surplus_ns: int, floor_ns: int) -> None:
        """Doubt marks of which only one shows a surplus, or none."""
        control = self._clear_control
        if max(before_ns, surplus_ns) < -DRIFT_NS_MAX:
            # Twice below the model by more than a clock explains: it does not wait for ever.
            control.doubt(now_ns + PATIENCE_NS)
        elif surplus_ns <= -SLOW_NS_MAX:
            control.doubt(NEVER_NS)
        elif surplus_ns >= SLOW_NS_MAX and not self._doubts:
            # A single mark that is far off waits for a pause.
            if self._history.chance(1, floor_ns + surplus_ns) > FAR_OFF_CHANCE:
                return
            self._accused = 1
            control.doubt(NEVER_NS)

    def doubted(self, now_ns: int) -> None:
        """Note a clear because marks that come back unevenly are late."""
        self._doubts += 1
        self._doubted_ns = now_ns

    def cleared(self, now_ns: int) -> None:
        """Forget what was learnt: the carrier was cleared."""
        self._last_ns = _NO_SURPLUS
        self._has_corrected = self._has_stepped = False
        if self._accused:
            self.doubted(now_ns)
            self._accused = 0
        self._restart_steady(0)

    def _correct_uneven(self, now_ns: int, surplus_ns: int, floor_ns: int) -> int:
        """Return what to add to the model where marks come back unevenly: nothing, as a rule."""
        self._last_ns = _NO_SURPLUS
        self._restart_steady(0)
        if surplus_ns > SURPLUS_NS_MIN:
            self._accuse(now_ns, floor_ns)
            return 0
        self._acquit()
        lowered_ns = self._history.lowered_ns()
        # More at once is another way, or what a stall left.
        if not 0 < lowered_ns <= DRIFT_NS_MAX:
            return 0
        self._history.corrected(LOW_ROW, -lowered_ns)
        return -lowered_ns

    def _acquit(self) -> None:
        """End the doubt of a row: no mark is sooner than its way is long, so there was none."""
        if self._accused:
            self._accused = 0
            self._clear_control.trust()

    def _accuse(self, now_ns: int, floor_ns: int) -> None:
        """Doubt a row of late marks that is no chance."""
        control = self._clear_control
        history = self._history
        marks, late, alike = history.likelihood(floor_ns, SURPLUS_NS_MIN)
        if self._doubts and now_ns - self._doubted_ns >= FORGOTTEN_NS:
            self._doubts -= 1
            self._doubted_ns = now_ns
        if alike <= ALIKE or late <= DOUBTFUL * DOUBTFUL_AGAIN**self._doubts:
            # The model is not raised: were it chance, speech would be shortened for nothing.
            self._accused = marks
            control.surplus_ns = history.row_ns - floor_ns
            is_certain = alike <= CERTAIN or late <= CERTAIN_LATE
            control.doubt(now_ns + PATIENCE_NS if is_certain else NEVER_NS)

    def _correct_steady(self, now_ns: int, surplus_ns: int, floor_ns: int) -> int:
        """Return what to add to the model for a small surplus that lasts."""
        self._steady_ns = min(self._steady_ns, surplus_ns)
        self._steady_marks += 1
        if self._steady_marks < STEADY_MARKS:
            return 0
        steady_ns = self._steady_ns
        before_ns = self._steady_before_ns
        if steady_ns <= STEADY_NS_MAX:
            self._restart_steady(steady_ns)
            return 0
        chance = self._history.chance(self._steady_marks, floor_ns + steady_ns)
        if chance > (STEADY_CHANCE if self._steady_marks == STEADY_MARKS else STEADY_CHANCE_LONGER):
            if self._steady_marks == STEADY_MARKS_MAX:
                self._restart_steady(before_ns)
            return 0
        marks = self._steady_marks
        self._restart_steady(steady_ns)
        # Risen slowly, as a clock's error does. After a step the cause is unknown until the next
        # clear.
        if steady_ns - before_ns < STEP_NS_MIN and not self._has_stepped:
            self._steady_before_ns = 0
            # They are no measure of chance: the next row of a slow clock is as late.
            self._history.corrected(marks, steady_ns)
            self._added(steady_ns)
            return steady_ns
        if steady_ns > STEPPED_NS_MIN:
            self._has_stepped = True
            self._clear_control.doubt(now_ns + PATIENCE_NS)
        return 0

    def _restart_steady(self, before_ns: int) -> None:
        self._steady_marks = 0
        self._steady_ns = NEVER_NS
        self._steady_before_ns = before_ns

    def _added(self, length_ns: int) -> None:
        """Account for what was added to the model."""
        control = self._clear_control
        # The next mark is measured against the corrected model, and must be compared with it.
        self._last_ns = tuple([each_ns - length_ns for each_ns in self._last_ns])
        control.surplus_ns = max(0, control.surplus_ns - length_ns)
