"""Reads the generator's log-linear histograms. Pure: an array of counts in, durations out."""

from __future__ import annotations

from collections.abc import Sequence

BUCKETS = 1920
"""Up to 64-bit nanoseconds, in 32 steps to each power of two: see `record` in generator.c."""

_STEPS = 32


def upper_bound_ns(index: int) -> int:
    """Return the first nanosecond above a bucket, so that no percentile flatters."""
    # Below 32 ns a bucket is one nanosecond wide.
    if index < _STEPS:
        return index + 1
    # The inverse of `record`: each octave is twice as wide as the one before.
    octave, step = divmod(index, _STEPS)
    return (_STEPS + step + 1) << (octave - 1)


def percentile_us(buckets: Sequence[int], share: float) -> float:
    """Return the value that `share` (0 to 1) of all recorded values stay below, in microseconds.

    An empty histogram has no percentiles: the answer is then infinite, which no limit accepts.
    """
    total = sum(buckets)
    if total == 0:
        return float("inf")
    wanted = share * total
    below = 0
    for index, count in enumerate(buckets):
        below += count
        # Empty buckets hold no value that could be the answer, not even for a share of 0.
        if count and below >= wanted:
            return upper_bound_ns(index) / 1000
    raise AssertionError("the buckets hold fewer values than their sum")
