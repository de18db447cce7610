"""The surplus of marks: what is audio, what is a clock, what is noise and what a doubt."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from media.clear_control import PATIENCE_NS, ClearControl
from media.clock import MS_NS, NEVER_NS, SECOND_NS
from media.mark_history import MarkHistory
from media.surplus import FORGOTTEN_NS, SURPLUS_NS_MIN, SurplusFilter

FLOOR_NS = 40 * MS_NS
EVEN = (0, 3, 1, 2) * 9
"""What marks were late by before."""
UNEVEN = (0, 90, 30, 60) * 12


class Carrier:
    """A mark a second whose surplus is said in ms."""

    def __init__(self, before_ms: Sequence[int] = EVEN) -> None:
        self.control = ClearControl()
        self.history = MarkHistory()
        self.filter = SurplusFilter(self.control, self.history)
        self.now_ns = 100 * SECOND_NS
        for ms in before_ms:
            self.history.returned(FLOOR_NS + ms * MS_NS)

    def marks(self, *surplus_ms: float) -> list[float]:
        corrections = []
        for ms in surplus_ms:
            self.now_ns += SECOND_NS
            surplus_ns = int(ms * MS_NS)
            self.history.returned(FLOOR_NS + surplus_ns)
            added = self.filter.correct(self.now_ns, surplus_ns, FLOOR_NS)
            corrections.append(added / MS_NS)
        return corrections

    def cleared(self) -> None:
        self.history.cleared(FLOOR_NS + SURPLUS_NS_MIN)
        self.filter.cleared(self.now_ns)
        self.control.cleared(self.now_ns, has_marks=True)
        self.control.is_measuring = False
        self.control.trust()


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
    carrier.cleared()
    assert carrier.marks(180) == [0], "the one before says nothing any more"


def test_where_marks_come_back_unevenly_a_row_asks_for_a_clear_in_a_pause() -> None:
    carrier = Carrier(UNEVEN)
    assert carrier.marks(90, 65, 90, 35, 80) == [0] * 5, "as late as ever"
    assert not carrier.control.is_in_doubt
    assert carrier.marks(0, 130, 180) == [0] * 3, "the model is not raised"
    assert carrier.control.is_in_doubt
    assert carrier.control.surplus_ns == 130 * MS_NS, "so long has the pause to be"
    assert not carrier.control.is_due(NEVER_NS - 1, 30 * MS_NS)
    carrier.control.sent(160 * MS_NS, is_quiet=True)
    assert carrier.control.is_due(carrier.now_ns, 30 * MS_NS)


def test_a_mark_in_time_ends_the_doubt_of_a_row() -> None:
    carrier = Carrier(UNEVEN)
    carrier.marks(130, 180)
    assert carrier.control.is_in_doubt
    carrier.marks(20)
    assert not carrier.control.is_in_doubt
    assert carrier.control.surplus_ns == 0


def test_a_row_that_is_as_good_as_certain_waits_for_no_pause() -> None:
    carrier = Carrier(UNEVEN)
    carrier.marks(130, 230, 180, 150, 280, 200, 170, 240)
    assert carrier.control.is_due(carrier.now_ns + PATIENCE_NS, MS_NS)
    carrier = Carrier(UNEVEN)
    carrier.marks(430, 431, 430)
    assert carrier.control.is_in_doubt
    assert not carrier.control.is_due(carrier.now_ns + PATIENCE_NS, MS_NS)
    carrier.marks(431)
    assert carrier.control.is_due(carrier.now_ns + PATIENCE_NS, MS_NS)


def test_after_a_clear_for_a_row_the_next_has_to_be_less_likely_for_two_minutes() -> None:
    carrier = Carrier(UNEVEN)
    carrier.marks(130, 180)
    carrier.cleared()
    carrier.marks(0, 60, 30, 90, 0, 130, 180)
    assert not carrier.control.is_in_doubt
    carrier.marks(230, 250)
    assert carrier.control.is_in_doubt
    carrier.marks(0)
    carrier.now_ns += FORGOTTEN_NS
    carrier.marks(300, 350)
    assert carrier.control.is_in_doubt


def test_a_slow_clock_is_not_seen_in_three_marks_that_are_late_by_chance() -> None:
    carrier = Carrier((0, 14, 7, 19) * 9)
    assert carrier.marks(*[7, 14, 9] * 6) == [0] * 18
    assert not carrier.control.is_in_doubt


def test_a_fast_clock_is_seen_where_marks_come_back_unevenly() -> None:
    carrier = Carrier(UNEVEN)
    assert carrier.marks(*[30] * 12, -5, -6, -7) == [0] * 15
    assert carrier.marks(-8) == [-5]
    assert carrier.marks(0, 30, 60, 90) == [0] * 4, "said once"
    assert not carrier.control.is_in_doubt
