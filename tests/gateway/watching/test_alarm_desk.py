"""Who tells of alarms, and how often: several processes, one store, one clock of the test's."""

import msgspec
import pytest

from database.errors import StoreUnavailableError
from gateway.watching.alarm_desk import (
    REMINDED_S,
    SETTLING_S,
    STALE_S,
    AlarmDesk,
    AlarmOrder,
    Duty,
)
from gateway.watching.alarms import STORE_AWAY, Figures
from tests.gateway.watching.watched import LOST, WELL, country_of, figures_of, node_of

NOW_S = 1_700_000_000.0
HELD_S = 2 * STALE_S
NAME = "node_lost:n2"
AWAY = f"{STORE_AWAY}:"


class Clock:
    def __init__(self):
        self.now_s = NOW_S

    def __call__(self):
        return self.now_s


class Store:
    """What all processes share, and each process's way to it."""

    def __init__(self, clock):
        self.clock = clock
        self.holder, self.until_s = "", 0.0
        self.alarms, self.orders = None, {}
        self.is_away = False

    def empty(self):
        """Lose everything."""
        self.holder, self.alarms, self.orders = "", None, {}

    def say(self, kind, name=NAME, seconds=None):
        now_s = self.clock.now_s
        until_s = None if seconds is None else now_s + seconds
        self.orders[name] = AlarmOrder(
            name=name, kind=kind, until_s=until_s, by="key k1", reason="repair", at_s=now_s
        )


class Process:
    """A process that looks for alarms."""

    def __init__(self, name, store, figures=WELL):
        self.name, self.store, self.figures = name, store, figures
        self.told, self.shown, self.on_its_way = [], [], []
        self.mails_leave = self.reaches_store = True
        self.on_read = lambda: None
        self.desk = AlarmDesk(self, lambda: self.figures, self.tell, self.show, store.clock)

    def tell(self, change, *, is_reminder, on_sent):
        kind = "over" if change.is_over else "reminder" if is_reminder else "raised"
        if self.mails_leave:
            self.told.append((kind, change.alarm.name))
            if on_sent is not None:
                on_sent()
        else:
            self.on_its_way.append(((kind, change.alarm.name), on_sent))

    def show(self, alarms, orders):
        self.shown = [alarm.name for alarm in alarms]

    def mails_left(self):
        for told, on_sent in self.on_its_way:
            self.told.append(told)
            if on_sent is not None:
                on_sent()
        self.on_its_way = []

    def _reach(self):
        if self.store.is_away or not self.reaches_store:
            raise StoreUnavailableError("away")
        return self.store

    async def hold(self):
        store = self._reach()
        is_held = store.holder and store.clock.now_s < store.until_s
        if is_held and store.holder != self.name:
            return Duty.OTHERS
        store.holder, store.until_s = self.name, store.clock.now_s + HELD_S
        return Duty.KEPT if is_held else Duty.TAKEN

    async def read(self):
        store = self._reach()
        found = store.alarms, dict(store.orders)
        self.on_read()
        return found

    async def write(self, alarms):
        self._reach().alarms = list(alarms)

    async def forget(self, names):
        for name in names:
            self._reach().orders.pop(name, None)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(clock):
    return Store(clock)


async def run(processes, seconds, figures=None):
    """Let processes look once a second, in turn."""
    for _ in range(int(seconds)):
        for process in processes:
            if figures is not None:
                process.figures = figures
            await process.desk.look()
        processes[0].store.clock.now_s += 1


async def settled(*processes):
    await run(processes, SETTLING_S + 1, WELL)
    return processes


def told(*processes):
    return [each for process in processes for each in process.told]


async def test_one_process_tells_once_when_it_begins_and_once_when_it_is_over(store):
    one, two = await settled(Process("one", store), Process("two", store))
    await run([one, two], 60, LOST)
    assert told(one, two) == [("raised", NAME)]
    assert one.shown == two.shown == [NAME]
    await run([one, two], 60, WELL)
    assert (one.told, two.told) == ([("raised", NAME), ("over", NAME)], [])
    assert one.shown == two.shown == []
    assert store.alarms == []


