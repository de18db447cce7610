"""Worlds of money on real servers and real databases, SQLite and PostgreSQL in turn."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.stores import gate_audit
from gateway.charging import cut_off, settlement
from tests.money.ledger_world import World
from tests.valkey import ValkeyServer


@pytest.fixture
async def new_world(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., World]]:
    """Make a world on the server of a URL; it is closed when the test is over."""
    made: list[World] = []
    # Nothing moves between two comparisons unless the test moves it.
    monkeypatch.setattr(gate_audit, "COMPARISON_PAUSE_S", 0)
    # The clock stands still while the gate is asked, however long a busy machine takes.
    monkeypatch.setattr(cut_off, "ASK_AGAIN_S", 30)

    def make(url: str, **options: Any) -> World:
        world = World(url, engine, **options)
        monkeypatch.setattr(settlement, "asyncio", world.asyncio_in_world_time())
        made.append(world)
        return world

    yield make
    for world in made:
        await world.close()


@pytest.fixture
async def world(new_world: Callable[..., World], valkey_url: str) -> World:
    """One node, and `alice`, who has fifty units of credit."""
    world = new_world(valkey_url)
    await world.open_accounts(alice=50_000_000)
    return world


@pytest.fixture
async def redis(own_valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """Reach a test's own server past the gate."""
    async with Redis.from_url(own_valkey.operator_url) as client:
        yield client
