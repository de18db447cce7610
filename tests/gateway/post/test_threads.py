"""Blocking work runs off the loop, and its end reaches those who still wait."""

import asyncio
import threading

import pytest

from gateway.post.threads import in_thread


async def test_what_blocks_fails_as_it_would_have():
    assert await in_thread(lambda: 7, "work") == 7
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 / 0, "work")


async def test_who_gives_up_leaves_it_behind():
    go, done = threading.Event(), threading.Event()

    def work():
        go.wait(30)
        done.set()

    waiting = asyncio.create_task(in_thread(work, "work"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    assert await asyncio.to_thread(done.wait, 30)