async def test_a_process_that_starts_while_things_are_bad_judges_them_after_ten_seconds(store):
    one = Process("one", store)
    await run([one], SETTLING_S, LOST)
    assert one.told == []
    await run([one], 5, LOST)
    assert one.told == [("raised", NAME)]


async def test_a_clock_that_is_set_back_while_a_process_settles_begins_the_wait_again(store):
    one = Process("one", store, figures_of(node_of(lag_ms=900.0)))
    await run([one], 5)
    store.clock.now_s -= 3600
    await run([one], SETTLING_S)
    assert one.told == []
    await run([one], 1)
    assert one.told == [("raised", "loop_lag:n1")]


async def test_who_takes_over_a_killed_process_s_duty_tells_nothing_twice_and_what_is_new(store):
    one, two = await settled(Process("one", store), Process("two", store))
    await run([one, two], 10, LOST)
    # Killed: it looks no more.
    await run([two], HELD_S + 5, LOST)
    assert two.told == []
    worse = figures_of(node_of("n2", is_lost=True), node_of("n3", is_lost=True))
    await run([two], 10, worse)
    assert two.told == [("raised", "node_lost:n3")]
    await run([two], 10, WELL)
    assert set(two.told[1:]) == {("over", NAME), ("over", "node_lost:n3")}


async def test_what_begins_while_nobody_has_the_duty_is_told_once_by_the_next(store):
    one, two = await settled(Process("one", store), Process("two", store))
    await run([two], HELD_S + 10, LOST)
    assert told(one, two) == [("raised", NAME)]
    await run([one, two], 20, LOST)
    assert told(one, two) == [("raised", NAME)]


async def test_a_holder_that_stood_still_goes_on_from_what_the_other_has_told(store):
    one, two = await settled(Process("one", store), Process("two", store))
    # One stands still; two takes over, tells, is killed; one comes back to a duty nobody has.
    await run([two], HELD_S + 10, LOST)
    store.clock.now_s += HELD_S + 1
    await run([one], 20, LOST)
    assert told(one, two) == [("raised", NAME)]
    await run([one], 20, WELL)
    assert (two.told, one.told) == ([("raised", NAME)], [("over", NAME)])


async def test_a_holder_that_stands_still_after_it_was_given_the_duty_tells_nothing(store):
    one, two = await settled(Process("one", store), Process("two", store))
    one.figures = LOST
    await run([one], 3)

    def stand_still():
        one.on_read = lambda: None
        store.clock.now_s += HELD_S + 1
        two.figures = LOST

    one.on_read = stand_still
    await one.desk.look()
    written = store.alarms
    assert (one.told, one.shown) == ([], [])
    await run([two], 5)
    await run([one, two], 20, LOST)
    assert written == []
    assert told(one, two) == [("raised", NAME)]


async def test_one_that_cannot_reach_the_store_for_a_moment_tells_nothing_of_its_own(store):
    one, two = await settled(Process("one", store), Process("two", store))
    for _ in range(4):
        two.reaches_store = False
        await run([one, two], 3, LOST)
        two.reaches_store = True
        await run([one, two], 3, LOST)
    assert told(one, two) == [("raised", NAME)]
    two.reaches_store = False
    await run([one, two], 9, WELL)
    assert told(one, two) == [("raised", NAME), ("over", NAME)]
    assert two.told == []


async def away_for(processes, seconds):
    """Let the store be away: nobody is heard, and what nodes last said is old."""
    store = processes[0].store
    store.is_away = True
    for second in range(seconds):
        old = figures_of(node_of("n2", is_lost=True, lag_ms=900.0), away_s=float(second))
        await run(processes, 1, old)
    store.is_away = False


async def test_that_the_store_is_away_each_process_tells_once_and_when_it_is_over(store):
    one, two = await settled(Process("one", store), Process("two", store))
    await away_for([one, two], 300)
    assert one.told == two.told == [("raised", AWAY)]
    assert one.shown == two.shown == [AWAY]
    # It answers before anybody is heard.
    await run([one, two], 3, figures_of(away_s=301.0))
    assert one.told == two.told == [("raised", AWAY)]
    await run([one, two], 60, WELL)
    assert one.told == two.told == [("raised", AWAY), ("over", AWAY)]
    assert store.alarms == []


