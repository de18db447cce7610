"""An interval fires again and again, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.heartbeat.interval import LoopInterval

MS = 1_000_000


@pytest.fixture(params=["asyncio", "uvloop", "elsewhere"])
def run(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Run on a loop of this kind; elsewhere there are no timers that are descriptors."""
    if request.param == "elsewhere":
        monkeypatch.setattr(sys, "platform", "darwin")
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run(play: Any) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(play())

    return run


def test_it_fires_until_it_is_stopped(run: Any) -> None:
    async def play() -> None:
        interval, fired = LoopInterval(), asyncio.Semaphore(0)
        begun = time.monotonic()
        interval.start(2 * MS, fired.release)
        async with asyncio.timeout(10):
            for _ in range(10):
                await fired.acquire()
        assert time.monotonic() - begun >= 0.015, "no sooner than it was asked for"
        interval.stop()
        interval.stop()
        while not fired.locked():
            await fired.acquire()
        await asyncio.sleep(0.02)
        assert fired.locked()

    run(play)


def test_what_a_pause_of_the_loop_has_missed_is_called_once(run: Any) -> None:
    async def play() -> None:
        interval, fired = LoopInterval(), []
        interval.start(1_000 * MS, lambda: fired.append(1))
        interval.start(50 * MS, lambda: fired.append(2))
        time.sleep(0.2)
        await asyncio.sleep(0)
        await asyncio.sleep(0.005)
        interval.stop()
        assert set(fired) == {2}
        assert len(fired) <= 2, "not the four that were due"

    run(play)


def test_it_may_be_stopped_by_what_it_calls(run: Any) -> None:
    async def play() -> None:
        interval, fired = LoopInterval(), []
        done = asyncio.Event()

        def fire() -> None:
            fired.append(1)
            interval.stop()
            done.set()

        interval.start(MS, fire)
        async with asyncio.timeout(10):
            await done.wait()
        await asyncio.sleep(0.01)
        assert fired == [1]

    run(play)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="platform: no /proc")
def test_descriptors_are_given_back(run: Any) -> None:
    async def play() -> None:
        interval = LoopInterval()
        interval.start(MS, lambda: None)
        interval.stop()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            interval.start(MS, lambda: None)
            interval.start(MS, lambda: None)
            interval.stop()
        assert len(os.listdir("/proc/self/fd")) == before

    run(play)
