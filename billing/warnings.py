"""Decides when to warn of a call's coming end, so that there is time to top up or say goodbye.

Takes the seconds left, at least once a second, and returns whether to warn.
"""

from __future__ import annotations

from enum import Enum

THRESHOLDS_S = (60, 30, 10)
"""Seconds left at which to warn."""

RISE_S = 5
"""How far above its threshold the time must rise before a warning is withdrawn: more than estimates
of a shared balance fluctuate by themselves."""


class Change(Enum):
    """What to tell the caller."""

    GIVEN = "given"
    TAKEN_BACK = "taken_back"


class EndWarnings:
    """The warnings of one call.

    Each threshold is warned of once per fall; a fall past several gives one warning. A call that
    begins below a threshold is warned at the first look.
    """

    __slots__ = ("_armed", "_standing_s")

    def __init__(self) -> None:
        self._armed: tuple[int, ...] = THRESHOLDS_S
        self._standing_s: int | None = None
        """Threshold of the last warning that is still in force."""

    @property
    def is_standing(self) -> bool:
        """Whether a warning was given and holds."""
        return self._standing_s is not None

    def note(self, left_s: int) -> Change | None:
        """Take the whole seconds left; return what to tell the caller, if anything."""
        # A fall past several thresholds at once is one warning, for the nearest end.
        passed = [threshold_s for threshold_s in self._armed if left_s <= threshold_s]
        if passed:
            self._armed = tuple(t for t in self._armed if t not in passed)
            self._standing_s = min(passed)
            return Change.GIVEN
        # Above a warning that stands, thresholds are armed again only with the margin: an estimate
        # that fluctuates around one would otherwise warn and take back again and again.
        is_over = self._standing_s is not None and left_s >= self._standing_s + RISE_S
        margin_s = RISE_S if self._standing_s is not None else 1
        self._armed = tuple(t for t in THRESHOLDS_S if t in self._armed or left_s >= t + margin_s)
        if is_over:
            self._standing_s = None
            return Change.TAKEN_BACK
        return None
