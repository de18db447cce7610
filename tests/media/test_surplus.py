"""The surplus of marks: what is audio, what is a clock, what is noise and what a doubt."""

from __future__ import annotations

import pytest

from media.clear_control import PATIENCE_NS, ClearControl
from media.nanoseconds import MS_NS, NEVER_NS, SECOND_NS
from media.surplus import SurplusFilter


class Carrier:
    """A mark a second whose surplus is said in ms."""

    def __init__(self) -> None:
        self.control = ClearControl()
        self.filter = SurplusFilter(self.control)
        self.now_ns = 100 * SECOND_NS

    def marks(self, *surplus_ms: float, lateness_ms: int = 0) -> list[float]:
        corrections = []
        for ms in surplus_ms:
            self.now_ns += SECOND_NS
            added = self.filter.correct(self.now_ns, int(ms * MS_NS), lateness_ms * MS_NS)
            corrections.append(added / MS_NS)
        return corrections


def test_noise_corrects_nothing() -> None:
    carrier = Carrier()
    assert carrier.marks(0, 20, 5, 0, 30, 2, 1) == [0] * 7
    assert not carrier.control.is_in_doubt


def test_two_marks_agree_on_audio_and_leave_a_doubt() -> None:
    carrier = Carrier()
    assert carrier.marks(200, 180) == [0, 180]
    assert carrier.control.surplus_ns == 0
    assert not carrier.control.is_due(carrier.now_ns + PATIENCE_NS - 1, MS_NS)
    assert carrier.control.is_due(carrier.now_ns + PATIENCE_NS, MS_NS)


def test_audio_that_is_back_after_it_was_removed_is_cleared_at_once() -> None:
    carrier = Carrier()
    carrier.marks(200, 180)
    assert carrier.marks(0, 150, 150) == [0, 0, 0]
    assert carrier.control.is_due(carrier.now_ns, MS_NS)


def test_a_single_large_surplus_waits_for_a_pause() -> None:
    carrier = Carrier()
    assert carrier.marks(500) == [0]
    assert carrier.control.is_in_doubt
    assert not carrier.control.is_due(NEVER_NS - 1, 600 * MS_NS)


def test_a_fast_clock_is_followed_and_a_lower_way_doubted() -> None:
    carrier = Carrier()
    assert carrier.marks(-8) == [-4]
    assert not carrier.control.is_in_doubt
    assert carrier.marks(-30, -30) == [0, 0]
    assert carrier.control.is_due(carrier.now_ns + PATIENCE_NS, MS_NS)


@pytest.mark.parametrize("first", [6, 6.1])
def test_a_small_surplus_that_three_marks_have_is_a_slow_clock(first: float) -> None:
    carrier = Carrier()
    carrier.marks(4, 4, 4)
    assert carrier.marks(first, 9, 8) == [0, 0, first if first > 6 else 0]
    assert not carrier.control.is_in_doubt


def test_a_small_surplus_that_comes_at_once_is_a_doubt() -> None:
    carrier = Carrier()
    carrier.marks(0, 0, 0)
    assert carrier.marks(13, 14, 13) == [0, 0, 0]
    assert carrier.control.is_in_doubt


def test_a_clear_forgets_the_marks_before_it() -> None:
    carrier = Carrier()
    carrier.marks(200)
    carrier.filter.cleared()
    assert carrier.marks(180) == [0], "the one before says nothing any more"


def test_marks_that_come_back_unevenly_agree_by_four_on_more_than_they_are_late_by() -> None:
    carrier = Carrier()
    assert carrier.marks(90, 70, 99, 60, lateness_ms=100) == [0] * 4
    assert not carrier.control.is_in_doubt, "not even a pause is used"
    carrier.marks(0)
    assert carrier.marks(150, 120, 180, lateness_ms=100) == [0] * 3
    assert not carrier.control.is_in_doubt
    assert carrier.marks(160, lateness_ms=100) == [120]
    assert carrier.control.is_due(carrier.now_ns + PATIENCE_NS, MS_NS)


def test_two_that_are_far_later_than_marks_are_at_all_agree_as_ever() -> None:
    carrier = Carrier()
    assert carrier.marks(201, 220, lateness_ms=100) == [0, 201]


def test_what_marks_said_while_they_came_back_unevenly_counts_once_they_are_even_again() -> None:
    carrier = Carrier()
    assert carrier.marks(60, 61, lateness_ms=200) == [0, 0]
    assert carrier.marks(62) == [61]


def test_a_slow_clock_is_not_seen_in_three_marks_that_wander() -> None:
    carrier = Carrier()
    assert carrier.marks(*[4, 25, 9] * 16, lateness_ms=60) == [0] * 48
    assert carrier.marks(*[8, 25, 9] * 16, lateness_ms=60) == [0] * 47 + [8]


def test_what_was_not_believed_while_marks_were_uneven_is_no_slow_clock() -> None:
    carrier = Carrier()
    assert carrier.marks(35, 36, 37, lateness_ms=200) == [0] * 3
    assert not carrier.control.is_in_doubt
    assert carrier.marks(36) == [36]
    assert carrier.control.is_in_doubt
