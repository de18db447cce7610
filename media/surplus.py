"""Tells audio that a carrier has beyond the model from the noise of its marks.

Takes the surplus of each mark: its round trip less the audio before it and less the network's
floor. Returns what to add to the model. What may be wrong by more than noise becomes a doubt of the
clear control. Knows no marks' names, no stream and no clock.
"""

from __future__ import annotations

from typing import Final

from media.clear_control import PATIENCE_NS, ClearControl
from media.nanoseconds import MS_NS, NEVER_NS

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
AGREEING_MARKS_UNEVEN: Final = 4
"""How many marks in a row have to agree; more where marks come back unevenly, here and below, on
less than twice what they may be late by."""
STEADY_MARKS: Final = 3
STEADY_MARKS_UNEVEN: Final = 48
STEADY_NS_MAX: Final = 6 * MS_NS
"""A surplus that this many marks in a row exceed is not noise, though each of them could be: the
carrier's clock is slow."""
STEP_NS_MIN: Final = 5 * MS_NS
STEPPED_NS_MIN: Final = 12 * MS_NS
"""A steady surplus above `STEPPED_NS_MIN` that has risen by more than `STEP_NS_MIN` at once is not
caused by a clock."""

_NO_SURPLUS: Final = (0,) * AGREEING_MARKS_UNEVEN


class SurplusFilter:
    """The surplus of one stream's marks."""

    __slots__ = (
        "_clear_control",
        "_corrected_ns",
        "_has_corrected",
        "_has_stepped",
        "_last_ns",
        "_steady_before_ns",
        "_steady_marks",
        "_steady_ns",
        "_uneven_marks",
    )

    def __init__(self, clear_control: ClearControl) -> None:
        self._clear_control = clear_control
        self._last_ns: tuple[int, ...] = _NO_SURPLUS
        """Surplus of the last marks, less what was added to the model since."""
        self._corrected_ns = -NEVER_NS
        """When the model was raised last."""
        self._has_corrected = False
        """The model has been raised since the last clear."""
        self._uneven_marks = 0
        """How many of the last marks, and of those to come, may be late by chance."""
        self._steady_marks = 0
        """Small surpluses in a row."""
        self._steady_ns = NEVER_NS
        """The least of them."""
        self._steady_before_ns = 0
        """The least of the row before them."""
        self._has_stepped = False
        """That least has risen at once since the last clear."""

    def correct(self, now_ns: int, surplus_ns: int, lateness_ns: int) -> int:
        """Return what to add to the model: the surplus that marks in a row agree on.

        `lateness_ns` is by how much a mark may be late that says nothing; 0 if they come back
        evenly.
        """
        control = self._clear_control
        before_ns = self._last_ns[-1]
        self._last_ns = (*self._last_ns[1:], surplus_ns)
        control.surplus_ns = max(0, surplus_ns)
        noise_ns = max(SURPLUS_NS_MIN, lateness_ns)
        self._uneven_marks = (
            AGREEING_MARKS_UNEVEN if lateness_ns else max(0, self._uneven_marks - 1)
        )
        # Within noise. Below zero the model follows by half: a fast clock would let the carrier run
        # dry.
        if -DRIFT_NS_MAX <= surplus_ns <= noise_ns:
            steady_ns = self._correct_steady(now_ns, surplus_ns, is_even=not lateness_ns)
            return steady_ns or min(0, surplus_ns) // 2
        # Marks agree on what all of them show; more of any may be jitter.
        agreed_ns = min(self._last_ns[-AGREEING_MARKS:])
        if agreed_ns <= 2 * lateness_ns:
            agreed_ns = min(self._last_ns)
        if agreed_ns <= noise_ns:
            # Twice below the model by more than a clock explains: a doubt that does not wait for
            # ever. A single mark that is far off waits for a pause.
            is_lower = max(before_ns, surplus_ns) < -DRIFT_NS_MAX
            is_far_off = not (lateness_ns or -SLOW_NS_MAX < surplus_ns < SLOW_NS_MAX)
            if is_lower or is_far_off:
                control.doubt(now_ns + PATIENCE_NS if is_lower else NEVER_NS)
            return 0
        # What was not believed while marks came back unevenly did not come slowly, as a clock's.
        is_slow = agreed_ns <= SLOW_NS_MAX and not self._uneven_marks
        if not is_slow or now_ns - self._corrected_ns < SLOW_APART_NS:
            # If it was audio, it is gone once the playout has shortened it. If it is back, it was
            # something else, and only a clear can tell.
            control.doubt(now_ns if self._has_corrected else now_ns + PATIENCE_NS)
            if self._has_corrected:
                return 0
            self._has_corrected = True
        self._corrected_ns = now_ns
        self._added(agreed_ns)
        return agreed_ns

    def cleared(self) -> None:
        """Forget what was learnt: the carrier was cleared."""
        self._last_ns = _NO_SURPLUS
        self._has_corrected = self._has_stepped = False
        self._restart_steady(0)

    def _correct_steady(self, now_ns: int, surplus_ns: int, *, is_even: bool) -> int:
        """Return what to add to the model for a small surplus that lasts."""
        self._steady_ns = min(self._steady_ns, surplus_ns)
        self._steady_marks += 1
        if self._steady_marks < (STEADY_MARKS if is_even else STEADY_MARKS_UNEVEN):
            return 0
        steady_ns, before_ns = self._steady_ns, self._steady_before_ns
        self._restart_steady(steady_ns)
        if steady_ns <= STEADY_NS_MAX:
            return 0
        # Risen slowly, as a clock's error does. After a step the cause is unknown until the next
        # clear.
        if steady_ns - before_ns < STEP_NS_MIN and not self._has_stepped:
            self._steady_before_ns = 0
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
