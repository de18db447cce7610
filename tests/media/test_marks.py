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


def learnt(rtt: int = 40 * MS, count: int = 8) -> Marks:
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


def test_two_late_marks_are_a_surplus_of_which_half_is_believed() -> None:
    marks = learnt()
    assert trip(marks, 20 * SECOND, lead=30 * MS, rtt=40 * MS, surplus=200 * MS) == 0
    assert trip(marks, 22 * SECOND, lead=30 * MS, rtt=40 * MS, surplus=180 * MS) == 90 * MS
    assert marks.rtt_ns == 40 * MS
    # What was corrected is not counted again, even if the next mark is late by itself.
    assert trip(marks, 60 * SECOND, lead=30 * MS, rtt=40 * MS, surplus=300 * MS) == 45 * MS
    assert marks.rtt_ns == 40 * MS


def test_less_than_a_carriers_beat_is_noise() -> None:
    marks = learnt()
    for second in range(20, 40):
        assert trip(marks, second * SECOND, lead=30 * MS, rtt=40 * MS, surplus=20 * MS) == 0
    assert marks.rtt_ns == 40 * MS


def test_a_surplus_that_is_back_soon_is_half_the_networks() -> None:
    marks = learnt()
    trip(marks, 20 * SECOND, lead=30 * MS, rtt=140 * MS)
    assert trip(marks, 22 * SECOND, lead=30 * MS, rtt=140 * MS) == 50 * MS
    assert marks.rtt_ns == 40 * MS
    assert trip(marks, 32 * SECOND, lead=30 * MS, rtt=90 * MS) == 25 * MS
    assert marks.rtt_ns == 65 * MS
    assert trip(marks, 34 * SECOND, lead=30 * MS, rtt=65 * MS) == 0


def test_a_surplus_that_halving_does_not_end_is_half_the_networks() -> None:
    marks = learnt()
    for second in range(20, 60, 2):
        trip(marks, second * SECOND, lead=30 * MS, rtt=440 * MS)
    assert marks.rtt_ns is not None
    assert 400 * MS <= marks.rtt_ns <= 440 * MS


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
    marks.forget()
    assert name is not None
    assert marks.returned(20 * SECOND + MS, name) == 0
    assert marks.rtt_ns == 40 * MS
    assert marks.due(21 * SECOND, 21 * SECOND) is not None
