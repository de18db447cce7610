"""The playout model in a simulated world: what is heard at the far ear, and how late.

Every world is one of a seed. Bounds are those of a good call: delays in ms from mouth to ear, of
which 20 are the network's and 20 the frame's; `dry` is what the carrier filled with silence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from media.lead_control import PACKETS
from media.playout import Playout
from tests.media.playout_world import (
    MS,
    SPEECH,
    Carrier,
    Network,
    World,
    bursts,
    jitter,
    similarity,
    spikes,
    stalls,
)
from tests.media.signals import from_mulaw
from tests.thorough import first_of

STALLS = (60.0, 120.0, 180.0)


def beside() -> Carrier:
    """A carrier next door that begins to play at once: nothing hides how the model does."""
    return Carrier(rtt=0, grid=1)


@pytest.mark.parametrize(
    ("network", "more", "delay_ms", "last_ms", "dry_s"),
    [
        (lambda: jitter(2), {}, 73, 73, 0.0),
        pytest.param(lambda: jitter(5), {}, 76, 76, 0.0, marks=pytest.mark.thorough),
        (lambda: jitter(20), {}, 120, 122, 0.01),
        (lambda: jitter(5, loss=0.03), {}, 80, 80, 0.01),
        (lambda: bursts(10, 0.05, 2), {}, 120, 117, 1.2),
        (lambda: stalls(STALLS, 1.0), {}, 73, 73, 2.75),
        pytest.param(lambda: stalls(STALLS, 0.3), {}, 76, 72, 0.65, marks=pytest.mark.thorough),
        (lambda: jitter(2), {"ppm": 100, "seconds": 900}, 83, 86, 0.0),
        pytest.param(
            lambda: jitter(2),
            {"ppm": -100, "seconds": 900},
            83,
            86,
            0.0,
            marks=pytest.mark.thorough,
        ),
    ],
    ids=[
        "2 ms",
        "5 ms",
        "20 ms",
        "3 % lost",
        "5 % lost in bursts",
        "1 s stalls",
        "0.3 s stalls",
        "fast talker",
        "slow talker",
    ],
)
def test_delay_and_silence_stay_small(
    network: Callable[[], Network],
    more: dict[str, float],
    delay_ms: float,
    last_ms: float,
    dry_s: float,
) -> None:
    world = World(network(), carrier=beside(), **more).run()
    assert world.delay_ms() <= delay_ms
    assert world.last_delay_ms <= last_ms
    assert world.dry_s <= dry_s


@pytest.mark.thorough
def test_a_reliable_transport_with_spikes() -> None:
    worlds = [
        World(spikes(2, 0.01, 60), seed=seed, reliable=True, carrier=beside()).run()
        for seed in range(1, 9)
    ]
    assert sum(world.delay_ms() for world in worlds) / 8 <= 103
    assert sum(world.last_delay_ms for world in worlds) / 8 <= 121
    assert sum(world.dry_s for world in worlds) / 8 <= 1.5


def test_the_same_world_without_the_model_lags_or_goes_silent() -> None:
    stalled = World(stalls(STALLS, 1.0), naive=True, carrier=beside()).run()
    assert stalled.last_delay_ms > 1_000
    lossy = World(jitter(5, loss=0.03), naive=True, carrier=beside()).run()
    assert lossy.dry_s > 8


@pytest.mark.parametrize(
    ("network", "least"),
    [
        (lambda: jitter(0), 0.99),
        (lambda: jitter(5, loss=0.05), 0.98),
        (lambda: jitter(20), 0.99),
        (lambda: stalls((20.0,), 1.0), 0.99),
    ],
    ids=["clean", "5 % lost", "20 ms", "1 s stall"],
)
def test_the_far_ear_hears_what_was_said(network: Callable[[], Network], least: float) -> None:
    world = World(network(), seconds=60, carrier=beside()).run()
    assert similarity(from_mulaw(SPEECH), world.heard()) >= least


@pytest.mark.parametrize("ppm", first_of([-300, 300]))
def test_drift_is_absorbed_unheard(ppm: float) -> None:
    world = World(jitter(2), seconds=60, ppm=ppm, carrier=Carrier(ppm=-ppm)).run()
    assert similarity(from_mulaw(SPEECH), world.heard()) >= 0.99
    counters = world.playout.counters
    assert counters.lost == counters.cut_ms == counters.concealed_ms == 0


@pytest.mark.thorough
@pytest.mark.parametrize("ppm", [-100, 100])
def test_a_call_of_four_hours_ends_with_the_delay_it_began_with(ppm: float) -> None:
    """The talker's clock is off one way, the carrier's the other."""
    carrier = Carrier(ppm=-ppm, keeps_audio=False)
    world = World(jitter(2), seconds=4 * 3_600, ppm=ppm, carrier=carrier).run()
    first_ms = world.delay_ms(0, 10)
    assert abs(world.last_delay_ms - first_ms) <= 40
    assert abs(world.delay_ms() - first_ms) <= 40
    assert world.dry_s < 0.1
    counters = world.playout.counters
    assert counters.lost == counters.cut_ms == world.clears == 0


@pytest.mark.parametrize("seconds", first_of([1.0, 0.3, 3.0]))
@pytest.mark.parametrize("reliable", [False, True])
def test_a_stall_before_us_leaves_no_delay_after_5_s(seconds: float, reliable: bool) -> None:
    network = stalls((20.0,), seconds, 0 if reliable else 2)
    world = World(network, seconds=60, reliable=reliable).run()
    after = 20 + seconds
    assert world.delay_ms(after + 4, after + 6) <= world.delay_ms(0, 20) + 10
    assert world.dry_s <= seconds


@pytest.mark.parametrize("seconds", first_of([2.0, 1.0, 15.0]))
def test_a_stall_at_the_carrier_is_found_by_marks_and_cleared(seconds: float) -> None:
    carrier = Carrier(stalls={25: seconds})
    world = World(jitter(2), seconds=60, carrier=carrier).run()
    assert world.clears == 1
    after = 20 + max(seconds, 2)
    # A mark from before the stall is given up after 10 s, and comes back at its end.
    wait = 4 if seconds < 10 else 14
    assert world.delay_ms(after + wait, after + wait + 2) <= world.delay_ms(0, 19) + 20
    assert world.playout.carrier_rtt_ns is not None
    assert 40 * MS <= world.playout.carrier_rtt_ns <= 80 * MS


def test_a_lesser_stall_at_the_carrier_is_made_up_for_before_a_clear_ends_the_doubt() -> None:
    world = World(jitter(2), seconds=60, carrier=Carrier(stalls={25: 0.5})).run()
    assert world.clears == 1
    assert world.playout.counters.cleared_ms <= 40
    assert world.last_delay_ms <= world.delay_ms(0, 19) + 40


@pytest.mark.parametrize("rtt_ms", first_of([40, 5, 300]))
def test_the_round_trip_to_the_carrier_is_measured(rtt_ms: int) -> None:
    world = World(jitter(2), seconds=60, carrier=Carrier(rtt=rtt_ms * MS, grid=1)).run()
    measured = world.playout.carrier_rtt_ns
    assert measured is not None
    assert rtt_ms * MS <= measured <= (rtt_ms + 25) * MS
    assert 50 <= world.marks <= 60


@pytest.mark.parametrize("rtt_ms", first_of([140, 5, 60, 440]))
def test_another_way_to_the_carrier_costs_little_sound(rtt_ms: int) -> None:
    carrier = Carrier(rtt=40 * MS, moves={30: rtt_ms})
    world = World(jitter(2), seconds=180, carrier=carrier).run()
    assert world.clears <= 4
    assert world.playout.counters.cleared_ms <= 40 * world.clears
    assert world.dry_s <= 1.5
    assert world.last_delay_ms <= world.delay_ms(0, 20) + max(0, rtt_ms - 40) / 2 + 20
    assert world.playout.carrier_rtt_ns is not None
    assert abs(world.playout.carrier_rtt_ns - rtt_ms * MS) <= 70 * MS


def test_copies_are_played_once() -> None:
    world = World(jitter(5, copies=0.3), seconds=60, carrier=beside()).run()
    counters = world.playout.counters
    assert counters.frames_out == 3_000
    assert counters.late + counters.duplicate == counters.frames_in - 3_000 > 800
    assert world.last_delay_ms <= 80


def test_40_ms_frames_pass_as_well() -> None:
    world = World(jitter(5, loss=0.02), frame_ms=40, carrier=beside()).run()
    assert world.last_delay_ms <= 20 + 40 + 40
    assert world.dry_s == 0
    counters = world.playout.counters
    # What is late while the lead is yet to grow is concealed in part.
    assert 0.98 * 40 * counters.lost <= counters.concealed_ms <= 40 * counters.lost + 20


@pytest.mark.parametrize("frame_ms", first_of([25, 1, 10, 30, 60]))
def test_packets_of_other_lengths_are_heard_as_well(frame_ms: int) -> None:
    world = World(jitter(2), seconds=30, frame_ms=frame_ms, carrier=beside()).run()
    assert world.dry_s == 0
    assert similarity(from_mulaw(SPEECH), world.heard()) >= 0.99


@pytest.mark.parametrize("far", [20_000, -20_000, 600])
def test_a_sequence_that_jumps_costs_one_frame(far: int) -> None:
    world = World(
        jitter(2),
        seconds=60,
        sequence_of=lambda index: index if index < 1_000 else index + far,
        carrier=beside(),
    ).run()
    counters = world.playout.counters
    assert (counters.reset, counters.late) == (1, 1)
    assert world.dry_s < 0.03
    assert world.last_delay_ms <= 80


def test_a_pause_sends_nothing_and_the_next_words_come_as_before() -> None:
    world = World(jitter(5), seconds=60, silent=((10, 20), (30, 31)), carrier=beside()).run()
    assert 10.5 <= world.dry_s <= 11.1
    # A pause is noticed up to 0.1 s late; what is concealed until then is whole frames.
    assert world.playout.counters.concealed_ms <= 140
    for start, end in ((0, 9), (21, 29), (32, 60)):
        assert 65 <= world.delay_ms(start, end) <= 85


def test_another_source_takes_over_without_a_gap() -> None:
    world = World(jitter(5), seconds=60, restarts=(20, 40), carrier=beside()).run()
    assert world.dry_s == 0
    assert abs(world.last_delay_ms - world.delay_ms(0, 19)) <= 20
    assert world.playout.counters.frames_out == 3_000


def test_a_voice_that_moves_between_packets_and_a_stream_has_the_lead_of_each() -> None:
    world = World(jitter(2), seconds=120, moves=(30, 60, 90), carrier=beside()).run()
    assert world.dry_s == 0
    assert world.playout.counters.frames_out == 6_000
    for start, end in ((10, 30), (70, 90)):
        assert world.delay_ms(start, end) <= 62
    for start, end in ((40, 60), (100, 120)):
        assert 60 <= world.delay_ms(start, end) <= 76
    assert similarity(from_mulaw(SPEECH), world.heard()) >= 0.99


@pytest.mark.thorough
def test_ticks_may_come_late_by_their_period() -> None:
    for tick_late in (0, MS, 2 * MS):
        world = World(jitter(5, loss=0.03), tick_late=tick_late, carrier=beside()).run()
        assert world.dry_s <= 0.01
    for tick_late in (0, 5 * MS, 9 * MS):
        world = World(jitter(5), reliable=True, tick_late=tick_late, carrier=beside()).run()
        assert world.dry_s <= 0.01


def test_a_slower_tick_asks_for_more_lead() -> None:
    slow = replace(
        PACKETS,
        start_ns=30 * MS,
        tick_ns=20 * MS,
        grown_ns=28 * MS,
        aim_ns=34 * MS,
        early_ceil_ns=46 * MS,
        ceil_ns=46 * MS,
    )
    playout = Playout(packets=slow)
    world = World(jitter(10), playout=playout, tick_late=9 * MS, carrier=beside()).run()
    assert world.dry_s <= 0.01
    assert world.last_delay_ms <= 120
