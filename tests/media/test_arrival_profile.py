"""The kinds of sources: when they are late, and which tunables can be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from media.arrival_profile import PACKETS, STREAM, ArrivalProfile, check_leads

MS = 1_000_000


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
