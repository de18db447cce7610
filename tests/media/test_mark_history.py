"""Which rows of late marks are no chance, by the marks before them."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from media.clock import MS_NS
from media.mark_history import TRIPS, MarkHistory

FLOOR, LATE = 40 * MS_NS, 30 * MS_NS


def after(*trips_ms: float, history: MarkHistory | None = None) -> MarkHistory:
    history = history or MarkHistory()
    for trip in trips_ms:
        history.returned(int(trip * MS_NS))
    return history


def row(trips_ms: Iterable[float], history: MarkHistory) -> tuple[int, float, float]:
    return after(*trips_ms, history=history).likelihood(FLOOR, LATE)


def test_marks_are_even_once_six_before_the_newest_three_were_in_time() -> None:
    assert not after(*[40] * 8).is_even
    assert after(*[40] * 9).is_even
    assert after(*[40, 60] * 9).is_even
    assert not after(*[40] * 5, 60.1, *[40] * 5).is_even
    assert after(*[40] * 9, 840, 341, 340).is_even, "the newest are what is judged"
    assert after(*[40] * 9, *[10] * 3).is_even, "also where the way is shorter"


@pytest.mark.parametrize(("late", "is_even"), [(3, True), (4, False)])
def test_one_late_mark_of_twenty_leaves_them_even(late: int, is_even: bool) -> None:
    assert after(*[40] * 30, *[90] * late, *[40] * 30).is_even is is_even


def test_a_row_is_as_unlikely_as_late_marks_were_rare_before() -> None:
    for before, likely in (([40] * 60, 1e-3), ([150] * 10 + [40] * 50, 0.05)):
        length, late, alike = row([150, 200], after(*before))
        assert length == 2
        assert likely / 10 < late < likely
        assert alike == 1.0, "two may agree by chance"
    history = after(*[40, 150] * 30)
    assert row([150, 150], history)[1] > 0.1
    length, late, _ = row([199, 151, 300, 170, 240, 260, 190, 220, 310, 280], history)
    assert (length, history.row_ns) == (8, 170 * MS_NS)
    assert late < 1e-2


def test_a_row_ends_at_the_last_mark_that_was_in_time() -> None:
    history = after(*[40] * 20)
    assert row([150, 200, 250, 69], history) == (0, 1.0, 1.0)
    assert row([150, 200], history)[0] == 2


def test_a_row_of_which_most_are_late_is_no_chance_either() -> None:
    """Where marks take 200 ms by themselves the least of a row is none of the latest."""
    usual = [180, 190, 200, 210, 220] * 12
    shifted = [300, 200, 320, 310, 330, 300, 320, 215]
    assert row(shifted, after(*usual))[1] < 1e-3


def test_marks_that_agree_are_no_chance_whatever_was_before() -> None:
    uneven = [40, 800, 200, 400, 900, 90] * 4
    length, _, alike = row([540, 541, 540], after(*uneven))
    assert (length, alike < 2e-4) == (3, True)
    assert row([140, 145, 141], after(*uneven))[2] > 2e-4, "that is all that chance spreads them"
    assert row([540, 541, 900, 541, 540, 542], after(*uneven))[2] < 2e-4, "but for a quarter"


def test_before_three_marks_are_known_only_agreement_counts() -> None:
    assert after(40, 41, 540, 600).likelihood(FLOOR, LATE)[1] == 1.0
    assert after(40, 41, 540, 541, 540).likelihood(FLOOR, LATE)[2] < 2e-4


def test_what_a_clear_takes_away_says_nothing_of_chance() -> None:
    history = after(*[40] * 40, *[140, 190, 160] * 4)
    history.cleared(FLOOR + LATE)
    assert row([140, 160], history)[1] < 1e-3


def test_what_a_clear_does_not_take_away_is_chance() -> None:
    history = after(*[40] * 40, *[140, 190, 160] * 4)
    history.cleared(FLOOR + LATE)
    after(170, 150, 180, history=history)
    assert not history.is_way_longer
    assert history.likelihood(FLOOR, LATE)[1] > 1e-3


def test_what_a_clear_does_not_take_away_and_marks_agree_on_is_the_way() -> None:
    history = after(*[40] * 40, *[140] * 3)
    history.cleared(FLOOR + LATE)
    after(141, 140, history=history)
    assert not history.is_way_longer
    after(139, history=history)
    assert history.is_way_longer
    assert history.chance_ns() < 8 * MS_NS, "the way before is forgotten"


def test_rows_do_not_reach_across_a_clear() -> None:
    history = after(*[40] * 20, 150, 200)
    history.cleared(FLOOR + LATE)
    assert row([150], history) == (0, 1.0, 1.0)


def test_chance_makes_the_first_marks_lower_one_another() -> None:
    assert after(90, 40).chance_ns() == 0
    assert after(90, 60, 40, 30).chance_ns() == 4 * 50 * MS_NS
    assert after(*[40, 41, 42] * 9, 30).chance_ns() < MS_NS
    assert after(40, 45, 50, *[240] * 20, 30).chance_ns() == 100 * MS_NS


def test_what_was_added_to_the_model_was_not_late() -> None:
    history = after(*[40] * 20, *[140] * 2)
    history.corrected(2, 100 * MS_NS)
    assert history.chance(1, 40 * MS_NS) > 0.9
    assert row([45], history) == (0, 1.0, 1.0)


def test_four_of_sixteen_below_all_before_are_a_fast_clock() -> None:
    usual = [40, 60, 80, 50] * 12
    assert after(*usual, *[60] * 13, 35, 36, 37).lowered_ns() == 0
    assert after(*usual, *[60] * 12, 35, 36, 37, 38).lowered_ns() == 2 * MS_NS
    assert after(*[40] * 20, 30, 30, 30, 30).lowered_ns() == 0, "too few are known"


def test_no_more_is_remembered_than_is_needed() -> None:
    history = after(*[40] * (TRIPS - 1))
    assert history.least_ns() is None
    after(*[50] * TRIPS, history=history)
    assert history.least_ns() == 50 * MS_NS
    assert len(history._trips) == TRIPS
    history.restart()
    assert history.least_ns() is None
