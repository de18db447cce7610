"""Real servers on real sockets, on both event loops, with a clock that only tests move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from types import ModuleType
from typing import Any

import pytest
import uvloop

from gateway.sockets import direct
from tests.certificates import Authority
from tests.compiling import native_module
from tests.gateway.sockets.socket_peers import Clock, MediaServer

Loop = asyncio.AbstractEventLoop
_ON_UVLOOP = (
    "test_one_port.py",
    "test_tls.py",
    "test_framings.py",
    "test_http_protocol.py",
    "test_relays.py",
    "test_acceptor.py",
    "test_hand_over.py",
)


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], Loop]]:
    """Run the tests of this folder on the loop that is deployed and on the standard library's.

    uvicorn takes a fifth of a second to stop, so its tests are content with the first.
    """
    if item.path.name in _ON_UVLOOP:
        return {"uvloop": uvloop.new_event_loop}
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def serve(clock: Clock) -> AsyncIterator[Callable[..., Any]]:
    """Start media servers with `await serve(limits=…, router=…)`."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> MediaServer:
            server = await MediaServer.start(clock, **options)
            stack.push_async_callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """What is written in C; compiled for these tests where it is not installed with the sources."""
    return native_module("gateway.sockets._native", tmp_path_factory.mktemp("native"))


@pytest.fixture
def past_the_transport(native: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the sources, too, read and write open sockets past their transports."""
    if not direct.IS_AVAILABLE:
        monkeypatch.setattr(direct, "IS_AVAILABLE", True)
        monkeypatch.setattr(direct, "_native", native, raising=False)
        monkeypatch.setattr(direct, "_send_data", native.send_data, raising=False)
        monkeypatch.setattr(direct, "_send_frame", native.send_frame, raising=False)
