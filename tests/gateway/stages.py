"""The stage that tests of live calls play on, in virtual time. A folder's conftest imports both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.gateway.stage import Stage
from tests.gateway.virtual_time import VirtualTimeLoop

Loop = asyncio.AbstractEventLoop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], Loop]]:
    """Run every test of a folder in virtual time."""
    return {"virtual": VirtualTimeLoop}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.close()
