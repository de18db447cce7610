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

    def marks(self, *surplus_ms: float) -> list[float]:
        corrections = []
        for ms in surplus_ms:
            self.now_ns += SECOND_NS
            corrections.append(self.filter.correct(self.now_ns, int(ms * MS_NS)) / MS_NS)
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
