"""When a carrier is cleared: in a pause that hides it, or when waiting is over."""

from __future__ import annotations

import pytest

from media.clear_control import CLEARS_APART_NS, DOUBLINGS, UNMARKED_APART_NS, ClearControl
from media.clock import MS_NS, NEVER_NS, SECOND_NS


def test_without_a_doubt_nothing_is_cleared() -> None:
    control = ClearControl()
    control.sent(SECOND_NS, is_quiet=True)
    assert not control.is_due(NEVER_NS, 0)


def test_a_pause_hides_a_clear_of_what_it_is_longer_than() -> None:
    control = ClearControl()
    control.doubt(NEVER_NS)
    control.surplus_ns = 10 * MS_NS
    control.sent(39 * MS_NS, is_quiet=True)
    assert not control.is_due(0, 30 * MS_NS)
    control.sent(MS_NS, is_quiet=True)
    assert control.is_due(0, 30 * MS_NS)
    control.sent(20 * MS_NS, is_quiet=False)
    assert not control.is_due(0, 30 * MS_NS)


def test_the_soonest_of_several_doubts_is_waited_for() -> None:
    control = ClearControl()
    for forced_ns in (5 * SECOND_NS, 2 * SECOND_NS, NEVER_NS):
        control.doubt(forced_ns)
    assert not control.is_due(2 * SECOND_NS - 1, MS_NS)
    assert control.is_due(2 * SECOND_NS, MS_NS)
    control.trust()
    assert not control.is_due(9 * SECOND_NS, MS_NS)


def test_a_pause_before_the_doubt_does_not_count() -> None:
    control = ClearControl()
    control.sent(SECOND_NS, is_quiet=True)
    control.doubt(NEVER_NS)
    assert not control.is_due(0, MS_NS)


def test_after_a_clear_the_next_mark_is_waited_for_unless_a_doubt_forces_another() -> None:
    control = ClearControl()
    control.cleared(0, has_marks=True)
    control.sent(SECOND_NS, is_quiet=True)
    assert not control.is_due(CLEARS_APART_NS, 0)
    control.doubt(CLEARS_APART_NS)
    assert not control.is_due(CLEARS_APART_NS - 1, 0)
    assert control.is_due(CLEARS_APART_NS, 0)


def test_clears_that_no_mark_answers_come_ever_less_often() -> None:
    control, now_ns = ClearControl(), 0
    for clears in range(6):
        control.cleared(now_ns, has_marks=True)
        control.doubt(0)
        apart_ns = CLEARS_APART_NS << min(clears, DOUBLINGS)
        assert not control.is_due(now_ns + apart_ns - 1, 0)
        now_ns += apart_ns
        assert control.is_due(now_ns, 0)
    control.mark_returned()
    control.cleared(now_ns, has_marks=True)
    control.doubt(0)
    assert control.is_due(now_ns + CLEARS_APART_NS, 0)


@pytest.mark.parametrize(("has_marks", "apart_ns"), [(True, SECOND_NS), (False, UNMARKED_APART_NS)])
def test_a_carrier_without_marks_is_cleared_less_often(has_marks: bool, apart_ns: int) -> None:
    control = ClearControl()
    control.cleared(0, has_marks=has_marks)
    control.doubt(0)
    assert not control.is_due(apart_ns - 1, 0)
    assert control.is_due(apart_ns, 0)


def test_no_clear_comes_before_it_may() -> None:
    control = ClearControl()
    control.doubt(0)
    control.wait_until(SECOND_NS)
    assert not control.is_due(SECOND_NS - 1, 0)
    assert control.is_due(SECOND_NS, 0)
