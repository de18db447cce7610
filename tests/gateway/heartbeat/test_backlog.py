"""Until when all that has come has been read, with time as an argument."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.heartbeat.backlog import READING_NS, STANDSTILL_NS, Backlog

MS = 1_000_000
BEAT_NS = 20 * MS


def test_a_process_that_runs_has_read_all_that_came():
    backlog = Backlog(0)
    for now_ns in range(0, 10 * READING_NS, STANDSTILL_NS):
        assert backlog.read_until(now_ns) == now_ns


def test_after_a_standstill_all_is_read_up_to_its_beginning():
    backlog, now_ns = Backlog(0), 1_000 * MS
    for begun_ns in range(0, now_ns + 1, BEAT_NS):
        backlog.read_until(begun_ns)
    woken_ns = now_ns + 12_000 * MS
    for later_ns in range(woken_ns, woken_ns + READING_NS, BEAT_NS):
        assert backlog.read_until(later_ns) == now_ns
    assert backlog.read_until(woken_ns + READING_NS) == woken_ns + READING_NS


def test_a_process_that_stumbles_all_the_time_still_judges():
    """Else nobody who has gone would ever be missed on a machine that has too much to do."""
    backlog, now_ns = Backlog(0), 0
    for _ in range(100):
        before_ns, now_ns = now_ns, now_ns + STANDSTILL_NS + 1
        assert backlog.read_until(now_ns) == before_ns


@given(st.lists(st.integers(0, 3 * READING_NS), max_size=50))
def test_it_never_goes_back_and_is_never_ahead(pauses):
    backlog, now_ns, before_ns = Backlog(0), 0, 0
    for pause_ns in pauses:
        now_ns += pause_ns
        read_ns = backlog.read_until(now_ns)
        assert before_ns <= read_ns <= now_ns
        before_ns = read_ns
