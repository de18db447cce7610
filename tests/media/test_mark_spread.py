"""How late a mark may be that says nothing."""

from __future__ import annotations

import pytest

from media.mark_spread import MarkSpread
from media.nanoseconds import MS_NS


def after(*trips_ms: float, spread: MarkSpread | None = None) -> MarkSpread:
    spread = spread or MarkSpread()
    for trip in trips_ms:
        spread.returned(int(trip * MS_NS), is_first=False)
    return spread


def test_marks_that_come_back_evenly_are_not_late() -> None:
    assert after(40).lateness_ns == 0
    assert after(*[40, 45] * 9).lateness_ns == 0
    assert after(*[40, 45.1] * 9).lateness_ns == pytest.approx(4 * 5.1 * MS_NS)


def test_what_marks_usually_differ_by_is_known_from_the_third_on() -> None:
    assert after(40, 100).lateness_ns == 0
    assert after(40, 100, 60).lateness_ns == 240 * MS_NS, "the greater of two"
    assert after(40, 100, 60, 50).lateness_ns == 160 * MS_NS


def test_one_stall_is_no_unevenness() -> None:
    """Nor is what it leaves: the marks after it agree again."""
    assert after(*[40] * 6, 840, 341, 340).lateness_ns == 0


def test_many_stalls_are_forgotten_when_four_marks_agree() -> None:
    spread = after(*[40, 340] * 5)
    assert spread.lateness_ns == 300 * MS_NS
    after(341, 342, spread=spread)
    assert spread.lateness_ns == 300 * MS_NS
    after(340, spread=spread)
    assert spread.lateness_ns == 0


def test_three_of_seven_that_agree_are_no_chance_wherever_they_stand() -> None:
    spread = after(*[40, 340] * 5)
    after(341, 40, 42, 300, 301, spread=spread)
    assert spread.lateness_ns == 0
    after(40, 340, spread=spread)
    assert spread.lateness_ns == 0, "still among the last seven"
    after(40, 340, 40, spread=spread)
    assert spread.lateness_ns == 300 * MS_NS


def test_nobody_is_believed_to_be_later_than_a_stall_of_moment() -> None:
    assert after(*[0, 900] * 9).lateness_ns == 300 * MS_NS


def test_what_was_added_to_the_model_is_no_difference() -> None:
    spread = after(*[40] * 3, *[140] * 2)
    for _ in range(5):
        spread.corrected(100 * MS_NS)
        after(40, spread=spread)
        spread.corrected(-100 * MS_NS)
        after(140, spread=spread)
    assert spread.lateness_ns == 0


def test_what_the_network_takes_alone_is_compared_with_its_like() -> None:
    """A clear takes away what the carrier had too much of."""
    spread = MarkSpread()
    for _ in range(8):
        spread.returned(40 * MS_NS, is_first=True)
        after(400, 400, spread=spread)
    assert spread.lateness_ns == 0
