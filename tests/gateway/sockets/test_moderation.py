"""A busy loop rests once each pass, an idle one never."""

from __future__ import annotations

import asyncio

import pytest

from gateway.sockets.moderation import BUSY_SOCKETS, PERIOD_S, REST_S_MIN, Moderation


class Reader:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pace(self, paced: bool) -> None:
        self.told.append("paced" if paced else "free")

    def read(self) -> None:
        self.told.append("read")


class Time:
    """Passes while it is slept through, and where a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.rests: list[float] = []
        self.reader = Reader()

    def sleep(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now_s += seconds

    def moderation(self, sockets: set[int]) -> Moderation:
        return Moderation(sockets, self.reader, self.sleep, lambda: self.now_s)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def sockets() -> set[int]:
    return set(range(BUSY_SOCKETS))


async def passes(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_loop_with_few_sockets_never_rests(time, sockets):
    sockets.pop()
    moderation = time.moderation(sockets)
    for _ in range(3):
        moderation.judge()
        await passes(2)
    assert time.rests == []
    assert time.reader.told == []


async def test_a_loop_with_many_rests_once_a_pass_however_often_it_is_judged(time, sockets):
    moderation = time.moderation(sockets)
    for _ in range(3):
        moderation.judge()
    await passes(1)
    assert time.rests == pytest.approx([PERIOD_S])
    await passes(5)
    assert time.rests == pytest.approx([PERIOD_S] * 6)
    sockets.pop()
    await passes(5)
    assert len(time.rests) == 6


async def test_the_reader_reads_after_each_rest_until_the_loop_rests_no_more(time, sockets):
    moderation = time.moderation(sockets)
    moderation.judge()
    await passes(2)
    assert time.reader.told == ["paced", "read", "read"]
    time.now_s += PERIOD_S
    await passes(1)
    assert len(time.rests) == 2
    assert time.reader.told == ["paced", "read", "read", "read"], "with no rest left as well"
    sockets.pop()
    await passes(3)
    assert time.reader.told[4:] == ["free"]
    sockets.add(-1)
    moderation.judge()
    await passes(1)
    assert time.reader.told[5:] == ["paced", "read"]


@pytest.mark.parametrize("taken", [0.0, 0.3, 0.8])
async def test_a_rest_is_what_a_pass_has_left_of_the_period(time, sockets, taken):
    time.moderation(sockets).judge()
    await passes(1)
    time.now_s += taken * PERIOD_S
    await passes(1)
    assert time.rests[1:] == pytest.approx([(1 - taken) * PERIOD_S])


@pytest.mark.parametrize("left_s", [REST_S_MIN * 0.9, 0.0, -PERIOD_S, -1.0])
async def test_a_pass_that_took_the_period_is_followed_by_the_next(time, sockets, left_s):
    time.moderation(sockets).judge()
    await passes(1)
    time.now_s += PERIOD_S - left_s
    await passes(1)
    assert len(time.rests) == 1
    await passes(1)
    assert time.rests[1:] == pytest.approx([PERIOD_S])


async def test_it_begins_again_when_many_have_come_back(time, sockets):
    moderation = time.moderation(sockets)
    moderation.judge()
    await passes(1)
    left = sockets.pop()
    await passes(1)
    sockets.add(left)
    await passes(2)
    assert len(time.rests) == 1
    time.now_s += 60
    moderation.judge()
    await passes(1)
    assert time.rests == pytest.approx([PERIOD_S] * 2)


async def test_the_loop_goes_on_between_two_rests(time, sockets):
    seen: list[str] = []
    moderation = Moderation(sockets, time.reader, lambda _: seen.append("rest"), lambda: time.now_s)
    moderation.judge()
    await passes(1)
    asyncio.get_running_loop().call_soon(seen.append, "other")
    await passes(2)
    sockets.clear()
    assert seen[:4] == ["rest", "rest", "other", "rest"]


async def test_a_reader_that_fails_does_not_end_the_rests(time, sockets):
    """What ends the process ends it; anything else would leave every socket unread."""
    loop, failures = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
    time.reader.read = lambda: 1 / 0
    time.moderation(sockets).judge()
    await passes(3)
    assert len(time.rests) == 3
    assert [type(failure) for failure in failures] == [ZeroDivisionError] * 3
