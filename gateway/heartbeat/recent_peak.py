"""Tracks the recent maximum of a value, for any number of readers. Time is an argument."""

from __future__ import annotations


class RecentPeak:
    """The highest value noted within the last one to two windows.

    Reading changes nothing, so readers hide nothing from one another: one that reads once a
    window misses no peak.
    """

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._window = 0
        """Number of the current window."""
        self._peak = self._previous_peak = 0

    def note(self, value: int, now_ns: int) -> None:
        """Record a value; it must not be negative."""
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
