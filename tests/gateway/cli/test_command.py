"""What all commands have in common while they run."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.cli import command


@pytest.fixture
def switch_interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


@contextmanager
def busy_thread() -> Iterator[None]:
    """Let a thread compute without a pause."""
    is_over = threading.Event()

    def compute() -> None:
        while not is_over.is_set():
            pass

    thread = threading.Thread(target=compute)
    thread.start()
    yield
    is_over.set()
    thread.join()


@pytest.mark.usefixtures("switch_interval")
def test_a_thread_that_computes_gives_the_interpreter_back_within_a_millisecond() -> None:
    seen: list[float] = []

    async def work() -> None:
        with busy_thread():
            for _ in range(5):
                await asyncio.sleep(0.001)
                seen.append(sys.getswitchinterval())

    command.run(work())
    assert max(seen) <= 0.001
