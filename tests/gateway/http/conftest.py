"""The API on the stage of the calls' tests: virtual time, stores in memory, no sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest

from gateway.http.app import create_app
from tests.gateway.stage import stage
from tests.gateway.virtual_time import VirtualTimeLoop

__all__ = ["stage"]

Loop = asyncio.AbstractEventLoop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], Loop]]:
    """Run every test of this folder in virtual time."""
    return {"virtual": VirtualTimeLoop}


@pytest.fixture
def client_of():
    """Return a way to send requests to an application made of routes."""

    def client(routes, **headers):
        transport = httpx.ASGITransport(create_app(routes), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)

    return client