async def test_when_the_store_is_back_it_takes_ten_seconds_until_the_rest_is_judged(store):
    (one,) = await settled(Process("one", store))
    await away_for([one], 60)
    # Those who have not spoken yet look lost.
    await run([one], 10, LOST)
    await run([one], 60, WELL)
    assert one.told == [("raised", AWAY), ("over", AWAY)]
    await run([one], 5, LOST)
    assert one.told[2:] == [("raised", NAME)]


async def test_an_outage_too_short_to_be_told_tells_nothing(store):
    one, two = await settled(Process("one", store), Process("two", store))
    await away_for([one, two], 9)
    await run([one, two], 60, WELL)
    assert told(one, two) == []


async def test_an_alarm_that_stood_before_an_outage_is_not_told_again_after_it(store):
    one, two = await settled(Process("one", store), Process("two", store))
    await run([one, two], 10, LOST)
    await away_for([one, two], 60)
    await run([two, one], 60, LOST)
    assert told(one, two).count(("raised", NAME)) == 1
    await run([two, one], 60, WELL)
    assert told(one, two).count(("over", NAME)) == 1


@pytest.mark.parametrize("is_holder_first", [True, False])
async def test_an_emptied_store_makes_nobody_tell_again(store, is_holder_first):
    one, two = await settled(Process("one", store), Process("two", store))
    await run([one, two], 10, LOST)
    store.empty()
    order = [one, two] if is_holder_first else [two, one]
    await run(order, 60, LOST)
    assert told(one, two) == [("raised", NAME)]
    await run(order, 60, WELL)
    assert told(one, two) == [("raised", NAME), ("over", NAME)]


async def test_a_store_that_was_put_back_to_an_older_state_tells_at_most_once_more(store):
    one, two = await settled(Process("one", store), Process("two", store))
    await run([one, two], 10, LOST)
    store.holder, store.alarms = "", []
    await run([two, one], 60, LOST)
    assert told(one, two) in ([("raised", NAME)], [("raised", NAME)] * 2)
    await run([two, one], 60, WELL)
    assert told(one, two).count(("over", NAME)) == 1


async def test_the_duty_that_goes_to_and_fro_tells_nothing_twice(store):
    one, two = await settled(Process("one", store), Process("two", store))
    for number in range(20):
        store.holder = ""
        await run([one, two] if number % 2 else [two, one], 6, LOST)
    assert told(one, two) == [("raised", NAME)]
    assert {one.name, two.name} >= {store.holder}


async def test_a_mail_that_has_not_left_when_its_process_is_killed_is_told_by_the_next(store):
    one, two = await settled(Process("one", store), Process("two", store))
    one.mails_leave = False
    await run([one, two], 10, LOST)
    assert [each[0] for each in one.on_its_way] == [("raised", NAME)]
    await run([two], HELD_S + 5, LOST)
    assert two.told == [("raised", NAME)]
    await run([two], 30, LOST)
    assert len(two.told) == 1


async def test_a_mail_that_takes_long_is_not_made_again_and_its_end_follows(store):
    (one,) = await settled(Process("one", store))
    one.mails_leave = False
    await run([one], 600, LOST)
    assert len(one.on_its_way) == 1
    assert store.alarms[0].told_s is None
    one.mails_left()
    await run([one], 1, LOST)
    assert store.alarms[0].told_s == store.clock.now_s - 1
    await run([one], 10, WELL)
    assert [each[0] for each in one.on_its_way] == [("over", NAME)]
    # Over before anybody heard of it: both go.
    await run([one], 10, LOST)
    await run([one], 10, WELL)
    one.mails_left()
    assert one.told == [("raised", NAME), ("over", NAME)] * 2


async def test_it_is_told_again_every_four_hours_unless_somebody_is_at_it(store, clock):
    (one,) = await settled(Process("one", store))
    await run([one], 4, LOST)
    for count in (1, 2, 3):
        clock.now_s = store.alarms[0].told_s + REMINDED_S - 5
        await run([one], 5, LOST)
        assert one.told.count(("reminder", NAME)) == count - 1
        await run([one], 10, LOST)
        assert one.told.count(("reminder", NAME)) == count
    store.say("acknowledged")
    clock.now_s += 3 * REMINDED_S
    await run([one], 5, LOST)
    assert one.told.count(("reminder", NAME)) == 3
    await run([one], 10, WELL)
    assert one.told[-1] == ("over", NAME)


