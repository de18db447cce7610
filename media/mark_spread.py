"""Learns how unevenly the marks of a carrier come back.

The way of a mark may take longer by chance, and a mark that is late by no more than usual says
nothing. Two marks in a row differ by that chance. Audio that a stall has piled up makes two of them
differ once; those after it agree again. So the median difference of the last few is chance alone.

Knows no floor, no stream and no clock.
"""

from __future__ import annotations

from typing import Final

from media.nanoseconds import MS_NS

DIFFERENCES: Final = 7
"""Differences that are looked at: two stalls, each of which disturbs two, are outnumbered, and any
number is forgotten after as many marks."""
DIFFERENCES_MIN: Final = 2
LATENESS: Final = 4
"""By how many median differences a mark is late at most, as a rule: two times that are equally
likely between 0 and 1 differ by 0.29 in the median, and the median of seven is often less."""
LATENESS_NS_MAX: Final = 300 * MS_NS
"""The most that is taken for chance, whatever stalls do to the differences."""
EVEN_NS_MAX: Final = 5 * MS_NS
"""Largest median difference of marks that come back evenly."""
SAME_NS_MAX: Final = 3 * MS_NS
SAME: Final = 3
"""This many of the last differences that are as small say that the line is even, whatever stalls do
to the others: where marks wander by 60 ms, one of ten is."""


class MarkSpread:
    """The round trips of one stream's marks, less the audio before them."""

    __slots__ = ("_differences", "_measured_ns", "_trip_ns", "lateness_ns")

    def __init__(self) -> None:
        self._differences: tuple[int, ...] = ()
        self._trip_ns: int | None = None
        """Of the mark before."""
        self._measured_ns: int | None = None
        """Of the first mark after a clear."""
        self.lateness_ns = 0
        """By how much a mark may be late that says nothing; 0 if they come back evenly."""

    def returned(self, trip_ns: int, *, is_first: bool) -> None:
        """Take the round trip of a mark; `is_first` is said of the first one after a clear."""
        if is_first:
            # What the carrier had beyond the model is gone, so it is compared with its like.
            before_ns, self._measured_ns = self._measured_ns, trip_ns
        else:
            before_ns = self._trip_ns
        self._trip_ns = trip_ns
        if before_ns is None:
            return
        self._differences = (*self._differences, abs(trip_ns - before_ns))[-DIFFERENCES:]
        count = len(self._differences)
        median_ns = sorted(self._differences)[count // 2]
        same = sum(each_ns <= SAME_NS_MAX for each_ns in self._differences)
        is_even = median_ns <= EVEN_NS_MAX or same >= SAME
        is_uneven = count >= DIFFERENCES_MIN and not is_even
        self.lateness_ns = min(LATENESS_NS_MAX, LATENESS * median_ns) if is_uneven else 0

    def corrected(self, length_ns: int) -> None:
        """Account for what was added to the model: the next round trip is shorter by that."""
        if self._trip_ns is not None:
            self._trip_ns -= length_ns
