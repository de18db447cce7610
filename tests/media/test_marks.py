"""Marks: when they go, what their return says, what is noise."""

from __future__ import annotations

from media.marks import Marks

MS = 1_000_000
SECOND = 1_000 * MS


def trip(marks: Marks, at: int, *, lead: int, rtt: int, surplus: int = 0) -> int:
    """Send a mark behind `lead`, bring it back, correct the model; return the correction."""
    name = marks.due(at, at + lead)
    assert name is not None
    back = at + lead + surplus + rtt
    return marks.correct(back, marks.returned(back, name))


def learnt(rtt: int = 40 * MS, count: int = 12) -> Marks:
    marks = Marks()
    for second in range(count):
        assert trip(marks, second * SECOND, lead=30 * MS, rtt=rtt) == 0
    return marks


def test_at_most_one_a_second_and_one_under_way() -> None:
    marks = Marks()
    first = marks.due(0, 30 * MS)
    assert first is not None
    assert marks.due(5 * SECOND, 6 * SECOND) is None, "it is still under way"
    marks.returned(5 * SECOND, first)
    second = marks.due(5 * SECOND, 6 * SECOND)
    assert second not in (None, first)
    marks.returned(5 * SECOND + 50 * MS, str(second))
    assert marks.due(5 * SECOND + 900 * MS, 6 * SECOND) is None
    assert marks.due(6 * SECOND, 7 * SECOND) is not None


def test_none_while_nothing_was_played_lately() -> None:
    marks = Marks()
    assert marks.due(5 * SECOND, 4 * SECOND - 1) is None
    assert marks.due(5 * SECOND, 4 * SECOND) is not None


def test_one_that_does_not_come_back_is_given_up_but_known_when_it_does() -> None:
    marks = learnt(count=1)
    lost = marks.due(10 * SECOND, 10 * SECOND)
    assert marks.due(20 * SECOND - 1, 20 * SECOND) is None
    assert marks.due(20 * SECOND, 20 * SECOND) is not None
    assert lost is not None
    marks.returned(22 * SECOND, lost)
    again = marks.due(30 * SECOND, 30 * SECOND)
    assert again is not None
    assert marks.returned(42 * SECOND, again) > 11 * SECOND


def test_few_are_remembered() -> None:
    marks = Marks()
    names = [marks.due(second * SECOND, second * SECOND) for second in range(0, 200, 10)]
    assert None not in names
    assert len(marks._waiting) == 4


def test_the_audio_before_a_mark_is_no_part_of_its_round_trip() -> None:
    marks = Marks()
    assert marks.rtt_ns is None
    trip(marks, 0, lead=70 * MS, rtt=40 * MS)
    assert marks.rtt_ns == 40 * MS
    trip(marks, SECOND, lead=-500 * MS, rtt=540 * MS)
    assert marks.rtt_ns == 40 * MS, "a dry carrier returns it at once"


def test_the_floor_of_the_first_round_trips_is_learnt() -> None:
    marks = Marks()
    for second, rtt in enumerate((60, 45, 52, 41, 80, 44)):
        assert trip(marks, second * SECOND, lead=0, rtt=rtt * MS) == 0
    assert marks.rtt_ns == 41 * MS


def test_a_single_late_mark_says_nothing() -> None:
    marks = learnt()
    assert trip(marks, 20 * SECOND, lead=30 * MS, rtt=1_040 * MS) == 0
    assert trip(marks, 22 * SECOND, lead=30 * MS, rtt=40 * MS) == 0


def test_what_two_late_marks_agree_on_is_believed_and_leaves_a_doubt() -> None:
    marks = learnt()
    assert trip(marks, 20 * SECOND, lead=30 * MS, rtt=40 * MS, surplus=200 * MS) == 0
    assert trip(marks, 22 * SECOND, lead=30 * MS, rtt=40 * MS, surplus=180 * MS) == 180 * MS
    assert marks.rtt_ns == 40 * MS
    assert marks.clear_control.is_in_doubt
    # What was corrected is not counted again, even if the next mark is late by itself.
    assert trip(marks, 60 * SECOND, lead=30 * MS, rtt=40 * MS, surplus=300 * MS) == 0
    assert marks.rtt_ns == 40 * MS


