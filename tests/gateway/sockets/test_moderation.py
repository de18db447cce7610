"""A busy loop rests once each pass, an idle one never."""

from __future__ import annotations

import asyncio

from gateway.sockets.moderation import BUSY_SOCKETS, REST_S, Moderation


async def passes(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_loop_with_few_sockets_never_rests():
    rests: list[float] = []
    moderation = Moderation(range(BUSY_SOCKETS - 1), rests.append)
    for _ in range(3):
        moderation.judge()
        await passes(2)
    assert rests == []


async def test_a_loop_with_many_rests_once_a_pass_however_often_it_is_judged():
    rests: list[float] = []
    sockets = set(range(BUSY_SOCKETS))
    moderation = Moderation(sockets, rests.append)
    for _ in range(3):
        moderation.judge()
    assert rests == [REST_S]
    await passes(5)
    assert len(rests) == 6
    sockets.pop()
    await passes(5)
    assert len(rests) == 6


async def test_it_begins_again_when_many_have_come_back():
    rests: list[float] = []
    sockets = set(range(BUSY_SOCKETS))
    moderation = Moderation(sockets, rests.append)
    moderation.judge()
    left = sockets.pop()
    await passes(1)
    sockets.add(left)
    await passes(2)
    assert len(rests) == 1
    moderation.judge()
    assert len(rests) == 2


async def test_what_arrives_while_it_rests_is_read_in_the_next_pass():
    """The loop goes on: a callback of its own is called between two rests."""
    seen: list[str] = []
    sockets = set(range(BUSY_SOCKETS))
    moderation = Moderation(sockets, lambda _: seen.append("rest"))
    moderation.judge()
    asyncio.get_running_loop().call_soon(seen.append, "read")
    await passes(1)
    sockets.clear()
    assert seen == ["rest", "rest", "read"]
