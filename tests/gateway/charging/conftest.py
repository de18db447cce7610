"""These tests run in virtual time on the stage, but for those on real stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.gateway.stage import stage
from tests.gateway.virtual_time import VirtualTimeLoop

__all__ = ["stage"]

Loop = asyncio.AbstractEventLoop

ON_REAL_STORES = {"test_recovery.py", "test_call_refunds.py", "test_grants.py"}


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], Loop]]:
    """Run the tests in virtual time, but for those on real stores."""
    if item.path.name in ON_REAL_STORES:
        return {"asyncio": asyncio.new_event_loop}
    return {"virtual": VirtualTimeLoop}
