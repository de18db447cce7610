"""Percentiles never flatter and are off by one step at most."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.histogram import BUCKETS, percentile_us, upper_bound_ns

VALUES = st.integers(0, 2**63)


def bucket_of(value_ns: int) -> int:
    """The bucket by the definition: 32 equal steps between two powers of two."""
    if value_ns < 32:
        return value_ns
    octave = value_ns.bit_length() - 5
    return octave * 32 + (value_ns >> (octave - 1)) - 32


@given(VALUES)
def test_a_bucket_ends_above_its_values_and_close_to_them(value_ns: int) -> None:
    index = bucket_of(value_ns)
    assert 0 <= index < BUCKETS
    assert value_ns < upper_bound_ns(index)
    assert upper_bound_ns(index) - value_ns <= max(1, value_ns // 32 + 1)
    assert index == 0 or upper_bound_ns(index - 1) <= value_ns


@given(st.lists(VALUES, min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_percentile_is_the_value_of_its_rank(values_ns: list[int], share: float) -> None:
    buckets = [0] * BUCKETS
    for value_ns in values_ns:
        buckets[bucket_of(value_ns)] += 1
    ranked = sorted(values_ns)
    exact = ranked[math.ceil(share * len(ranked)) - 1]
    assert percentile_us(buckets, share) == upper_bound_ns(bucket_of(exact)) / 1000


def test_nothing_recorded_meets_no_limit() -> None:
    assert percentile_us([0] * BUCKETS, 0.5) == pytest.approx(math.inf)
