"""The playout model, frame by frame and by arbitrary orders of everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.clock import NEVER_NS
from media.conceal import Concealer
from media.errors import FormatError
from media.lead_control import PACKETS, STREAM, ArrivalProfile
from media.playout import Playout
from media.playout_state import PlayoutCounters
from media.speech_repair import REPAIRS_MAX, RepairBudget
from tests.media.playout_world import SPEECH
from tests.media.signals import sine, to_mulaw

MS = 1_000_000
SECOND = 1_000 * MS
CAP, HARD, START, GUARD = 100 * MS, 240 * MS, 14 * MS, 3_000_000
"""The last two of packets."""
TICK = PACKETS.tick_ns
PAUSE = to_mulaw(sine(300, 0.02, peak=20))
FRAMES = [SPEECH[at : at + 160] for at in range(160, 160_000, 160)]
T0 = 7 * SECOND


def ms_of(given: Iterable[bytes]) -> float:
    return len(b"".join(given)) / 8


def spent() -> RepairBudget:
    """Repairs of which none is left."""
    budget = RepairBudget()
    while budget.take(1 << 62):
        pass
    return budget


def begun(frames: int = 10, first: int = 0) -> tuple[Playout, int]:
    """Return a model that was given so many frames on time, and when the next is due."""
    playout, now = Playout(), T0
    for index in range(frames):
        playout.put(now, FRAMES[index], (first + index) & 0xFFFF)
        playout.poll(now + START)
        now += 20 * MS
    return playout, now


@pytest.mark.parametrize(
    ("sequence", "lead_ms", "waited_ms", "guard_ns"),
    [(9, 14, 14, GUARD), (None, 30, 10, STREAM.guard_ns)],
)
def test_a_stream_starts_with_a_lead_that_is_waited_for_or_silence(
    sequence: int | None, lead_ms: int, waited_ms: int, guard_ns: int
) -> None:
    playout = Playout()
    assert playout.deadline_ns == NEVER_NS
    assert playout.lead_ns(T0) == playout.delay_ns(T0) == 0
    assert playout.put(T0, FRAMES[0], sequence) == []
    assert playout.delay_ns(T0) == (lead_ms + 20) * MS
    assert playout.tick_ns == PACKETS.tick_ns
    assert playout.poll(T0 + waited_ms * MS - 1) == ()
    *silence, frame = playout.poll(T0 + waited_ms * MS)
    assert b"".join(silence) == b"\xff" * 8 * (lead_ms - waited_ms)
    assert playout.counters.waited_ms == waited_ms
    assert frame[80:] == FRAMES[0][80:]
    assert playout.lead_ns(T0) == (lead_ms + 20) * MS
    assert playout.deadline_ns == T0 + (lead_ms + 20) * MS - guard_ns


@pytest.mark.parametrize(("sequence", "lead_ms"), [(0, 34), (65_530, 34), (None, 50)])
def test_a_frame_in_order_passes_as_it_is(sequence: int | None, lead_ms: int) -> None:
    playout, now = Playout(), T0
    for index in range(100):
        number = None if sequence is None else (sequence + index) & 0xFFFF
        given = playout.put(now, FRAMES[index], number)
        if index:
            assert len(given) == 1
            assert given[0] is FRAMES[index]
        started = playout.poll(now + (lead_ms - 20) % 20 * MS)
        assert bool(started) == (index == 0)
        assert playout.lead_ns(now) == lead_ms * MS
        now += 20 * MS
    waited_ms = (lead_ms - 20) % 20
    assert playout.counters == PlayoutCounters(frames_in=100, frames_out=100, waited_ms=waited_ms)


def test_frames_that_overtook_one_another_are_put_in_order() -> None:
    playout, now = begun(first=65_534 - 10)
    assert playout.put(now, FRAMES[11], 65_535) == []
    assert playout.delay_ns(now) == START + 40 * MS
    assert playout.put(now + MS, FRAMES[12], 0) == []
    assert playout.put(now + 2 * MS, FRAMES[12], 0) == ()
    assert playout.put(now + 3 * MS, FRAMES[10], 65_534) == FRAMES[10:13]
    counters = playout.counters
    assert (counters.lost, counters.late, counters.duplicate) == (0, 0, 1)


def test_a_missing_frame_is_waited_for_until_the_carrier_runs_dry() -> None:
    playout, now = begun()
    assert playout.put(now + 5 * MS, FRAMES[11], 11) == []
    assert playout.deadline_ns == now + START - GUARD
    assert playout.poll(playout.deadline_ns - 1) == ()
    concealed, joined = playout.poll(playout.deadline_ns)
    assert len(concealed) == len(joined) == 160
    assert joined[80:] == FRAMES[11][80:]
    assert (playout.counters.lost, playout.counters.concealed_ms) == (1, 20)
    assert playout.put(now + 25 * MS, FRAMES[10], 10) == ()
    assert playout.counters.late == 1


def test_what_is_concealed_is_not_played_again_when_it_comes() -> None:
    playout, now = begun()
    first, second = playout.poll(now + 11 * MS), playout.poll(now + 20 * MS)
    assert (ms_of(first), ms_of(second)) == (20, 0)
    lead = playout.lead_ns(now + 21 * MS)
    assert playout.put(now + 21 * MS, FRAMES[10], 10) == ()
    assert playout.lead_ns(now + 21 * MS) == lead
    (given,) = playout.put(now + 22 * MS, FRAMES[11], 11)
    assert len(given) == 160
    assert (playout.counters.lost, playout.counters.late) == (1, 1)


def test_of_a_frame_that_was_half_concealed_the_other_half_is_played() -> None:
    playout, now = Playout(), T0
    for number in range(5):
        playout.put(now, SPEECH[320 * number :][:320], number)
        playout.poll(now + START)
        now += 40 * MS
    assert ms_of(playout.poll(now + 11 * MS)) == 20
    (rest,) = playout.put(now + 12 * MS, SPEECH[320 * 5 :][:320], 5)
    assert len(rest) == 160
    assert rest[80:] == SPEECH[320 * 5 + 240 :][:80]
    assert playout.counters.lost == playout.counters.late == 0
    after = SPEECH[320 * 6 :][:320]
    assert list(playout.put(now + 13 * MS, after, 6)) == [after]


def test_when_lateness_repeats_the_late_frame_is_played_and_lengthens_the_lead() -> None:
    playout, now = begun()
    number, leads = 10, []
    for _ in range(2):
        assert ms_of(playout.poll(now + 11 * MS)) == 20
        assert ms_of(playout.poll(now + 20 * MS)) == 0
        given = playout.put(now + 21 * MS, FRAMES[number], number)
        leads.append(playout.lead_ns(now + 21 * MS))
        for ahead in range(1, 20):
            playout.put(now + 20 * ahead * MS + 3 * MS, FRAMES[number + ahead], number + ahead)
        number, now = number + 20, now + 400 * MS
    assert ms_of(given) == 20
    assert playout.counters.late == 1
    assert playout.lead_ns(now) >= 27 * MS


def test_growth_keeps_to_the_cap() -> None:
    playout, now = begun()
    playout._lead_control.grow_ns = 60 * MS
    playout._on_fast_path = False
    for index in range(10, 20):
        playout.put(now, FRAMES[index], index)
    assert 85 * MS < playout.lead_ns(now) <= CAP + 20 * MS


def test_a_tick_that_comes_long_after_the_carrier_ran_dry_conceals_nothing() -> None:
    playout, now = begun()
    assert playout.poll(now + SECOND) == []
    assert playout.deadline_ns == NEVER_NS
    assert playout.counters.concealed_ms == 0


def test_short_frames_are_concealed_as_well_as_long_ones() -> None:
    tone = to_mulaw(sine(100, 1))
    whole, pieces = Playout(), Playout()
    for at in range(0, 4_000, 160):
        whole.put(T0 + at * 125_000, tone[at : at + 160])
        for piece in range(at, at + 160, 16):
            pieces.put(T0 + at * 125_000, tone[piece : piece + 16])
    now = T0 + 520 * MS
    concealed, begun_alike = (
        b"".join([*stream.poll(now + 8 * MS), *stream.poll(now + 18 * MS)])
        for stream in (whole, pieces)
    )
    assert len(begun_alike) >= 160
    assert concealed.startswith(begun_alike)
    assert begun_alike[:80].count(0xFF) < 3


def test_the_frame_after_a_dropped_one_is_cross_faded() -> None:
    playout, now = begun()
    playout._lead_control.excess_ns = 40 * MS
    playout._on_fast_path = False
    assert playout.put(now, PAUSE, 10) == []
    (joined,) = playout.put(now + MS, FRAMES[11], 11)
    assert joined != FRAMES[11]
    assert joined[80:] == FRAMES[11][80:]
    assert playout.counters.shortened_ms == 20


def test_a_small_excess_goes_in_two_halves_and_leaves_no_rest() -> None:
    playout, now = begun()
    playout.put(now, FRAMES[10], 10)
    playout._lead_control.excess_ns = 20 * MS
    playout._on_fast_path = False
    assert playout.put(now, PAUSE, 11) == []
    assert playout._lead_control.excess_ns == 0
    assert playout.delay_ns(now) == START + 30 * MS, "half of the frame is left over"
    for number in range(12, 20):
        now += 20 * MS
        (given,) = playout.put(now, PAUSE, number)
        assert len(given) == 160
    assert playout.delay_ns(now) == START + 20 * MS
    assert playout.counters.shortened_ms == 20
    assert playout.counters.frames_out == 20


def test_concealment_ends_after_80_ms_and_then_nothing_is_sent() -> None:
    playout, now = begun()
    total = 0.0
    for tick in range(100):
        total += ms_of(playout.poll(now + tick * TICK))
    assert total == 80
    assert playout.deadline_ns == NEVER_NS
    assert (playout.counters.concealed_ms, playout.counters.underruns) == (80, 1)
    assert playout.put(now + 2 * SECOND, FRAMES[10], 10) == []
    (frame,) = playout.poll(now + 2 * SECOND + START)
    assert frame[80:] == FRAMES[10][80:]
    assert playout.lead_ns(now + 2 * SECOND) == START + 20 * MS


def test_a_frame_after_a_long_loss_is_played_at_its_turn() -> None:
    playout, now = begun()
    for tick in range(48):
        playout.poll(now + tick * TICK)
    late = now + 6 * 20 * MS
    assert playout.put(late, FRAMES[16], 16) == []
    (frame,) = playout.poll(late + START)
    assert frame[80:] == FRAMES[16][80:]
    assert playout.lead_ns(late) == START + 20 * MS, "as if nothing had been lost"
    assert playout.counters.lost == 6


def test_surplus_is_held_here_and_handed_on_when_the_carrier_needs_it() -> None:
    playout, now = begun()
    given = [audio for index in range(10, 17) for audio in playout.put(now, FRAMES[index], index)]
    assert given == FRAMES[10:15]
    assert playout.lead_ns(now) == 114 * MS
    assert playout.delay_ns(now) == 154 * MS
    assert playout.deadline_ns == now + 14 * MS
    assert playout.poll(now + 13 * MS) == ()
    assert playout.poll(now + 14 * MS) == FRAMES[15:16]
    assert playout.poll(now + 34 * MS) == FRAMES[16:17]


def test_a_burst_beyond_bearing_is_cut_to_its_newest() -> None:
    playout, now = begun()
    given = [audio for index in range(10, 60) for audio in playout.put(now, FRAMES[index], index)]
    assert playout.delay_ns(now) <= HARD
    assert playout.lead_ns(now) <= CAP + 20 * MS
    kept = ms_of(given) + playout.delay_ns(now) / MS - playout.lead_ns(now) / MS
    assert playout.counters.cut_ms == 50 * 20 - kept
    for tick in range(1, 30):
        given += playout.poll(now + tick * 10 * MS)
    assert FRAMES[59] in given or given[-2][80:] == FRAMES[59][80:]


def test_a_single_stray_number_is_dropped_and_two_in_a_row_begin_anew() -> None:
    playout, now = begun()
    assert playout.put(now, FRAMES[0], 30_000) == ()
    assert playout.put(now + MS, FRAMES[10], 10) == [FRAMES[10]]
    assert playout.put(now + 20 * MS, FRAMES[1], 40_000) == ()
    (joined,) = playout.put(now + 21 * MS, FRAMES[2], 40_001)
    assert joined[80:] == FRAMES[2][80:]
    assert list(playout.put(now + 40 * MS, FRAMES[3], 40_002)) == [FRAMES[3]]
    assert (playout.counters.reset, playout.counters.late) == (1, 2)


def test_a_sequence_that_begins_anew_a_little_behind_is_taken_after_a_silence() -> None:
    playout, now = begun(first=5_000)
    for tick in range(12):
        playout.poll(now + tick * 10 * MS)
    now += SECOND
    assert playout.put(now, FRAMES[0], 4_990) == ()
    assert playout.put(now, FRAMES[1], 4_991) == []
    assert len(playout.poll(now + START)) == 1
    assert playout.counters.reset == 1


def test_a_pause_drops_what_is_held_and_conceals_nothing() -> None:
    playout, now = begun()
    for index in range(10, 18):
        playout.put(now, FRAMES[index], index)
    playout.pause()
    assert playout.deadline_ns == NEVER_NS
    assert playout.poll(now + SECOND) == ()
    assert playout.counters.cut_ms == 60
    assert playout.put(now + SECOND, FRAMES[0], 60_000) == []
    (frame,) = playout.poll(now + SECOND + START)
    assert playout.counters.concealed_ms == playout.counters.underruns == 0
    assert frame[0] in (0xFF, 0x7F), "it fades in"


def test_a_start_that_is_broken_off_is_not_waited_for_any_more() -> None:
    playout = Playout()
    playout.put(T0, FRAMES[0], None)
    assert playout.tick_ns == PACKETS.tick_ns
    playout.pause()
    assert playout.tick_ns == STREAM.tick_ns
    assert playout.deadline_ns == NEVER_NS
    assert playout.delay_ns(T0) == 0


def test_after_a_short_pause_the_lead_is_only_topped_up() -> None:
    playout, now = begun()
    playout.pause()
    assert playout.put(now + 10 * MS, FRAMES[11], 11) == []
    assert playout.deadline_ns == now + START + 10 * MS
    assert len(playout.poll(playout.deadline_ns)) == 1
    assert playout.lead_ns(now + 10 * MS) == START + 20 * MS


def test_another_source_joins_without_a_gap_or_more_lead() -> None:
    playout, now = begun()
    playout.restart()
    (joined,) = playout.put(now, FRAMES[10], 40_000)
    assert joined != FRAMES[10]
    assert joined[80:] == FRAMES[10][80:]
    assert playout.lead_ns(now) == START + 20 * MS
    assert list(playout.put(now + 20 * MS, FRAMES[11], 40_001)) == [FRAMES[11]]


@pytest.mark.parametrize(
    ("first", "second"), [(PACKETS, STREAM), (STREAM, PACKETS)], ids=["to stream", "to packets"]
)
def test_another_kind_of_source_brings_its_lead_unheard(
    first: ArrivalProfile, second: ArrivalProfile
) -> None:
    playout, now = Playout(), T0
    for index in range(300):
        if index == 50:
            assert playout.tick_ns == first.tick_ns
            assert playout.lead_ns(now) == first.start_ns
            playout.restart()
        number = index if (first if index < 50 else second) is PACKETS else None
        given = playout.put(now, FRAMES[index], number)
        assert index == 0 or b"\xff" * 9 not in b"".join(given), "no gap"
        started = playout.poll(now + first.start_ns % (20 * MS)) if index == 0 else ()
        assert bool(started) == (index == 0)
        assert playout.poll(now + 9 * MS) == ()
        now += 20 * MS
    assert playout.tick_ns == second.tick_ns
    lead = playout.lead_ns(now)
    assert min(second.start_ns, second.aim_ns) - 6 * MS <= lead <= second.ceil_ns
    assert playout.deadline_ns == now + lead - second.guard_ns
    counters = playout.counters
    assert counters.concealed_ms == counters.cut_ms == counters.lost == 0


def test_between_two_sources_the_first_is_concealed() -> None:
    playout, now = begun()
    playout.restart()
    assert ms_of(playout.poll(now + 11 * MS)) == 20
    assert ms_of(playout.poll(now + 20 * MS)) == 0
    (joined,) = playout.put(now + 25 * MS, FRAMES[12], 777)
    assert len(joined) == 160
    assert playout.counters.lost == 0


def test_our_own_audio_goes_first_and_delays_no_speech() -> None:
    playout, now = begun()
    digits = b"\x10" * 8 * 320
    assert playout.insert(now, digits) is digits
    assert playout.lead_ns(now) == 320 * MS + START
    for index in range(10, 60):
        playout.put(now, FRAMES[index], index)
        now += 20 * MS
    assert playout.delay_ns(now) == START
    assert playout.counters.cut_ms == 320
    assert playout.counters.frames_out == 60 - 16


def test_a_tone_while_paused_leaves_nothing_due() -> None:
    playout, now = begun()
    playout.pause()
    for _ in range(50):
        playout.insert(now, b"\x10" * 160)
        assert playout.deadline_ns == NEVER_NS
        now += 20 * MS
    playout.put(now, FRAMES[0], 5)
    playout.poll(now + START)
    assert playout.lead_ns(now) == START + 20 * MS


def test_marks_detect_a_backlog_and_a_clear_ends_it() -> None:
    playout, now = begun()
    results = []
    for backlog in (0, 1_000 * MS):
        name = playout.mark_due(now)
        assert name is not None
        back = now + playout.lead_ns(now) + backlog + 40 * MS
        index = 10
        while now < back + SECOND:
            if now >= back and name:
                results.append(playout.mark_returned(back, name))
                name = ""
            playout.put(now, FRAMES[index % 900], None)
            index, now = index + 1, now + 20 * MS
    assert results == [False, True]
    assert playout.carrier_rtt_ns == 40 * MS
    lead = playout.lead_ns(now)
    playout.cleared(now)
    assert playout.lead_ns(now) == 0
    assert playout.counters.cleared_ms == lead // MS
    assert playout.deadline_ns == NEVER_NS
    assert playout.put(now, FRAMES[0], None) == []
    assert len(playout.poll(now + 10 * MS)) == 2


def test_speech_is_cut_while_the_carrier_has_a_lesser_backlog() -> None:
    playout, now = begun()
    for backlog in (*[0] * 12, 900 * MS, 900 * MS):
        name = playout.mark_due(now)
        assert name is not None
        now += SECOND + 200 * MS
        playout.insert(now - 50 * MS, b"\xff" * 640)
        assert playout._carrier.marks._waiting
        sent, audio = playout._carrier.marks._waiting[name]
        assert not playout.mark_returned(sent + audio + backlog + 40 * MS, name)
    lead = playout.lead_ns(now)
    assert lead > HARD
    assert playout.put(now, FRAMES[0], 10) == ()
    assert playout.put(now + lead - START, FRAMES[1], 11) != ()
    assert playout.delay_ns(now + lead - START) == START + 20 * MS


def test_what_was_inserted_is_no_backlog() -> None:
    playout, now = begun()
    playout.insert(now, b"\x10" * 8 * 3_000)
    for _ in range(3):
        name = playout.mark_due(now)
        assert name is not None
        now += playout.lead_ns(now) + 40 * MS
        assert not playout.mark_returned(now, name)
        playout.insert(now, b"\x10" * 8 * 3_000)


@pytest.mark.parametrize("is_packet", [True, False])
def test_a_voice_that_comes_back_may_begin_sooner_on_the_carriers_beat(is_packet: bool) -> None:
    playout, now = Playout(), T0
    index = 0
    for late_ms in (15, 2):  # the carrier begins to play so much after it could
        for _ in range(10):
            for frame in range(60):
                playout.put(now, FRAMES[index % 900], index if is_packet else None)
                if frame == 0:
                    if not playout.lead_ns(now):
                        playout.poll(playout.deadline_ns)  # the start has been waited for
                    name = playout.mark_due(now)
                    assert name is not None
                    back = now + playout.lead_ns(now) + (40 + late_ms) * MS
                index, now = index + 1, now + 20 * MS
                if now - 20 * MS < back <= now:
                    playout.mark_returned(back, name)
        assert playout.lead_ns(now - 20 * MS) == (34 if is_packet else 50) * MS
        for _ in range(120):
            now += TICK
            playout.poll(now)
        index += 15  # the packets of the pause are lost, not held back
    assert playout.carrier_rtt_ns == 42 * MS


def test_a_mark_of_somebody_else_says_nothing() -> None:
    playout, now = begun()
    assert not playout.mark_returned(now + 9 * SECOND, "greeting")
    assert playout.carrier_rtt_ns is None


@pytest.mark.parametrize("size", [0, 7, 961])
def test_frames_of_no_use_are_refused(size: int) -> None:
    playout = Playout()
    with pytest.raises(FormatError):
        playout.put(T0, b"\xff" * size)
    assert playout.counters.frames_in == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"packets": replace(PACKETS, start_ns=81 * MS)},
        {"stream": replace(STREAM, start_ns=81 * MS)},
        {"cap_ns": 40 * MS},
        {"hard_ns": 110 * MS},
    ],
)
def test_tunables_that_contradict_one_another_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        Playout(**wrong)


def test_without_repairs_a_gap_is_filled_roughly_and_speech_goes_on_as_it_is() -> None:
    playout, now = Playout(repairs=spent()), T0
    for index in range(10):
        playout.put(now, FRAMES[index], index)
        playout.poll(now + START)
        now += 20 * MS
    assert playout.put(now, FRAMES[10], 11) == []
    filled, after = playout.poll(now + 11 * MS)
    assert len(filled) == 160
    assert set(filled) != {0xFF}
    assert after == FRAMES[10]
    assert playout.counters.concealed_ms == 20
    now += 20 * MS
    assert playout.put(now, FRAMES[12], 12) == (FRAMES[12],)


def test_without_repairs_nothing_is_stretched_and_what_was_asked_for_stays_asked() -> None:
    playout, now = Playout(repairs=spent()), T0
    for index in range(100):
        late_ns = 12 * MS * (index % 8 == 7)
        given = playout.put(now + late_ns, PAUSE, index)
        if not index:
            playout.poll(now + START)
        now += 20 * MS
        assert index == 0 or set(map(len, given)) == {160}
    assert playout._lead_control.grow_ns > 0
    assert playout.counters.stretched_ms == 0
    playout._repair.budget = RepairBudget()
    for index in range(100, 110):
        playout.put(now, PAUSE, index)
        now += 20 * MS
    assert playout.counters.stretched_ms > 0
    assert playout._lead_control.grow_ns == 0


def test_all_streams_together_spend_no_more_than_is_allowed() -> None:
    repairs = RepairBudget()
    streams = [Playout(repairs=repairs) for _ in range(200)]
    now = T0
    for index in range(10):
        for stream in streams:
            stream.put(now, FRAMES[index], index)
            stream.poll(now + START)
        now += 20 * MS
    given = [b"".join(stream.poll(now + 11 * MS)) for stream in streams]
    rough = b"".join(streams[-1]._history)[:-80]
    concealer = Concealer()
    concealer.start_roughly(rough)
    assert given[-1] == concealer.take(len(given[-1])) != given[0]
    assert given.count(given[0]) == REPAIRS_MAX
    assert len(set(map(len, given))) == 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["put"] * 8 + ["poll"] * 4 + ["mark", "back", "pause", "restart", "insert", "clear"]
        ),
        st.integers(-3, 6) | st.integers(0, 0xFFFF) | st.none(),
        st.sampled_from([0, MS, 10 * MS, 20 * MS, 70 * MS, 2 * SECOND]),
        st.sampled_from([160] * 6 + [8, 11, 80, 320, 960]),
    ),
    max_size=150,
)


@given(STEPS, st.booleans(), st.sampled_from([RepairBudget, spent]))
def test_whatever_happens_time_and_space_are_bounded(
    steps: list[tuple[str, int | None, int, int]],
    is_talking: bool,
    repairs: Callable[[], RepairBudget],
) -> None:
    playout, now, name, newest = Playout(repairs=repairs()), T0, "", 0
    playout.is_talking = is_talking
    taken = given = inserted = 0
    longest, pace, elapsed = 160, 0, 0
    for action, number, wait, size in steps:
        now += wait
        elapsed += wait
        out: Sequence[bytes] = ()
        if action == "put":
            if number is not None:
                newest = (newest + number) & 0xFFFF if abs(number) < 10 else number
            out = playout.put(now, SPEECH[size * 7 :][:size], None if number is None else newest)
            taken += size
            longest = max(longest, size)
        elif action == "poll":
            out = playout.poll(now)
        elif action == "insert":
            out = (playout.insert(now, b"\x20" * size),)
            inserted += (size + 2 * 159) * 125_000
        elif action == "mark":
            name = playout.mark_due(now) or name
        elif action == "back":
            inserted += max(0, -playout.lead_ns(now))
            before = playout.lead_ns(now)
            playout.mark_returned(now, name)
            inserted += max(0, playout.lead_ns(now) - before)
        elif action == "clear":
            playout.cleared(now)
        else:
            getattr(playout, action)()
        assert all(out)
        assert not any(len(piece) % 160 for piece in out)
        given += int(ms_of(out) * 8)
        pace += action == "put"
        assert playout.lead_ns(now) <= CAP + longest * 125_000 + inserted
        assert playout.delay_ns(now) <= HARD + longest * 125_000 + inserted
        assert len(playout._buffer) <= 240
    # What is given beyond what was taken: a lead and a concealment per join, and stretches.
    assert given * 125_000 <= taken * 125_000 + inserted + (pace + 1) * (155 * MS + 120 * MS)
    counters = playout.counters
    assert counters.frames_out <= counters.frames_in == pace
    assert all(value >= 0 for value in (counters.lost, counters.cut_ms, counters.concealed_ms))
