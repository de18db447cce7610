"""The moment of an answer: the same whatever was done, and whatever came of it."""

import asyncio

import pytest

from gateway.nanoseconds import SECOND_NS
from gateway.people.answer_moment import ANSWER_AFTER_NS, AnswerMoment


class Time:
    """A clock that only sleep and work move."""

    def __init__(self):
        self.now_ns = 7 * SECOND_NS
        self.slept = 0

    def clock_ns(self):
        return self.now_ns

    async def sleep(self, seconds):
        self.slept += 1
        self.now_ns += round(seconds * SECOND_NS)


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def moment(time):
    return AnswerMoment(time.clock_ns, time.sleep)


@pytest.mark.parametrize("work_ns", [0, 4_200_000, 9_200_000, ANSWER_AFTER_NS - 1])
async def test_an_answer_leaves_at_the_same_moment_however_long_it_took(time, moment, work_ns):
    begun_ns = time.now_ns
    async with moment.fixed():
        time.now_ns += work_ns
    assert time.now_ns - begun_ns == ANSWER_AFTER_NS


async def test_a_refusal_leaves_at_that_moment_too(time, moment):
    begun_ns = time.now_ns
    with pytest.raises(ValueError, match="refused"):
        async with moment.fixed():
            raise ValueError("refused")
    assert time.now_ns - begun_ns == ANSWER_AFTER_NS


@pytest.mark.parametrize("over_ns", [0, 1, SECOND_NS])
async def test_what_took_longer_leaves_at_once(time, moment, over_ns):
    async with moment.fixed():
        time.now_ns += ANSWER_AFTER_NS + over_ns
    assert not time.slept


async def test_what_is_called_off_is_not_held_up(time, moment):
    with pytest.raises(asyncio.CancelledError):
        async with moment.fixed():
            raise asyncio.CancelledError
    assert not time.slept