def test_a_doubt_ends_in_a_pause_that_hides_a_clear_or_after_two_seconds() -> None:
    marks = learnt()
    for second in (20, 22):
        trip(marks, second * SECOND, lead=30 * MS, rtt=240 * MS)
    at = 22 * SECOND + 270 * MS
    assert not marks.clear_control.is_due(at, 50 * MS)
    marks.clear_control.sent(40 * MS, is_quiet=True)
    assert not marks.clear_control.is_due(at, 50 * MS), "the pause is not long enough"
    marks.clear_control.sent(20 * MS, is_quiet=True)
    assert marks.clear_control.is_due(at, 50 * MS)
    marks.clear_control.sent(20 * MS, is_quiet=False)
    assert not marks.clear_control.is_due(at + 2 * SECOND - 1, 50 * MS)
    assert marks.clear_control.is_due(at + 2 * SECOND, 50 * MS)


def test_audio_that_is_still_there_when_it_was_taken_away_was_none() -> None:
    marks = learnt()
    for second in (20, 22, 24):
        trip(marks, second * SECOND, lead=30 * MS, rtt=240 * MS)
        trip(marks, second * SECOND + SECOND, lead=230 * MS, rtt=240 * MS)
    assert marks.clear_control.is_due(25 * SECOND + 470 * MS, 50 * MS)


def measured(marks: Marks, at: int, rtt: int) -> None:
    """Clear, and let the first mark after it come back."""
    marks.cleared(at)
    assert trip(marks, at + SECOND, lead=30 * MS, rtt=rtt) == 0


def test_the_first_mark_after_a_clear_measures_the_network() -> None:
    marks = learnt()
    measured(marks, 20 * SECOND, 60 * MS)
    assert marks.rtt_ns == 60 * MS
    assert not marks.clear_control.is_in_doubt
    measured(marks, 30 * SECOND, 20 * MS)
    assert marks.rtt_ns == 20 * MS
    assert marks.clear_control.is_in_doubt, "what is much shorter is measured again"


def test_a_little_longer_is_a_beginning_on_another_beat_and_more_is_measured_again() -> None:
    marks = learnt()
    measured(marks, 20 * SECOND, 64 * MS)
    assert marks.rtt_ns == 64 * MS
    marks = learnt()
    measured(marks, 20 * SECOND, 65 * MS)
    assert marks.rtt_ns == 40 * MS
    assert marks.clear_control.is_due(21 * SECOND + 95 * MS, 50 * MS)


def test_a_way_that_is_a_little_shorter_at_once_is_no_fast_clock() -> None:
    marks = learnt()
    for second in (20, 21):
        assert trip(marks, second * SECOND, lead=30 * MS, rtt=28 * MS) == 0
    assert marks.clear_control.is_due(23 * SECOND + 58 * MS, 50 * MS)


def test_a_longer_way_is_believed_when_two_measurements_say_so() -> None:
    marks = learnt()
    measured(marks, 20 * SECOND, 340 * MS)
    assert marks.rtt_ns == 40 * MS, "the way may have stood still"
    assert marks.clear_control.is_due(21 * SECOND + 370 * MS, 50 * MS)
    measured(marks, 22 * SECOND, 240 * MS)
    assert marks.rtt_ns == 40 * MS, "they contradict each other"
    measured(marks, 24 * SECOND, 250 * MS)
    assert marks.rtt_ns == 250 * MS
    assert marks.clear_control.is_in_doubt, "until a third agrees"
    measured(marks, 28 * SECOND, 240 * MS)
    assert marks.rtt_ns == 240 * MS
    assert not marks.clear_control.is_due(60 * SECOND, 50 * MS), "the last check is a pause's"
    measured(marks, 60 * SECOND, 240 * MS)
    assert not marks.clear_control.is_in_doubt


