"""When a node takes calls, and what is told to those that run."""

import pytest

from gateway.calls.draining import NOTICE_S, DrainState
from gateway.nanoseconds import SECOND_NS

NOTICE_NS = round(NOTICE_S * SECOND_NS)


class Clock:
    now_ns = 10**12

    def __call__(self):
        return self.now_ns


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def draining(clock):
    return DrainState(clock)


def test_a_node_takes_calls(draining):
    assert (draining.is_draining, draining.is_closed, draining.left_s) == (False, False, None)


def test_it_is_closed_once_others_know(clock, draining):
    draining.take_calls(False)
    assert (draining.is_draining, draining.is_closed) == (True, False)
    clock.now_ns += NOTICE_NS - 1
    # A repeat begins nothing anew.
    draining.take_calls(False)
    assert not draining.is_closed
    clock.now_ns += 1
    assert (draining.is_closed, draining.left_s) == (True, None)
    draining.take_calls(True)
    assert (draining.is_draining, draining.is_closed) == (False, False)


@pytest.mark.parametrize("notice_s", [0.0, 2.0])
def test_a_node_that_stops_counts_down_and_takes_calls_no_more(clock, draining, notice_s):
    draining.stop(30.0, notice_s)
    assert (draining.is_draining, draining.is_closed, draining.left_s) == (True, not notice_s, 30)
    clock.now_ns += 2 * SECOND_NS
    assert (draining.is_closed, draining.left_s) == (True, 28)
    draining.take_calls(True)
    assert draining.is_draining
    clock.now_ns += 60 * SECOND_NS
    assert draining.left_s == 0


def test_a_node_that_was_told_to_take_none_stops_like_any_other(clock, draining):
    draining.take_calls(False)
    draining.stop(10.0, 0.0)
    assert (draining.is_closed, draining.left_s) == (True, 10)
