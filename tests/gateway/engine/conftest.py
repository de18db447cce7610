"""The engine's tests run in virtual time, on a stage where everybody else is played."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.gateway.engine.stage import Stage
from tests.gateway.virtual_time import VirtualTimeLoop

Loop = asyncio.AbstractEventLoop

ON_REAL_STORES = {"test_recovery.py", "test_call_refunds.py"}


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], Loop]]:
    """Run the tests of this folder in virtual time, but for those on real stores."""
    if item.path.name in ON_REAL_STORES:
        return {"asyncio": asyncio.new_event_loop}
    return {"virtual": VirtualTimeLoop}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.close()
