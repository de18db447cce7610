"""The slack of a stream: what is asked for, when, and by how much."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.lead_control import (
    GROW_NS_MAX,
    PACKETS,
    STREAM,
    ArrivalProfile,
    LeadControl,
    check_leads,
)

MS = 1_000_000
SECOND = 1_000 * MS


class Stream:
    """Frames each 20 ms whose slack is said in ms."""

    def __init__(self, profile: ArrivalProfile = STREAM) -> None:
        self.slack = LeadControl(profile, 80 * MS)
        self.now = 0

    def come(self, *slack_ms: float) -> LeadControl:
        for ms in slack_ms:
            self.now += 20 * MS
            self.slack.observe(self.now, int(ms * MS))
        return self.slack

    def steady(self, seconds: float, ms: float) -> LeadControl:
        return self.come(*[ms] * round(seconds * 50))


def test_slack_within_the_band_asks_for_nothing() -> None:
    for ms in (15, 25, 35):
        slack = Stream().steady(60, ms) if ms < 25 else Stream().steady(0.4, ms)
        assert (slack.grow_ns, slack.excess_ns) == (0, 0)


def test_one_late_frame_asks_for_nothing() -> None:
    slack = Stream().come(30, 30, -20, *[30] * 20)
    assert slack.grow_ns == 0


def test_frames_late_together_are_one_event() -> None:
    assert Stream().come(30, -50, -30, -10, *[30] * 50).grow_ns == 0


def test_lateness_that_repeats_asks_for_its_size() -> None:
    stream = Stream()
    slack = stream.come(30, -10, *[30] * 30, -10)
    assert slack.grow_ns == (20 + 10) * MS
    slack.grown(30 * MS)
    assert slack.grow_ns == 0
    assert stream.come(*[58] * 5, 18).grow_ns == 0


def test_lateness_that_repeats_after_long_asks_for_nothing() -> None:
    stream = Stream()
    for _ in range(5):
        assert stream.come(-10, *[30] * 130).grow_ns == 0


def test_growth_is_bounded() -> None:
    assert Stream().come(-500, *[30] * 10, -500).grow_ns == GROW_NS_MAX


def test_what_a_burst_has_left_is_removed_at_once() -> None:
    stream = Stream()
    slack = stream.steady(0.6, 150)
    assert slack.excess_ns == 120 * MS, "whole frames of 20 ms, the slack above the floor"


def test_a_burst_that_repeats_leaves_some() -> None:
    stream = Stream()
    for seconds, asked_ms in ((5, 100), (12, 120)):
        stream.steady(seconds, 20)
        stream.slack.shift(130 * MS)
        stream.slack.review_soon(stream.now)
        assert stream.steady(0.6, 150).excess_ns == asked_ms * MS
        stream.slack.shrunk(130 * MS)


def test_slack_above_the_band_for_long_is_removed() -> None:
    stream = Stream()
    stream.steady(4, 20)
    assert stream.steady(9, 60).excess_ns == 0
    assert stream.steady(4, 60).excess_ns == 40 * MS


def test_an_excess_of_less_than_a_frame_is_let_go() -> None:
    stream = Stream()
    slack = stream.steady(0.6, 44)
    assert slack.excess_ns == 20 * MS
    slack.shrunk(16 * MS)
    assert slack.excess_ns == 0


def test_lateness_ends_the_removal() -> None:
    stream = Stream()
    stream.steady(0.6, 60)
    assert stream.slack.excess_ns
    assert stream.come(0, *[60] * 10, 0).excess_ns == 0


def test_the_lead_of_a_new_start_is_learnt_within_its_bounds() -> None:
    stream = Stream()
    assert stream.slack.lead_ns == 30 * MS
    stream.steady(3, 20)
    assert stream.slack.lead_ns == 30 * MS
    for _ in range(40):
        stream.come(20, *[70] * 10)
    assert 55 * MS < stream.slack.lead_ns <= 80 * MS
    stream.slack.reset(stream.now)
    assert 55 * MS < stream.slack.lead_ns <= 80 * MS


def test_packets_are_steered_around_a_smaller_lead() -> None:
    assert Stream(PACKETS).steady(0.6, 20).excess_ns == 0
    assert Stream(PACKETS).steady(0.6, 26).excess_ns == 0
    assert Stream(PACKETS).steady(0.6, 26.5).excess_ns == 20 * MS
    assert Stream(PACKETS).come(30, 6.5, *[30] * 10, 6.5).grow_ns == 0
    assert Stream(PACKETS).come(30, 6, *[30] * 10, 6).grow_ns == (10 - 6) * MS


def test_another_kind_of_source_brings_its_own_lead_and_band() -> None:
    stream = Stream()
    for _ in range(40):
        stream.come(20, *[70] * 10)
    stream.slack.follow(PACKETS)
    assert stream.slack.lead_ns == PACKETS.start_ns
    stream.slack.reset(stream.now)
    assert stream.steady(0.6, 30).excess_ns == 20 * MS
    stream.slack.follow(STREAM)
    assert stream.slack.lead_ns == STREAM.start_ns
    stream.slack.reset(stream.now)
    assert stream.steady(0.6, 30).excess_ns == 0


@given(st.lists(st.floats(-300, 300), min_size=1, max_size=400))
def test_any_slack_asks_for_one_bounded_correction(slacks: list[float]) -> None:
    stream = Stream()
    for ms in slacks:
        slack = stream.come(ms)
        assert 0 <= slack.grow_ns <= GROW_NS_MAX
        assert 0 <= slack.excess_ns <= 300 * MS
        assert not (slack.grow_ns and slack.excess_ns)
        if slack.grow_ns:
            slack.grown(10 * MS)
        elif slack.excess_ns:
            slack.shrunk(10 * MS)


@pytest.mark.parametrize(
    ("source", "guard_ns", "floor_ns"),
    [(PACKETS, 3_000_000, 6_500_000), (STREAM, 3_000_000, 6_500_000)],
    ids=["packets", "stream"],
)
def test_concealment_starts_a_tick_before_it_would_be_too_late(
    source: ArrivalProfile, guard_ns: int, floor_ns: int
) -> None:
    assert (source.guard_ns, source.floor_ns) == (guard_ns, floor_ns)


def test_packets_are_waited_for_for_less_long() -> None:
    assert PACKETS.start_ns < STREAM.start_ns
    assert PACKETS.ceil_ns < STREAM.start_ns


@pytest.mark.parametrize("source", [PACKETS, STREAM], ids=["packets", "stream"])
def test_a_stream_starts_within_its_band(source: ArrivalProfile) -> None:
    assert source.floor_ns < source.start_ns <= source.ceil_ns


@pytest.mark.parametrize(
    "wrong",
    [
        {"tick_ns": 0},
        {"start_ns": 6 * MS},
        {"grown_ns": 6 * MS},
        {"aim_ns": 17 * MS},
        {"ceil_ns": 23 * MS},
    ],
)
def test_tunables_that_contradict_one_another_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        replace(STREAM, **wrong)


def test_leads_that_rise_by_a_frame_each_are_taken() -> None:
    check_leads(30 * MS, 50 * MS, 70 * MS)


@pytest.mark.parametrize(("start", "cap", "hard"), [(31, 50, 70), (30, 49, 70), (30, 51, 70)])
def test_leads_that_do_not_are_refused(start: int, cap: int, hard: int) -> None:
    with pytest.raises(ValueError, match="must rise"):
        check_leads(start * MS, cap * MS, hard * MS)
