"""Warnings of a call's end: each in time, none twice for one fall, none of what never was."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.warnings import RISE_S, THRESHOLDS_S, Change, EndWarnings


def heard(lefts):
    """Return the (seconds left, change) told for these seconds left, one reading after another."""
    warnings = EndWarnings()
    changes = [(left_s, warnings.note(left_s)) for left_s in lefts]
    return [(left_s, change) for left_s, change in changes if change is not None]


GIVEN, TAKEN_BACK = Change.GIVEN, Change.TAKEN_BACK


@pytest.mark.parametrize(
    ("lefts", "told"),
    [
        (range(100, -1, -1), [(60, GIVEN), (30, GIVEN), (10, GIVEN)]),
        (range(61, 50, -1), [(60, GIVEN)]),
        # What begins below a threshold is warned of at the first look, once.
        (range(60, 25, -1), [(60, GIVEN), (30, GIVEN)]),
        (range(45, 25, -1), [(45, GIVEN), (30, GIVEN)]),
        (range(30, 5, -1), [(30, GIVEN), (10, GIVEN)]),
        (range(11, 5, -1), [(11, GIVEN), (10, GIVEN)]),
        (range(10, -1, -1), [(10, GIVEN)]),
        ([3, 2, 8, 3], [(3, GIVEN)]),
        ([9, 80, 60], [(9, GIVEN), (80, TAKEN_BACK), (60, GIVEN)]),
        # A fall past several is warned of once, by what is left.
        ([100, 25, 24], [(25, GIVEN)]),
        ([100, 3], [(3, GIVEN)]),
        # A balance that swings is one fall.
        ([62, 60, 63, 59, 64, 58, 60], [(60, GIVEN)]),
        # Credit that rises takes the warning back; it may come again.
        ([62, 60, 65, 60], [(60, GIVEN), (65, TAKEN_BACK), (60, GIVEN)]),
        (
            [40, 30, 10, 40, 41, 30],
            [(40, GIVEN), (30, GIVEN), (10, GIVEN), (40, TAKEN_BACK), (30, GIVEN)],
        ),
        ([40, 10, 16, 10], [(40, GIVEN), (10, GIVEN), (16, TAKEN_BACK), (10, GIVEN)]),
    ],
)
def test_what_is_told(lefts, told):
    assert heard(lefts) == told


@given(st.lists(st.integers(0, 100), max_size=60))
def test_no_course_breaks_the_promises(lefts):
    told = heard(lefts)
    for (_, before), (_, after) in pairwise(told):
        assert (before, after) != (TAKEN_BACK, TAKEN_BACK)
    if told:
        assert told[0][1] is GIVEN
        assert told[0][0] <= max(THRESHOLDS_S)


@given(st.integers(0, 100), st.lists(st.integers(0, 3), max_size=120))
def test_a_fall_is_warned_of_at_each_threshold_it_passes_once(start, steps):
    lefts = [start]
    for step in steps:
        lefts.append(max(0, lefts[-1] - step))
    told = heard(lefts)
    assert {change for _, change in told} <= {GIVEN}
    if start <= max(THRESHOLDS_S):
        assert told.pop(0) == (start, GIVEN)
    passed = [t for t in THRESHOLDS_S if start > t >= lefts[-1]]
    assert len(told) == len(passed)
    for threshold_s, (left_s, _) in zip(passed, told, strict=True):
        assert threshold_s - 3 < left_s <= threshold_s


@pytest.mark.parametrize("threshold_s", THRESHOLDS_S)
def test_a_swing_below_the_rise_neither_clears_nor_repeats(threshold_s):
    swing = [threshold_s + 1, threshold_s, threshold_s + RISE_S - 1] * 3 + [threshold_s]
    before = [(threshold_s + 1, GIVEN)] if threshold_s < max(THRESHOLDS_S) else []
    assert heard(swing) == [*before, (threshold_s, GIVEN)]
