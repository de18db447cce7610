"""A busy loop rests once each pass, an idle one never."""

from __future__ import annotations

import asyncio

import pytest

from gateway.sockets.moderation import BUSY_SOCKETS, PERIOD_S, REST_S_MIN, Moderation


class Time:
    """Passes while it is slept through, and where a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.rests: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now_s += seconds

    def moderation(self, sockets: set[int]) -> Moderation:
        return Moderation(sockets, self.sleep, lambda: self.now_s)


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


async def test_a_loop_with_many_rests_once_a_pass_however_often_it_is_judged(time, sockets):
    moderation = time.moderation(sockets)
    for _ in range(3):
        moderation.judge()
    assert time.rests == pytest.approx([PERIOD_S])
    await passes(5)
    assert time.rests == pytest.approx([PERIOD_S] * 6)
    sockets.pop()
    await passes(5)
    assert len(time.rests) == 6


@pytest.mark.parametrize("taken", [0.0, 0.3, 0.8])
async def test_a_rest_is_what_a_pass_has_left_of_the_period(time, sockets, taken):
    time.moderation(sockets).judge()
    time.now_s += taken * PERIOD_S
    await passes(1)
    assert time.rests[1:] == pytest.approx([(1 - taken) * PERIOD_S])


@pytest.mark.parametrize("left_s", [REST_S_MIN * 0.9, 0.0, -PERIOD_S, -1.0])
async def test_a_pass_that_took_the_period_is_followed_by_the_next(time, sockets, left_s):
    time.moderation(sockets).judge()
    time.now_s += PERIOD_S - left_s
    await passes(1)
    assert len(time.rests) == 1
    await passes(1)
    assert time.rests[1:] == pytest.approx([PERIOD_S])


async def test_it_begins_again_when_many_have_come_back(time, sockets):
    moderation = time.moderation(sockets)
    moderation.judge()
    left = sockets.pop()
    await passes(1)
    sockets.add(left)
    await passes(2)
    assert len(time.rests) == 1
    time.now_s += 60
    moderation.judge()
    assert time.rests == pytest.approx([PERIOD_S] * 2)


async def test_what_arrives_while_it_rests_is_read_in_the_next_pass(time, sockets):
    """The loop goes on: a callback of its own is called between two rests."""
    seen: list[str] = []
    moderation = Moderation(sockets, lambda _: seen.append("rest"), lambda: time.now_s)
    moderation.judge()
    asyncio.get_running_loop().call_soon(seen.append, "read")
    await passes(1)
    sockets.clear()
    assert seen == ["rest", "rest", "read"]
