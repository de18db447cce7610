"""Whatever stands still, and however often: ten seconds later the carrier has what it should have.

Each call is one of a seed: stalls of a tenth of a second to three seconds before us, in our own
process, on the way to the carrier and back, alone and together, with ways that change meanwhile,
clocks that are off, jitter and late marks. Looked at from ten seconds after the last of all on.
"""

from __future__ import annotations

import random

import pytest

from media.playout_state import PlayoutCounters
from tests.media.stalled_world import (
    Call,
    Stalls,
    call_of,
    clipped,
    exponential,
    half_normal,
    judged,
    lasting,
    shifted,
    uniform,
)
from tests.thorough import first_of

BACKLOG_MS_MAX = 100
ERROR_MS_MAX = 30


def wrong(call: Call) -> bool:
    """Whether the carrier has too much, or the model says something else."""
    return judged(call).backlog_ms > BACKLOG_MS_MAX or call.error_ms > ERROR_MS_MAX


@pytest.mark.parametrize("first", first_of(range(0, 200, 5)))
def test_no_stall_leaves_a_delay(first: int) -> None:
    assert [seed for seed in range(first, first + 5) if wrong(call_of(seed))] == []


@pytest.mark.thorough
@pytest.mark.parametrize("first", first_of(range(1_000, 1_060, 5)))
def test_an_owner_that_clears_only_when_a_mark_is_back_is_as_well_off(first: int) -> None:
    seeds = range(first, first + 5)
    assert [seed for seed in seeds if wrong(call_of(seed, keeps_to_marks=True))] == []


@pytest.mark.parametrize("is_loud", [False, True], ids=["speech", "noise"])
@pytest.mark.parametrize("first", first_of(range(2_000, 2_040, 5)))
def test_a_carrier_without_marks_is_cleared_in_pauses_or_by_the_clock(
    first: int, is_loud: bool
) -> None:
    seeds = range(first, first + 5)
    rows = {seed: call_of(seed, has_marks=False, is_loud=is_loud) for seed in seeds}
    assert [seed for seed, call in rows.items() if wrong(call)] == []
    assert [seed for seed, call in rows.items() if call.clears > call.seconds / 4 + 1] == []


@pytest.mark.parametrize("seed", first_of([10_538, 13_051]))
def test_a_way_that_becomes_shorter_while_it_stands_still_hides_no_surplus(seed: int) -> None:
    """Marks show nothing: by as much as is shorter the carrier has more."""
    assert not wrong(call_of(seed))


@pytest.mark.thorough
@pytest.mark.parametrize("first", first_of(range(3_000, 3_040, 5)))
def test_noise_without_a_pause_is_no_excuse(first: int) -> None:
    seeds = range(first, first + 5)
    assert [seed for seed in seeds if wrong(call_of(seed, is_loud=True))] == []


@pytest.mark.parametrize(
    ("every", "length"),
    first_of([(12.0, 0.3), (28.0, 1.0), (3.0, 0.1), (3.1, 3.0), (40.0, 3.0)]),
)
@pytest.mark.parametrize("side", ["to the carrier", "from the carrier", "before us", "process"])
def test_stalls_that_come_back_are_no_round_trip(side: str, every: float, length: float) -> None:
    begins = [5 + every * count for count in range(int(120 / every))]
    rows = [(begin, begin + length) for begin in begins]
    call = Call(1, rows[-1][1] + 16, {side: rows})
    assert not wrong(call), (call.backlog_ms, call.error_ms)


@pytest.mark.thorough
@pytest.mark.parametrize("is_loud", [False, True])
def test_a_quiet_line_is_never_cleared(is_loud: bool) -> None:
    call = Call(1, 300, ppm=200, talker_ppm=-200, is_loud=is_loud).run((10, 299))
    assert call.clears == 0
    assert call.backlog_ms <= BACKLOG_MS_MAX
    assert call.error_ms <= ERROR_MS_MAX + 5
    counters = call.playout.counters
    assert counters.cut_ms == 0
    assert counters.concealed_ms <= 80, "the end of the call"


KINDS = {
    each.__name__: each for each in (half_normal, clipped, shifted, exponential, uniform, lasting)
}


def wanders(kind: str, spread_ms: int, seeds: range, **changes: object) -> list[Call]:
    """Return two minutes of calls whose marks wander so and which nothing else disturbs."""
    return [
        Call(
            seed,
            120,
            wander=KINDS[kind](spread_ms),
            is_packets=seed % 2 == 0,
            **{"rtt_ms": ((0, 20, 20),), **changes},
        ).run((15, 119))
        for seed in seeds
    ]


@pytest.mark.parametrize("ppm", first_of([-500, 500]))
def test_a_clock_that_is_far_off_is_followed_without_a_clear(ppm: int) -> None:
    call = Call(1, 300, ppm=ppm).run((20, 298))
    assert (call.clears, call.lost_loud) == (0, 0)
    assert call.backlog_ms <= BACKLOG_MS_MAX
    assert call.error_ms <= ERROR_MS_MAX