def test_measurements_that_go_on_contradicting_one_another_wait_for_pauses() -> None:
    marks = learnt()
    for count in range(5):
        measured(marks, (20 + 2 * count) * SECOND, (140 + 100 * count) * MS)
    assert not marks.clear_control.is_due(60 * SECOND, 50 * MS)
    marks.clear_control.sent(60 * MS, is_quiet=True)
    assert marks.clear_control.is_due(60 * SECOND, 50 * MS)


def test_a_first_round_trip_that_is_long_is_measured_anew() -> None:
    marks = Marks()
    trip(marks, 0, lead=30 * MS, rtt=300 * MS)
    assert marks.clear_control.is_in_doubt
    assert not marks.clear_control.is_due(8 * SECOND, 50 * MS)
    assert marks.clear_control.is_due(9 * SECOND, 50 * MS)


def test_a_carrier_that_has_much_less_than_believed_has_another_way() -> None:
    """The way there is shorter by as much as the way back, and what it carries has piled up."""
    marks = learnt()
    for second in (20, 22):
        assert trip(marks, second * SECOND, lead=30 * MS, rtt=10 * MS) == 0
    assert marks.rtt_ns == 40 * MS
    assert marks.clear_control.is_due(25 * SECOND, 50 * MS)


def test_a_mark_that_is_a_second_overdue_asks_for_a_clear_by_its_absence() -> None:
    marks = learnt()
    assert marks.due(20 * SECOND, 20 * SECOND) is not None
    marks.due(21 * SECOND, 21 * SECOND)
    assert not marks.clear_control.is_in_doubt
    marks.due(21 * SECOND + 50 * MS, 22 * SECOND)
    at = 21 * SECOND + 50 * MS
    assert marks.clear_control.is_due(at, 50 * MS)
    for apart_s in (1, 2, 4, 8, 8):
        marks.cleared(at)
        assert marks.due(at + SECOND, at + SECOND) is not None
        marks.due(at + 3 * SECOND, at + 3 * SECOND)
        assert not marks.clear_control.is_due(at + apart_s * SECOND - 1, 50 * MS)
        assert marks.clear_control.is_due(at + max(3, apart_s) * SECOND, 50 * MS)
        at += 20 * SECOND


def unmarked(marks: Marks, at: int) -> None:
    """Send a mark that does not come back, and notice so."""
    assert marks.due(at, at + 30 * MS) is not None
    marks.due(at + 2 * SECOND, at + 2 * SECOND)


def test_a_carrier_that_returns_no_marks_is_cleared_in_pauses() -> None:
    marks = Marks()
    at = 0
    for _ in range(4):
        unmarked(marks, at)
        at += 3 * SECOND
        assert not marks.clear_control.is_due(at - 1, 50 * MS)
        marks.clear_control.sent(60 * MS, is_quiet=True)
        assert marks.clear_control.is_due(at, 50 * MS)
        marks.cleared(at)
        at += SECOND


def test_a_carrier_that_returns_no_marks_is_cleared_by_the_clock_if_nobody_pauses() -> None:
    marks = Marks()
    unmarked(marks, 0)
    assert not marks.clear_control.is_due(6 * SECOND - 1, 50 * MS)
    assert marks.clear_control.is_due(6 * SECOND, 50 * MS)
    for at in (6 * SECOND, 13 * SECOND, 20 * SECOND):
        marks.cleared(at)
        unmarked(marks, at + SECOND)
        assert not marks.clear_control.is_due(at + 7 * SECOND - 1, 50 * MS)
        assert marks.clear_control.is_due(at + 7 * SECOND, 50 * MS)


def steady(marks: Marks, at: int, surplus: int) -> int:
    """Return what three marks of the same small surplus correct."""
    rows = [at, at + SECOND, at + 2 * SECOND]
    return sum(trip(marks, row, lead=30 * MS, rtt=40 * MS, surplus=surplus) for row in rows)


def test_a_small_surplus_that_comes_at_once_and_stays_is_a_doubt() -> None:
    marks = learnt(count=17)
    assert steady(marks, 20 * SECOND, 12 * MS) == 0
    assert not marks.clear_control.is_in_doubt
    marks = learnt(count=17)
    assert steady(marks, 20 * SECOND, 25 * MS) == 0
    assert steady(marks, 23 * SECOND, 25 * MS) == 0, "until a clear tells, it may be the way's"
    assert marks.clear_control.is_due(24 * SECOND + 95 * MS, 50 * MS)


