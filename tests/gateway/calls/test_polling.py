"""Whom a node asks the carrier about, and how often: the clock is an argument."""

import asyncio

import pytest

from gateway.calls.polling import (
    INTERVAL_BEATS,
    POLLS_AT_ONCE_MAX,
    POLLS_PER_LOOK,
    QUIET_NS,
    Polling,
)
from gateway.heartbeat.ticker import BEAT_NS

SECOND_NS = 1_000_000_000
LOOK_NS = INTERVAL_BEATS * BEAT_NS


class Call:
    """A call that is asked for, and never heard of otherwise."""

    def __init__(self):
        self.news_ns = 0
        self.wants_news = True
        self.polls = 0
        self.takes_s = 0.0

    async def poll(self):
        self.polls += 1
        await asyncio.sleep(self.takes_s)


class World:
    """A node that looks as often as it does, in time of its own."""

    def __init__(self, count):
        self.tasks = []
        self.polling = Polling(lambda work: self.tasks.append(asyncio.ensure_future(work)))
        self.calls = [Call() for _ in range(count)]
        for call in self.calls:
            self.polling.add(call)
        self.now_ns = 0
        self.worst_ns = 0

    async def run(self, seconds):
        end_ns = self.now_ns + seconds * SECOND_NS
        while self.now_ns < end_ns:
            self.now_ns += LOOK_NS
            self.polling.look(self.now_ns)
            await asyncio.sleep(0)
            oldest_ns = min((call.news_ns for call in self.calls), default=self.now_ns)
            self.worst_ns = max(self.worst_ns, self.now_ns - oldest_ns)

    @property
    def asked(self):
        return sum(call.polls for call in self.calls)


@pytest.mark.parametrize("count", [1, 10, 60])
async def test_each_is_asked_for_as_soon_as_it_is_quiet(count):
    world = World(count)
    await world.run(60)
    assert world.worst_ns <= QUIET_NS + SECOND_NS * count / 20 + LOOK_NS


@pytest.mark.parametrize("count", [1, 100, 5_000])
async def test_the_rate_is_bounded_whatever_the_number_of_calls(count):
    world = World(count)
    await world.run(30)
    assert world.asked <= 30 * SECOND_NS / LOOK_NS * POLLS_PER_LOOK
    assert POLLS_PER_LOOK * SECOND_NS / LOOK_NS == 20


async def test_of_many_each_gets_its_turn():
    world = World(200)
    await world.run(63)
    assert {call.polls for call in world.calls} <= {5, 6, 7}


async def test_a_hundred_calls_are_known_within_eight_seconds():
    world = World(100)
    await world.run(60)
    assert world.worst_ns <= 8 * SECOND_NS


async def test_news_and_those_who_want_none_are_left_alone():
    world = World(2)
    world.calls[0].wants_news = False
    for _ in range(20):
        world.calls[1].news_ns = world.now_ns
        await world.run(1)
    assert world.asked == 0


async def test_who_is_gone_is_not_asked_for():
    world = World(1)
    world.polling.remove(world.calls[0])
    world.polling.remove(world.calls[0])
    await world.run(10)
    assert world.asked == 0


async def test_a_carrier_that_hangs_is_asked_for_so_many_at_once():
    world = World(100)
    for call in world.calls:
        call.takes_s = 1_000_000
    await world.run(60)
    assert world.asked == POLLS_AT_ONCE_MAX
    for task in world.tasks:
        task.cancel()
    await asyncio.gather(*world.tasks, return_exceptions=True)
    for call in world.calls:
        call.takes_s = 0
    await world.run(10)
    assert world.asked > POLLS_AT_ONCE_MAX, "it is asked again once it answers"
