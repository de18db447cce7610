"""A peak is there for one to two windows, whoever reads it."""

import pytest

from gateway.heartbeat.recent_peak import RecentPeak


@pytest.fixture
def peak():
    return RecentPeak(10)


def test_reading_hides_nothing_from_other_readers(peak):
    peak.note(7, 101)
    assert [peak.read(102) for _ in range(2)] == [7, 7]


def test_a_peak_is_kept_for_its_window_and_the_next(peak):
    peak.note(7, 109)
    assert [peak.read(at) for at in (109, 110)] == [7, 7]
    peak.note(3, 112)
    assert peak.read(119) == 7
    assert [peak.read(at) for at in (120, 129, 130)] == [3, 3, 0]


def test_a_lower_value_hides_no_higher_one(peak):
    for value in (2, 7, 5):
        peak.note(value, 100)
    assert peak.read(100) == 7


def test_nobody_need_read_or_note_in_between(peak):
    peak.note(7, 100)
    assert peak.read(120) == 0
    peak.note(1, 155)
    assert peak.read(155) == 1