def test_a_small_surplus_that_comes_slowly_is_a_clocks() -> None:
    marks = learnt(count=17)
    assert steady(marks, 20 * SECOND, 4 * MS) == 0
    assert steady(marks, 23 * SECOND, 6 * MS + 1) == 6 * MS + 1
    assert not marks.clear_control.is_in_doubt


def test_a_way_that_is_shorter_may_hide_a_surplus_and_is_measured_twice() -> None:
    marks = learnt()
    at = 20 * SECOND
    assert marks.due(at, at + 30 * MS, is_way_shorter=True) is not None
    assert not marks.clear_control.is_due(22 * SECOND - 1, 50 * MS)
    assert marks.clear_control.is_due(22 * SECOND, 50 * MS)
    measured(marks, 22 * SECOND, 40 * MS)
    assert marks.clear_control.is_due(26 * SECOND, 50 * MS), (
        "the way may have stood still meanwhile"
    )
    measured(marks, 26 * SECOND, 40 * MS)
    assert not marks.clear_control.is_due(60 * SECOND, 50 * MS), "the last check is a pause's"


def test_less_than_a_carriers_beat_is_noise() -> None:
    marks = learnt()
    for second in range(20, 40):
        assert trip(marks, second * SECOND, lead=30 * MS, rtt=40 * MS, surplus=20 * MS) == 0
    assert marks.rtt_ns == 40 * MS


def test_a_clock_that_is_slow_raises_the_model_and_no_doubt() -> None:
    marks = learnt()
    error = 0
    for second in range(20, 1_020):
        error += MS // 5
        error -= trip(marks, second * SECOND, lead=30 * MS, rtt=40 * MS, surplus=error)
        assert error <= 31 * MS
    assert marks.rtt_ns == 40 * MS
    assert not marks.clear_control.is_in_doubt


def test_a_carrier_that_plays_faster_lowers_the_model_and_not_the_floor() -> None:
    marks = learnt()
    error = 0
    for second in range(20, 620):
        error += MS // 10
        error += trip(marks, second * SECOND, lead=30 * MS, rtt=40 * MS, surplus=-error)
    assert marks.rtt_ns == 40 * MS
    assert error < MS


def test_a_carrier_that_was_dry_may_begin_sooner_than_before() -> None:
    marks = learnt()
    marks.relearn()
    assert trip(marks, 20 * SECOND, lead=30 * MS, rtt=25 * MS) == 0
    assert marks.rtt_ns == 25 * MS
    assert trip(marks, 22 * SECOND, lead=30 * MS, rtt=45 * MS) == 0
    assert marks.rtt_ns == 25 * MS, "one that begins later says nothing"


def test_a_name_that_is_not_ours_says_nothing() -> None:
    marks = learnt()
    name = marks.due(20 * SECOND, 20 * SECOND)
    assert name is not None
    assert marks.returned(30 * SECOND, "hello") == 0
    marks.returned(20 * SECOND + 40 * MS, name)
    assert marks.returned(30 * SECOND, name) == 0, "each comes back once"


def test_marks_that_a_clear_brings_back_say_nothing() -> None:
    marks = learnt()
    name = marks.due(20 * SECOND, 23 * SECOND)
    marks.cleared(20 * SECOND)
    assert name is not None
    assert marks.returned(20 * SECOND + MS, name) == 0
    assert marks.rtt_ns == 40 * MS
    assert marks.due(21 * SECOND, 21 * SECOND) is not None


def wandering(count: int = 12) -> Marks:
    """Marks of a way of 40 ms that come back up to 90 ms late by chance."""
    marks = learnt(count=1)
    for second in range(1, count):
        trip(marks, second * SECOND, lead=30 * MS, rtt=40 * MS, surplus=second % 4 * 30 * MS)
    return marks


