"""Keeps the highest value of the last while, for any number of readers. Knows no clock."""

from __future__ import annotations


class RecentPeak:
    """The highest value noted within the last one to two windows.

    Reading changes nothing, so that readers hide nothing from one another: whoever reads once a
    window misses no peak.
    """

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._window = 0
        """Number of the current window."""
        self._peak = self._previous_peak = 0

    def note(self, value: int, now_ns: int) -> None:
        """Take a value into account; it must not be negative."""
        self._turn(now_ns)
        self._peak = max(self._peak, value)

    def read(self, now_ns: int) -> int:
        """Return the peak of the current window and the one before it; 0 if nothing was noted."""
        self._turn(now_ns)
        return max(self._peak, self._previous_peak)

    def _turn(self, now_ns: int) -> None:
        window = now_ns // self._window_ns
        if window != self._window:
            self._previous_peak = self._peak if window == self._window + 1 else 0
            self._peak, self._window = 0, window
