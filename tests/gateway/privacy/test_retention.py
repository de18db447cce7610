"""One process a day forgets what is too old, in batches, and gives way to everybody else."""

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from database.errors import StoreUnavailableError
from gateway.nanoseconds import SECOND_NS
from gateway.privacy.retention import EVERY, PAUSE_S_MIN, RENEWED_EVERY_NS, Retention


class World:
    """Sweeps that take a second a batch, and a duty that somebody may take away."""

    kinds = ("calls", "devices")

    def __init__(self, **due):
        self.left = {"calls": 0, "devices": 0} | due
        self.now_ns = 0
        self.took_ns = SECOND_NS
        self.pauses = []
        self.taken = 0
        self.takes_max = 99
        self.is_due_now = True
        self.finished = 0
        self.batches = []

    async def due(self, kind):
        return self.left[kind]

    async def sweep(self, kind):
        count = min(5, self.left[kind])
        self.left[kind] -= count
        self.now_ns += self.took_ns
        return count, count == 5

    async def is_due(self, name, every):
        assert (name, every) == ("retention", EVERY)
        return self.is_due_now

    async def take(self, name):
        self.taken += 1
        return self.taken <= self.takes_max

    async def done(self, name):
        self.finished += 1

    async def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now_ns += int(seconds * SECOND_NS)

    def retention(self):
        return Retention(
            self, self, lambda: self.now_ns, self.sleep, lambda *each: self.batches.append(each)
        )


async def test_all_kinds_are_swept_until_nothing_is_left():
    world = World(calls=12, devices=5)
    assert await world.retention().run() == {"calls": 12, "devices": 5}
    assert world.batches == [
        ("calls", 5),
        ("calls", 5),
        ("calls", 2),
        ("devices", 5),
        ("devices", 0),
    ]
    assert world.finished == 1


async def test_each_batch_is_followed_by_a_pause_as_long_as_it_took():
    world = World(calls=10)
    await world.retention().run()
    assert world.pauses == [1.0, 1.0]
    world = World(calls=1)
    world.took_ns = 1
    await world.retention().run()
    assert world.pauses == [PAUSE_S_MIN]


async def test_the_duty_is_done_when_it_is_due_and_by_one_process():
    world = World(calls=5)
    world.is_due_now = False
    await world.retention().round()
    assert (world.left["calls"], world.taken) == (5, 0)
    world.is_due_now, world.takes_max = True, 0
    await world.retention().round()
    assert (world.left["calls"], world.finished) == (5, 0)
    assert await world.retention().run() is None


async def test_a_long_run_renews_its_lease_and_ends_when_it_is_lost():
    world = World(calls=200)
    assert await world.retention().run() == {"calls": 200, "devices": 0}
    run_ns = world.now_ns
    assert world.taken == 1 + run_ns // (RENEWED_EVERY_NS + SECOND_NS)
    lost = World(calls=200)
    lost.takes_max = 1
    assert await lost.retention().run() is None
    assert (lost.finished, lost.left["calls"]) == (0, 200 - 5 * 16)


async def test_what_breaks_off_is_taken_up_again():
    world = World(calls=12)

    async def broken(kind):
        if world.left["calls"] < 10:
            raise StoreUnavailableError("away")
        return await World.sweep(world, kind)

    world.sweep = broken
    with pytest.raises(StoreUnavailableError):
        await world.retention().run()
    assert world.finished == 0
    del world.sweep
    assert await world.retention().run() == {"calls": 7, "devices": 0}


async def test_a_kind_that_cannot_be_forgotten_keeps_no_other_from_it():
    world = World(calls=3, devices=2)

    async def faulty(kind):
        if kind == "calls":
            raise KeyError("a fault")
        return await World.sweep(world, kind)

    world.sweep = faulty
    with capture_logs() as lines:
        assert await world.retention().run() == {"calls": 0, "devices": 2}
    assert ("old data not forgotten", "calls") in {
        (line["event"], line.get("kind")) for line in lines
    }
    assert world.finished == 1


def test_the_duty_is_a_daily_one():
    assert timedelta(days=1) == EVERY
