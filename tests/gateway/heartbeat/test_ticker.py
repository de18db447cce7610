"""The heartbeat: what is due is done, once, in order, and no fault or stall stops it."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.heartbeat.ticker import (
    BEAT_NS,
    BEATS_PER_SECOND,
    DUTY_PARTS,
    LAG_WINDOW_NS,
    POLL_NS,
    READING_NS,
    STANDSTILL_NS,
    URGENT_NS,
    Backlog,
    RecentPeak,
    Ticker,
)
from media.clock import NEVER_NS, Waiter
from media.lead_control import PACKETS, STREAM
from tests.gateway.virtual_time import virtual_loop


class Player:
    def __init__(self) -> None:
        self.frames = 0

    def play(self) -> None:
        self.frames += 1


class Broken:
    def play(self) -> None:
        raise ZeroDivisionError


def broken(*_: int) -> None:
    raise ZeroDivisionError


@pytest.fixture
def ticker():
    return Ticker(lambda: 0)


class Polled:
    """Calls a function when it is polled."""

    def __init__(self, poll) -> None:
        self.poll = poll


def beats(ticker: Ticker, first: int, last: int) -> None:
    for beat in range(first, last + 1):
        ticker.beat(beat * BEAT_NS)


# By hand: no clock, no loop.


def test_those_that_wait_are_asked_from_their_deadline_on(ticker):
    asked = []
    waiter = Waiter(3 * POLL_NS, POLL_NS)

    def ask(now_ns: int) -> None:
        asked.append(now_ns)
        waiter.deadline_ns = now_ns + 2 * POLL_NS

    ticker.add_waiter(waiter, Polled(ask))
    for poll in range(1, 7):
        ticker.poll(poll * POLL_NS)
    assert asked == [3 * POLL_NS, 5 * POLL_NS]
    ticker.remove_waiter(waiter)
    ticker.remove_waiter(waiter)
    ticker.poll(9 * POLL_NS)
    assert len(asked) == 2


def test_one_that_fails_or_leaves_when_asked_disturbs_no_other(ticker):
    asked = []
    first, second = Waiter(0, POLL_NS), Waiter(0, POLL_NS)

    def leave_and_fail(_):
        ticker.remove_waiter(second)
        broken()

    ticker.add_waiter(first, Polled(leave_and_fail))
    ticker.add_waiter(second, Polled(asked.append))
    ticker.add_waiter(Waiter(0, POLL_NS), Polled(asked.append))
    with capture_logs() as logs:
        ticker.poll(1)
    assert asked[-1:] == [1]
    assert [line["event"] for line in logs] == ["ticker callback failed"]


def test_a_deadline_is_met_at_the_first_beat_at_or_after_it(ticker):
    met = []
    for due_ns in (3 * BEAT_NS, 3 * BEAT_NS + 1, 2 * BEAT_NS):
        ticker.at(due_ns, lambda due_ns=due_ns: met.append(due_ns))
    ticker.beat(2 * BEAT_NS - 1)
    assert met == []
    ticker.beat(2 * BEAT_NS)
    assert met == [2 * BEAT_NS]
    ticker.beat(3 * BEAT_NS)
    assert met == [2 * BEAT_NS, 3 * BEAT_NS]
    beats(ticker, 4, 9)
    assert met == [2 * BEAT_NS, 3 * BEAT_NS, 3 * BEAT_NS + 1]


def test_deadlines_of_one_time_are_met_in_the_order_they_were_set(ticker):
    met = []
    for name in "abc":
        ticker.at(BEAT_NS, lambda name=name: met.append(name))
    ticker.beat(BEAT_NS)
    assert met == ["a", "b", "c"]


def test_what_sets_itself_again_is_met_once_a_beat(ticker):
    """A beat may come a little before its time, so that "now" is still due in it."""
    met = []

    def again() -> None:
        met.append(1)
        if len(met) < 10:
            ticker.at(BEAT_NS - 1, again)

    ticker.at(BEAT_NS, again)
    beats(ticker, 1, 3)
    assert len(met) == 3


def test_a_deadline_may_cancel_another_of_the_same_beat(ticker):
    met = []

    def first() -> None:
        second.cancel()

    ticker.at(BEAT_NS, first)
    second = ticker.at(BEAT_NS, lambda: met.append("second"))
    ticker.at(BEAT_NS, lambda: met.append("third"))
    ticker.beat(BEAT_NS)
    assert met == ["third"]


def test_a_cancelled_deadline_is_never_met(ticker):
    met = []
    kept, dropped = (ticker.at(BEAT_NS, lambda name=name: met.append(name)) for name in "ab")
    dropped.cancel()
    dropped.cancel()
    ticker.beat(BEAT_NS)
    kept.cancel()
    ticker.beat(2 * BEAT_NS)
    assert met == ["a"]


def test_a_player_plays_each_beat_until_it_is_removed(ticker):
    player = Player()
    ticker.add_player(player)
    ticker.add_player(player)
    beats(ticker, 1, 5)
    ticker.remove_player(player)
    ticker.remove_player(player)
    beats(ticker, 6, 9)
    assert player.frames == 5


def test_a_player_may_remove_itself_and_others_while_it_plays(ticker):
    one, other = Player(), Player()

    class Last:
        def play(self) -> None:
            for player in (self, one, other):
                ticker.remove_player(player)

    ticker.add_player(Last())
    ticker.add_player(one)
    ticker.add_player(other)
    ticker.beat(BEAT_NS)
    before = (one.frames, other.frames)
    beats(ticker, 2, 5)
    assert (one.frames, other.frames) == before


@pytest.mark.parametrize("slot", [0, 7, 49, 57, -1])
def test_a_duty_comes_once_a_second_at_its_slot(ticker, slot):
    told = []
    ticker.add_duty(slot, told.append)
    beats(ticker, 1, 3 * BEATS_PER_SECOND)
    beat_of_second = [at_ns // BEAT_NS % BEATS_PER_SECOND for at_ns in told]
    assert beat_of_second == [slot % BEATS_PER_SECOND] * 3
    ticker.remove_duty(slot, told.append)
    ticker.remove_duty(slot, told.append)
    beats(ticker, 1, BEATS_PER_SECOND)
    assert len(told) == 3


def test_no_fault_stops_what_others_wait_for(ticker):
    """Each kind of duty fails; whatever comes after it is served all the same."""
    player, met, told = Player(), [], []
    ticker.add_player(Broken())
    ticker.add_player(player)
    ticker.at(0, broken)
    ticker.at(0, lambda: met.append(True))
    ticker.add_duty(1, broken)
    ticker.add_duty(1, told.append)
    with capture_logs() as logs:
        beats(ticker, 1, 2)
    assert (player.frames, met, told) == (2, [True], [BEAT_NS])
    assert [line["event"] for line in logs] == ["ticker callback failed"] * 4


# On a loop, whose time is virtual.


async def test_beats_come_every_20_ms_whatever_they_take():
    loop = virtual_loop()
    ticker, at = Ticker(loop.clock_ns), []

    class Slow:
        def play(self) -> None:
            at.append(loop.now_ns)
            loop.now_ns += 7_000_000

    ticker.add_player(Slow())
    started_ns = loop.now_ns
    ticker.start()
    await asyncio.sleep(1.01)
    ticker.stop()
    assert len(at) == 50
    late = [ns - started_ns - n * BEAT_NS for n, ns in enumerate(at, start=1)]
    assert max(late) < 1_000_000, "a beat's own time moves the next one"


async def test_those_that_are_due_are_asked_each_2_5_ms_and_the_patient_each_10():
    loop = virtual_loop()
    ticker = Ticker(loop.clock_ns)
    patient, changeable = Waiter(0, POLL_NS), Waiter(0, POLL_NS)
    asked: list[list[int]] = [[], []]
    ticker.add_waiter(patient, Polled(asked[0].append))
    ticker.add_waiter(changeable, Polled(asked[1].append))
    ticker.start()

    async def gaps() -> tuple[set[int], ...]:
        await asyncio.sleep(0.02)
        for times in asked:
            times.clear()
        await asyncio.sleep(0.2)
        return tuple({round((b - a) / 5e5) for a, b in pairwise(times)} for times in asked)

    polls, urgent = POLL_NS // 500_000, URGENT_NS // 500_000
    assert await gaps() == ({polls}, {polls})
    changeable.tick_ns = PACKETS.tick_ns
    assert await gaps() == ({polls}, {urgent})
    changeable.tick_ns = POLL_NS
    assert await gaps() == ({polls}, {polls})
    changeable.tick_ns = STREAM.tick_ns
    await gaps()
    ticker.remove_waiter(changeable)
    asked[1].clear()
    assert await gaps() == ({polls}, set())
    ticker.stop()


@pytest.mark.parametrize("ahead_ns", range(POLL_NS, 4 * POLL_NS, 300_000))
async def test_a_deadline_that_is_set_a_poll_ahead_is_met_within_the_tick(ahead_ns):
    loop = virtual_loop()
    ticker, asked = Ticker(loop.clock_ns), []
    waiter = Waiter(NEVER_NS, STREAM.tick_ns)

    def ask(now_ns):
        asked.append(now_ns)
        waiter.deadline_ns = NEVER_NS

    ticker.add_waiter(waiter, Polled(ask))
    ticker.start()
    await asyncio.sleep(0.0501)
    waiter.deadline_ns = due_ns = loop.clock_ns() + ahead_ns
    await asyncio.sleep(0.1)
    ticker.stop()
    (at_ns,) = asked
    assert due_ns <= at_ns <= due_ns + STREAM.tick_ns


@pytest.mark.parametrize(
    ("tick_ns", "ahead_ns", "wakes"),
    [(POLL_NS, 0, 20), (STREAM.tick_ns, NEVER_NS, 20), (STREAM.tick_ns, 0, 80)],
    ids=["patient", "in time", "due"],
)
async def test_the_loop_is_woken_no_more_often_than_somebody_asks_for(
    monkeypatch, tick_ns, ahead_ns, wakes
):
    loop = virtual_loop()
    ticker, timers = Ticker(loop.clock_ns), []
    call_later = loop.call_later

    def counted(*timer, **more):
        timers.append(timer)
        return call_later(*timer, **more)

    ticker.add_waiter(Waiter(ahead_ns, tick_ns), Polled(lambda _: None))
    ticker.start()
    await asyncio.sleep(0.0201)
    monkeypatch.setattr(loop, "call_later", counted)
    await asyncio.sleep(0.2)
    monkeypatch.undo()
    ticker.stop()
    assert len(timers) - 1 == wakes, "one is the test's own"


async def test_who_begins_to_wait_beside_nobody_is_polled_as_among_others():
    loop = virtual_loop()
    ticker, asked = Ticker(loop.clock_ns), []
    ticker.start()
    # Between two beats, so that only a poll of its own series can come in time.
    await asyncio.sleep(0.1031)
    waiter = Waiter(loop.now_ns, POLL_NS)
    begun_ns = loop.now_ns
    ticker.add_waiter(waiter, Polled(asked.append))
    await asyncio.sleep(0.1)
    ticker.stop()
    assert 0 < asked[0] - begun_ns <= POLL_NS + 500_000
    assert {round((b - a) / 1e6) for a, b in pairwise(asked)} == {10}


async def test_where_nobody_waits_the_loop_is_woken_for_beats_alone(monkeypatch):
    loop = virtual_loop()
    ticker, timers = Ticker(loop.clock_ns), []
    waiter = Waiter(NEVER_NS, STREAM.tick_ns)
    ticker.start()
    ticker.add_waiter(waiter, Polled(broken))
    await asyncio.sleep(0.1)
    ticker.remove_waiter(waiter)
    await asyncio.sleep(0.0301)
    call_later = loop.call_later

    def counted(*timer, **more):
        timers.append(timer)
        return call_later(*timer, **more)

    monkeypatch.setattr(loop, "call_later", counted)
    await asyncio.sleep(0.2)
    monkeypatch.undo()
    ticker.stop()
    assert len(timers) - 1 == 10, "one is the test's own"


async def test_what_has_arrived_is_taken_before_anybody_is_asked():
    """After a stall of the loop frames wait in its sockets: they are not late."""
    loop = virtual_loop()
    ticker, order = Ticker(loop.clock_ns), []
    ticker.add_waiter(Waiter(0, POLL_NS), Polled(lambda _: order.append("asked")))
    ticker.start()
    loop.call_later(POLL_NS / 1e9, lambda: loop.call_soon(order.append, "arrived"))
    await asyncio.sleep(POLL_NS / 1e9 + 0.001)
    assert order[:2] == ["arrived", "asked"]
    ticker.stop()
    asked = len(order)
    await asyncio.sleep(0.1)
    assert len(order) == asked


async def test_what_the_loop_does_not_read_by_itself_is_read_before_anybody_is_asked():
    loop = virtual_loop()
    order = []
    ticker = Ticker(loop.clock_ns, lambda: order.append("read"))
    ticker.add_waiter(Waiter(0, URGENT_NS), Polled(lambda _: order.append("asked")))
    ticker.start()
    await asyncio.sleep(3 * POLL_NS / 1e9 + 0.001)
    ticker.stop()
    assert len(order) >= 8
    assert order == ["read", "asked"] * (len(order) // 2)


async def test_between_duties_of_one_beat_the_loop_reads_what_has_arrived():
    loop = virtual_loop()
    ticker, order = Ticker(loop.clock_ns), []
    duties = [lambda _, name=name: order.append(name) for name in range(3 * DUTY_PARTS)]
    for duty in duties:
        ticker.add_duty(1, duty)

    def read() -> None:
        order.append("read")
        if len(order) < 100:
            loop.call_soon(read)

    ticker.add_duty(1, lambda _: ticker.remove_duty(1, duties[0]))
    ticker.add_waiter(Waiter(NEVER_NS, POLL_NS), Polled(broken))
    ticker.start()
    loop.call_later(BEAT_NS / 1e9, read)
    await asyncio.sleep(BEAT_NS / 1e9 + 0.001)
    ticker.stop()
    served = [name for name in order if name != "read"]
    assert sorted(served) in (list(range(3 * DUTY_PARTS)), list(range(1, 3 * DUTY_PARTS)))
    kinds = ["read" if name == "read" else "duty" for name in order]
    runs = [len(list(run)) for kind, run in groupby(kinds) if kind == "duty"]
    assert max(runs) <= 4
    assert len(runs) <= DUTY_PARTS


async def test_duties_that_a_stall_has_left_are_made_up_for_before_the_next():
    loop = virtual_loop()
    ticker, told = Ticker(loop.clock_ns), []

    def note(slot, part, _now_ns):
        told.append((slot, part))

    for slot in (1, 2, 3):
        for part in range(2 * DUTY_PARTS):
            ticker.add_duty(slot, partial(note, slot, part))
    ticker.start()
    loop.now_ns += 3 * BEAT_NS
    await asyncio.sleep(0.001)
    ticker.stop()
    assert [slot for slot, _ in told] == [slot for slot in (1, 2, 3) for _ in range(16)]
    assert len(set(told)) == 48


async def test_a_short_stall_is_made_up_for_and_a_long_one_forgotten():
    loop = virtual_loop()
    ticker, player = Ticker(loop.clock_ns), Player()
    ticker.add_player(player)
    ticker.start()
    await asyncio.sleep(0.1)
    assert player.frames == 5
    loop.now_ns += 8 * BEAT_NS
    await asyncio.sleep(0.001)
    assert player.frames == 13
    loop.now_ns += 500 * BEAT_NS
    await asyncio.sleep(0.001)
    assert 13 + 10 <= player.frames <= 13 + 12, "as many as were missed, up to ten"
    before = player.frames
    await asyncio.sleep(1)
    ticker.stop()
    assert player.frames - before == 50


async def test_lag_is_the_worst_of_the_last_while_whoever_asks():
    loop = virtual_loop()
    ticker = Ticker(loop.clock_ns)
    ticker.start()
    await asyncio.sleep(0.1)
    assert ticker.lag_ns_max() < 1_000_000
    loop.now_ns += 70_000_000
    await asyncio.sleep(0.5)
    for _ in range(2):
        assert 50_000_000 <= ticker.lag_ns_max() <= 70_000_000
    loop.now_ns += 2 * LAG_WINDOW_NS
    ticker.stop()
    assert ticker.lag_ns_max() == 0


async def test_a_stopped_heart_beats_no_more():
    loop = virtual_loop()
    ticker, player = Ticker(loop.clock_ns), Player()
    ticker.add_player(player)
    ticker.stop()
    ticker.start()
    await asyncio.sleep(0.05)
    ticker.stop()
    await asyncio.sleep(1)
    assert player.frames == 2


@pytest.fixture
def peak():
    return RecentPeak(10)


def test_reading_hides_nothing_from_other_readers(peak):
    peak.note(7, 101)
    assert [peak.read(102) for _ in range(2)] == [7, 7]


def test_a_peak_is_kept_for_its_window_and_the_next(peak):
    peak.note(7, 109)
    assert [peak.read(at) for at in (109, 110)] == [7, 7]
    peak.note(3, 112)
    assert peak.read(119) == 7
    assert [peak.read(at) for at in (120, 129, 130)] == [3, 3, 0]


def test_a_lower_value_hides_no_higher_one(peak):
    for value in (2, 7, 5):
        peak.note(value, 100)
    assert peak.read(100) == 7


def test_nobody_need_read_or_note_in_between(peak):
    peak.note(7, 100)
    assert peak.read(120) == 0
    peak.note(1, 155)
    assert peak.read(155) == 1


MS = 1_000_000
LOOK_NS = 20 * MS


def test_a_process_that_runs_has_read_all_that_came():
    backlog = Backlog(0)
    for now_ns in range(0, 10 * READING_NS, STANDSTILL_NS):
        assert backlog.read_until(now_ns) == now_ns


def test_after_a_standstill_all_is_read_up_to_its_beginning():
    backlog, now_ns = Backlog(0), 1_000 * MS
    for begun_ns in range(0, now_ns + 1, LOOK_NS):
        backlog.read_until(begun_ns)
    woken_ns = now_ns + 12_000 * MS
    for later_ns in range(woken_ns, woken_ns + READING_NS, LOOK_NS):
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
