"""How many frames a peer may have taken, and what becomes of the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.frame_budget import (
    DROPPED,
    FLOODED,
    MS_NS,
    STANDSTILL_NS_MAX,
    TAKEN,
    BudgetLimits,
    FrameBudget,
    Standstill,
)

LIMITS = BudgetLimits()
SECOND_NS = 1_000 * MS_NS
T0 = 7 * SECOND_NS


def run(budget: FrameBudget, *, start_ns: int, seconds: float, per_s: float) -> list[int]:
    """Send at an even rate until it is a flood; return the verdicts."""
    verdicts: list[int] = []
    for index in range(int(seconds * per_s)):
        verdicts.append(budget.spend(start_ns + int(index * SECOND_NS / per_s), 1))
        if verdicts[-1] == FLOODED:
            break
    return verdicts


@pytest.mark.parametrize("frame_ms", [10, 20, 40, 60])
def test_nobody_who_speaks_loses_a_frame_in_hours_even_with_a_fast_clock(frame_ms: int) -> None:
    per_s = 1_000 / frame_ms * 1.001
    verdicts = run(FrameBudget(LIMITS), start_ns=T0, seconds=7_200, per_s=per_s)
    assert set(verdicts) == {TAKEN}


@pytest.mark.parametrize(("frame_ms", "stall_s"), [(10, 2.9), (20, 5.9), (40, 11)])
def test_what_a_stall_held_back_is_taken_at_once(frame_ms: int, stall_s: float) -> None:
    budget = FrameBudget(LIMITS)
    run(budget, start_ns=T0, seconds=10, per_s=1_000 / frame_ms)
    now_ns = T0 + 10 * SECOND_NS + int(stall_s * SECOND_NS)
    assert {budget.spend(now_ns, 1) for _ in range(int(stall_s * 1_000 / frame_ms))} == {TAKEN}
    after = run(budget, start_ns=now_ns + 1, seconds=60, per_s=1_000 / frame_ms)
    assert set(after) == {TAKEN}


def test_half_a_minute_at_once_is_dropped_in_part_and_no_flood() -> None:
    budget = FrameBudget(LIMITS)
    verdicts = [budget.spend(T0, 1) for _ in range(30 * 50)]
    assert verdicts.count(TAKEN) == LIMITS.burst_frames
    assert FLOODED not in verdicts
    after = run(budget, start_ns=T0 + 1, seconds=60, per_s=50)
    assert after.count(DROPPED) <= 2


@pytest.mark.parametrize(
    ("per_s", "least_s", "most_s"), [(200, 5, 30), (1_000, 1, 3), (100_000, 0.01, 0.02)]
)
def test_who_goes_on_sending_too_much_floods(per_s: float, least_s: float, most_s: float) -> None:
    verdicts = run(FrameBudget(LIMITS), start_ns=T0, seconds=100, per_s=per_s)
    assert verdicts[-1] == FLOODED
    elapsed_s = len(verdicts) / per_s
    assert least_s <= elapsed_s <= most_s
    taken_max = LIMITS.burst_frames + elapsed_s * SECOND_NS / LIMITS.frame_ns + 1
    assert verdicts.count(TAKEN) <= taken_max


@pytest.mark.parametrize(("frame_ms", "stood_s"), [(20, 28), (20, 59), (10, 28), (10, 59)])
def test_what_was_not_read_for_a_minute_is_no_flood(frame_ms: int, stood_s: int) -> None:
    standstill = Standstill(LIMITS, T0)
    peers = [FrameBudget(LIMITS, standstill) for _ in range(3)]
    now_ns = T0 + stood_s * SECOND_NS
    for budget in peers:
        verdicts = [budget.spend(now_ns, 1) for _ in range(stood_s * 1_000 // frame_ms)]
        assert verdicts.count(TAKEN) == LIMITS.burst_frames
        assert FLOODED not in verdicts
    for second in range(1, 60):
        standstill.look(now_ns + second * SECOND_NS)
    after = run(peers[0], start_ns=now_ns + 1, seconds=60, per_s=50)
    assert after.count(DROPPED) <= 2


def test_a_standstill_excuses_no_flood() -> None:
    standstill = Standstill(LIMITS, T0)
    now_ns = T0
    for _ in range(100):
        now_ns += 20 * SECOND_NS
        standstill.look(now_ns)
    verdicts = run(FrameBudget(LIMITS, standstill), start_ns=now_ns, seconds=1, per_s=10**6)
    excused = STANDSTILL_NS_MAX // LIMITS.frame_ns
    assert verdicts[-1] == FLOODED
    assert len(verdicts) <= LIMITS.burst_frames + excused + LIMITS.excess_frames_max + 200
    now_ns += 600 * SECOND_NS
    for ms in range(0, 600_000, 500):
        standstill.look(now_ns - 600 * SECOND_NS + ms * MS_NS)
    verdicts = run(FrameBudget(LIMITS, standstill), start_ns=now_ns, seconds=1, per_s=10**6)
    assert verdicts[-1] == FLOODED
    assert len(verdicts) <= LIMITS.burst_frames + LIMITS.excess_frames_max + 200


@given(st.lists(st.tuples(st.integers(0, SECOND_NS), st.integers(1, 17)), max_size=300))
def test_no_order_of_arrivals_has_more_taken_than_rate_and_burst(
    arrivals: list[tuple[int, int]],
) -> None:
    limits = BudgetLimits(burst_frames=20, excess_frames_max=50)
    budget, now_ns, taken = FrameBudget(limits), T0, 0
    for gap_ns, frames in arrivals:
        now_ns += gap_ns
        verdict = budget.spend(now_ns, frames)
        assert verdict in (TAKEN, DROPPED, FLOODED)
        taken += frames * (verdict == TAKEN)
        assert taken * limits.frame_ns <= now_ns - T0 + limits.burst_frames * limits.frame_ns