def test_first_marks_that_are_late_by_chance_ask_for_no_clear() -> None:
    marks = Marks()
    for second, rtt in enumerate((190, 90, 60, 170, 130)):
        trip(marks, second * SECOND, lead=0, rtt=rtt * MS)
    assert not marks.clear_control.is_due(6 * SECOND, 50 * MS), "no pause is used so soon"
    trip(marks, 5 * SECOND, lead=0, rtt=110 * MS)
    assert marks.rtt_ns == 60 * MS
    assert not marks.clear_control.is_in_doubt


def test_a_floor_that_stays_long_where_marks_wander_is_measured_after_twelve() -> None:
    marks = Marks()
    for second in range(12):
        assert marks.clear_control.is_in_doubt == (0 < second < 6)
        trip(marks, second * SECOND, lead=30 * MS, rtt=(190 - 10 * second) * MS)
    assert marks.rtt_ns == 80 * MS
    assert not marks.clear_control.is_in_doubt
    marks = Marks()
    for second in range(12):
        trip(marks, second * SECOND, lead=30 * MS, rtt=(200 - 10 * second) * MS)
    assert marks.rtt_ns == 90 * MS
    assert not marks.clear_control.is_due(15 * SECOND, 50 * MS)
    assert marks.clear_control.is_due(15 * SECOND + 120 * MS, 50 * MS)


def test_where_marks_wander_the_least_is_the_floor_and_chance_no_doubt() -> None:
    marks = wandering()
    assert not marks.clear_control.is_in_doubt
    assert trip(marks, 20 * SECOND, lead=30 * MS, rtt=35 * MS) == 0
    assert marks.rtt_ns == 35 * MS
    for second, surplus in enumerate((90, 60, 85, 0)):
        at = (21 + second) * SECOND
        assert trip(marks, at, lead=30 * MS, rtt=40 * MS, surplus=surplus * MS) == 0
    assert not marks.clear_control.is_in_doubt


def test_where_marks_wander_a_single_measurement_says_nothing() -> None:
    marks = wandering()
    for at, rtt in ((20, 340), (30, 95), (40, 140)):
        measured(marks, at * SECOND, rtt * MS)
        assert marks.rtt_ns == 40 * MS
        assert not marks.clear_control.is_in_doubt


def test_where_marks_wander_a_row_that_is_no_chance_waits_for_a_pause() -> None:
    marks = wandering(count=40)
    for second, surplus in enumerate((150, 210)):
        assert not marks.clear_control.is_in_doubt
        at = (40 + second) * SECOND
        assert trip(marks, at, lead=30 * MS, rtt=40 * MS, surplus=surplus * MS) == 0
    assert not marks.clear_control.is_due(100 * SECOND, 50 * MS)
    marks.clear_control.sent(200 * MS, is_quiet=True)
    assert marks.clear_control.is_due(100 * SECOND, 50 * MS)


def test_a_row_that_is_no_chance_is_trusted_again_when_a_mark_comes_back_in_time() -> None:
    marks = wandering(count=40)
    for second, surplus in enumerate((150, 210)):
        trip(marks, (40 + second) * SECOND, lead=30 * MS, rtt=40 * MS, surplus=surplus * MS)
    assert marks.clear_control.is_in_doubt
    trip(marks, 44 * SECOND, lead=30 * MS, rtt=45 * MS)
    assert not marks.clear_control.is_in_doubt


def test_a_way_that_is_longer_is_seen_by_a_clear_that_takes_nothing_away() -> None:
    marks = wandering(count=40)
    for second in range(40, 43):
        trip(marks, second * SECOND, lead=30 * MS, rtt=340 * MS)
    assert marks.clear_control.is_in_doubt
    marks.cleared(44 * SECOND)
    trip(marks, 45 * SECOND, lead=30 * MS, rtt=341 * MS)
    assert marks.rtt_ns == 40 * MS
    trip(marks, 46 * SECOND, lead=30 * MS, rtt=339 * MS)
    trip(marks, 47 * SECOND, lead=30 * MS, rtt=342 * MS)
    assert marks.rtt_ns == 342 * MS
    at = 49 * SECOND + 372 * MS
    assert not marks.clear_control.is_due(at - 1, 50 * MS)
    assert marks.clear_control.is_due(at, 50 * MS), "the way may have stood still"