@pytest.mark.parametrize("spread_ms", first_of([100, 50, 20, 0, 10, 30, 70]))
@pytest.mark.parametrize("kind", ["half_normal", "clipped", "exponential", "uniform", "shifted"])
def test_marks_that_wander_cost_no_word_and_one_clear_in_two_minutes_at_most(
    kind: str, spread_ms: int
) -> None:
    calls = wanders(kind, spread_ms, range(4))
    assert [call.clears for call in calls if call.clears > 1] == []
    assert [call.lost_loud for call in calls] == [0] * 4
    # What comes first after a clear is faded in.
    assert [call.altered_loud for call in calls if call.altered_loud > call.clears] == []
    assert max(call.backlog_ms for call in calls) <= BACKLOG_MS_MAX
    assert max(call.error_ms for call in calls) <= ERROR_MS_MAX


@pytest.mark.parametrize("spread_ms", first_of([50, 20, 10, 30, 70, 100]))
@pytest.mark.parametrize("kind", ["half_normal", "clipped", "exponential"])
def test_where_marks_wander_no_short_stall_stays(kind: str, spread_ms: int) -> None:
    """Ten seconds after it up to a spread of 50 ms, after that twenty: so many marks it takes."""
    wait = 10 if spread_ms <= 50 else 20
    for seed in range(4):
        begin = 60 + seed * 0.377 % 1
        seen = begin + 0.12 + wait
        stalls = {"to the carrier": [(begin, begin + 0.12)]}
        call = Call(seed, seen + 6, stalls, wander=KINDS[kind](spread_ms), is_packets=seed % 2 == 0)
        call.run((seen, seen + 5))
        assert call.backlog_ms <= BACKLOG_MS_MAX, seed


@pytest.mark.thorough
@pytest.mark.parametrize("spread_ms", [20, 50, 100])
@pytest.mark.parametrize("first", range(5_000, 5_020, 5))
def test_no_pattern_of_stalls_stays_where_marks_wander_and_are_lost(
    first: int, spread_ms: int
) -> None:
    """Twice as long after the last of them."""
    for seed in range(first, first + 5):
        call = call_of(seed, wander=half_normal(spread_ms), marks_lost=0.1)
        call.seconds += 10
        call.run((call.seconds - 6, call.seconds - 1))
        assert call.backlog_ms <= BACKLOG_MS_MAX, seed


@pytest.mark.parametrize("spread_ms", first_of([100, 50, 30]))
def test_lateness_that_lasts_costs_no_word_either(spread_ms: int) -> None:
    """It cannot be told from audio that has piled up but by a clear: some are one too many."""
    calls = wanders("lasting", spread_ms, range(4))
    assert max(call.clears for call in calls) <= 4
    assert [call.lost_loud for call in calls] == [0] * 4
    # What comes first after a clear is faded in.
    assert [call.altered_loud for call in calls if call.altered_loud > call.clears] == []


def counted(
    stops: Stalls, *, is_packets: bool, jitter_ms: float = 0, seed: int = 1
) -> PlayoutCounters:
    """Return what 20 s count in which the process stops so, and the carrier is not cleared."""
    stalls = {"process": stops}
    call = Call(seed, 20, stalls, jitter_ms=jitter_ms, is_packets=is_packets).run((0, 0))
    assert call.clears == 0
    return call.playout.counters


def at_frames(every: int, length_ms: float, count: int) -> Stalls:
    """Return stops that begin as a frame comes, so that it is late by all of their length."""
    begins = [1.015 + 0.02 * every * index - 1e-6 for index in range(count)]
    return [(begin, begin + length_ms / 1_000) for begin in begins]


@pytest.mark.parametrize(
    ("is_packets", "often_ms", "once_ms", "twice_ms", "dry_ms"),
    [(True, 7.5, 10.9, 11.5, 16.6), (False, 23.5, 26.9, 25.0, 32.6)],
)
def test_what_a_stop_of_the_process_changes_is_known_to_the_millisecond(
    is_packets: bool, often_ms: float, once_ms: float, twice_ms: float, dry_ms: float
) -> None:
    """Frames come evenly here: what they come unevenly by is off what a stop may take.

    A start is waited for until a tick, so that its lead may be 2.5 ms longer.
    """
    quiet = counted([], is_packets=is_packets)
    assert counted(at_frames(10, often_ms, 90), is_packets=is_packets) == quiet
    assert counted(at_frames(150, once_ms, 6), is_packets=is_packets) == quiet
    assert counted(at_frames(20, twice_ms, 2), is_packets=is_packets).stretched_ms > 0
    assert counted(at_frames(150, dry_ms, 1), is_packets=is_packets) != quiet


@pytest.mark.parametrize("seed", first_of(range(4)))
@pytest.mark.parametrize("is_packets", [True, False], ids=["packets", "stream"])
def test_stops_of_5_to_7_ms_several_times_a_second_alter_no_frame(
    is_packets: bool, seed: int
) -> None:
    chance = random.Random(seed)
    begins = [1 + 0.25 * index + chance.uniform(0, 0.2) for index in range(70)]
    stops = [(begin, begin + chance.uniform(0.005, 0.007)) for begin in begins]
    quiet = counted([], is_packets=is_packets, jitter_ms=0.5, seed=seed)
    assert counted(stops, is_packets=is_packets, jitter_ms=0.5, seed=seed) == quiet
