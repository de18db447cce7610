"""MOS against the Recommendation's own figures, jitter by hand, warnings by their samples."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.quality import MOS_MAX, MOS_MIN, JitterMeter, Monitor, mos

MS = 1_000_000

delays = st.floats(-1e4, 1e6)
losses = st.floats(-10, 200)


def rating_of(score: float) -> float:
    """Return the rating R of a MOS, found by halving (G.107 Annex B, without its inverse)."""
    low, high = 6.5, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        value = 1 + 0.035 * middle + middle * (middle - 60) * (100 - middle) * 7e-6
        low, high = (middle, high) if value < score else (low, middle)
    return low


@pytest.mark.parametrize(
    ("delay_ms", "loss_percent", "concealed", "rating"),
    [
        # G.107: R is 93.2 with all values at their defaults.
        (0, 0, True, 93.21),
        # Delay alone; of it Idd is 0, 0.2, 3.0 and 24.1, the rest echo at TELR 65 and WEPL 110.
        (100, 0, True, 90.67),
        (150, 0, True, 89.54),
        (200, 0, True, 85.81),
        (400, 0, True, 62.25),
        # Ie-eff is 95 Ppl / (Ppl + Bpl): 5.94, 15.83, 38.0 concealed, 17.92 and 39.04 not.
        (0, 1, True, 93.21 - 5.94),
        (0, 3, True, 93.21 - 15.83),
        (0, 10, True, 93.21 - 38.0),
        (0, 1, False, 93.21 - 17.92),
        (0, 3, False, 93.21 - 39.04),
    ],
)
def test_the_e_model(delay_ms, loss_percent, concealed, rating):
    score = mos(delay_ms=delay_ms, loss_percent=loss_percent, concealed=concealed)
    assert rating_of(score) == pytest.approx(rating, abs=0.02)


@pytest.mark.parametrize(
    ("loss_percent", "pesq"), [(1, 3.92), (3, 3.46), (5, 3.15), (7, 3.07), (10, 2.85), (20, 2.17)]
)
def test_loss_scores_as_pesq_hears_it(loss_percent, pesq):
    """Means of `python -m benchmarks.loss_scores` over a signal like speech and four voices."""
    assert mos(delay_ms=0, loss_percent=loss_percent) == pytest.approx(pesq, abs=0.5)


def test_a_perfect_line_and_a_dead_one():
    assert mos(delay_ms=0, loss_percent=0) == pytest.approx(4.41, abs=0.005)
    assert mos(delay_ms=0, loss_percent=100, concealed=False) == MOS_MIN
    assert mos(delay_ms=600_000, loss_percent=100) == MOS_MIN


def test_loss_in_bursts_is_worse():
    random, bursty = (mos(delay_ms=0, loss_percent=3, burst_ratio=b) for b in (1, 3))
    # 95 * 3 / (3 / 3 + 15)
    assert rating_of(bursty) == pytest.approx(93.21 - 17.81, abs=0.02)
    assert bursty < random == mos(delay_ms=0, loss_percent=3, burst_ratio=0)


@given(delays, losses, st.floats(-5, 1e3), st.booleans())
def test_it_stays_on_its_scale(delay_ms, loss_percent, burst_ratio, concealed):
    score = mos(
        delay_ms=delay_ms,
        loss_percent=loss_percent,
        burst_ratio=burst_ratio,
        concealed=concealed,
    )
    assert MOS_MIN <= score <= MOS_MAX


@given(st.lists(delays, min_size=2, unique=True), st.lists(losses, min_size=2))
def test_more_delay_or_loss_is_never_better(some_delays, some_losses):
    # Listener's echo below 3 ms of delay gains a hundredth part of a point.
    for less, more in pairwise(sorted(some_delays)):
        assert mos(delay_ms=less, loss_percent=1) >= mos(delay_ms=more, loss_percent=1) - 0.01
    for less, more in pairwise(sorted(some_losses)):
        assert mos(delay_ms=50, loss_percent=less) >= mos(delay_ms=50, loss_percent=more)


# Jitter.


def jitter_of(transits_ms) -> float:
    """Return the jitter of packets 20 ms apart that took these times."""
    meter = JitterMeter()
    for index, transit_ms in enumerate(transits_ms):
        meter.feed(round((index * 20 + transit_ms) * MS) + 7_000_000 * MS, index * 20)
    return meter.ms


def test_steady_packets_have_no_jitter():
    assert jitter_of([35] * 50) == pytest.approx(0)


def test_a_sixteenth_of_each_difference_counts():
    # RFC 3550 A.8: J += (|D| - J) / 16
    assert jitter_of([10, 26]) == pytest.approx(1)
    assert jitter_of([10, 26, 10]) == pytest.approx(1 + 15 / 16)


def test_it_converges_to_the_mean_difference():
    assert jitter_of([0, 30] * 200) == pytest.approx(30, abs=0.01)


def test_silence_that_the_sender_timed_is_not_jitter():
    meter = JitterMeter()
    meter.feed(0, 0)
    meter.feed(5_000 * MS, 5_000)
    assert meter.ms == 0


@pytest.mark.parametrize(("arrival_ms", "timestamp_ms"), [(1_500, 20), (40, 90_000)])
def test_a_gap_of_more_than_a_second_begins_anew(arrival_ms, timestamp_ms):
    meter = JitterMeter()
    meter.feed(0, 0)
    meter.feed(36 * MS, 20)
    meter.feed(arrival_ms * MS, timestamp_ms)
    assert meter.ms == pytest.approx(1)
    meter.feed((arrival_ms + 20) * MS, timestamp_ms + 20)
    assert meter.ms == pytest.approx(15 / 16)


# Warnings.


def changes(monitor: Monitor, samples: str) -> str:
    """Return what each sample ("x" is bad) brings: raised, cleared or nothing."""
    brought, history = "", 0
    for sample in samples:
        was_raised = monitor.is_raised(history)
        history = monitor.feed(history, sample == "x")
        is_raised = monitor.is_raised(history)
        brought += "-" if is_raised == was_raised else "R" if is_raised else "C"
    return brought


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ("xxx", "--R"),
        ("x.x.x", "----R"),
        ("x..xx", "----R"),
        ("x..x..x..x", "----------"),
        ("xxx....", "--R---C"),
        ("xxx..x..x...", "--R----C----"),
        ("xxx.x.x.x.x", "--R--------"),
        ("xxx.....xxx", "--R---C---R"),
    ],
)
def test_three_of_five_raise_and_four_good_ones_clear(samples, expected):
    assert changes(Monitor(), samples) == expected


def test_a_run_is_asked_for():
    monitor = Monitor(samples=3, raise_at=3, clear_at=2)
    assert changes(monitor, "xx.xxxx.x") == "-----R-C-"


@given(st.text("x.", max_size=60), st.integers(1, 12), st.data())
def test_raised_and_cleared_take_turns(samples, window, data):
    raise_at = data.draw(st.integers(1, window))
    clear_at = data.draw(st.integers(0, raise_at - 1))
    monitor = Monitor(samples=window, raise_at=raise_at, clear_at=clear_at)
    brought = changes(monitor, samples).replace("-", "")
    assert brought == ("RC" * len(brought))[: len(brought)]


@pytest.mark.parametrize(
    ("samples", "raise_at", "clear_at"), [(5, 6, 1), (5, 3, 3), (5, 3, -1), (0, 0, 0)]
)
def test_what_could_never_raise_or_clear_is_refused(samples, raise_at, clear_at):
    with pytest.raises(ValueError, match="clears below where it raises"):
        Monitor(samples=samples, raise_at=raise_at, clear_at=clear_at)
