"""Whole calls on the virtual clock: no test here waits, and none depends on the machine's speed."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.whole_calls.network import NetworkLoop
from tests.whole_calls.world import World


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test of this folder on a virtual loop with a network in memory."""
    return {"virtual": NetworkLoop}


@pytest.fixture
async def world_of(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Any]]:
    """Make worlds; all that is left to chance follows from the seed."""
    made: list[World] = []

    async def make(seed: int = 1, **options: Any) -> World:
        # The id of a call places it within the second, and the carrier's clock begins anywhere.
        monkeypatch.setattr(secrets, "choice", random.Random(seed).choice)
        random.seed(seed)
        made.append(World(seed, **options))
        return await made[-1].start()

    yield make
    await made[-1].stop()


@pytest.fixture
async def world(world_of: Callable[..., Any]) -> World:
    """A world as it should be."""
    return await world_of()