async def test_a_clock_that_is_set_tells_at_most_once_more_and_never_keeps_silent(store, clock):
    (one,) = await settled(Process("one", store))
    await run([one], 10, LOST)
    clock.now_s -= 30
    await run([one], 60, LOST)
    assert len(one.told) == 1
    clock.now_s -= 400 * 86_400
    await run([one], 60, LOST)
    assert one.told[1:] == [("reminder", NAME)]
    clock.now_s += REMINDED_S
    await run([one], 5, LOST)
    assert one.told[1:] == [("reminder", NAME)] * 2


async def test_acknowledged_then_over_then_raised_again_rings_again(store):
    (one,) = await settled(Process("one", store))
    await run([one], 5, LOST)
    store.say("acknowledged")
    await run([one], 5, LOST)
    assert NAME in store.orders
    await run([one], 10, WELL)
    assert store.orders == {}
    await run([one], 5, LOST)
    assert one.told == [("raised", NAME), ("over", NAME), ("raised", NAME)]


async def test_what_is_silenced_is_told_neither_when_it_begins_nor_when_it_ends(store):
    (one,) = await settled(Process("one", store))
    store.say("silenced", seconds=300)
    await run([one], 100, LOST)
    assert (one.told, one.shown) == ([], [NAME])
    await run([one], 100, WELL)
    assert (one.told, one.shown) == ([], [])
    store.say("silenced", seconds=300)
    await run([one], 5, WELL)
    assert NAME in store.orders


async def test_a_silence_that_runs_out_tells_what_stands_once_and_is_forgotten(store):
    (one,) = await settled(Process("one", store))
    store.say("silenced", seconds=60)
    await run([one], 58, LOST)
    assert one.told == []
    await run([one], 60, LOST)
    assert one.told == [("raised", NAME)]
    assert store.orders == {}
    await run([one], 10, WELL)
    assert one.told == [("raised", NAME), ("over", NAME)]


async def test_what_is_silenced_once_it_was_told_ends_in_silence(store):
    (one,) = await settled(Process("one", store))
    await run([one], 5, LOST)
    store.say("silenced", seconds=60)
    await run([one], 30, WELL)
    assert one.told == [("raised", NAME)]


async def test_that_the_store_is_away_can_be_silenced_before(store):
    (one,) = await settled(Process("one", store))
    store.say("silenced", AWAY, seconds=3600)
    await run([one], 2, WELL)
    await away_for([one], 60)
    await run([one], 30, WELL)
    assert one.told == []


async def test_an_error_that_repeats_rings_once_for_as_long_as_it_does(store):
    (one,) = await settled(Process("one", store))
    for count in range(1, 200):
        await run([one], 20, figures_of(errors={"it broke": count}))
    assert one.told == [("raised", "errors:it broke")]


@pytest.mark.thorough
async def test_a_flood_of_changes_is_told_change_by_change_and_no_more(store):
    (one,) = await settled(Process("one", store))
    many = figures_of(countries=[country_of(f"C{n}", failed=90) for n in range(10_000)])
    await run([one], 40, many)
    assert len(one.told) == len(set(one.told)) == len(store.alarms) == 200


async def test_what_others_have_written_is_judged_like_anything_else(store):
    (one,) = await settled(Process("one", store))
    await run([one], 5, LOST)
    forged = msgspec.structs.replace(store.alarms[0], subject="n9\r\nBcc: x", told_s=NOW_S)
    two = Process("two", store)
    store.holder, store.alarms = "", [forged] * 1000
    await run([two], 60, WELL)
    assert two.told == [("over", "node_lost:n9\r\nBcc: x")]
    assert store.alarms == []


async def test_a_look_that_fails_by_a_bug_leaves_the_next_one_to_work(store):
    (one,) = await settled(Process("one", store))
    one.figures = None
    for _ in range(3):
        with pytest.raises(AttributeError):
            await one.desk.look()
    assert isinstance(WELL, Figures)
    await run([one], 5, LOST)
    assert one.told == [("raised", NAME)]
