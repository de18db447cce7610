"""Real servers on real sockets, on both event loops, with a clock that only tests move."""

from __future__ import annotations

import asyncio
import subprocess
import sysconfig
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uvloop
from socket_peers import Clock, MediaServer

from gateway.sockets import direct
from tests.certificates import Authority
from tests.compiling import ROOT, compile_path, module_of

Loop = asyncio.AbstractEventLoop


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], Loop]]:
    """Run the tests of this folder on the loop that is deployed and on the standard library's.

    uvicorn takes a fifth of a second to stop, so its tests are content with the first.
    """
    if item.path.name in ("test_one_port.py", "test_tls.py"):
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
    try:
        from gateway.sockets import _native
    except ImportError:
        return compiled(tmp_path_factory.mktemp("native") / "_native.so")
    return _native


@pytest.fixture
def past_the_transport(native: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the sources, too, read and write open sockets past their transports."""
    if not direct.IS_AVAILABLE:
        monkeypatch.setattr(direct, "IS_AVAILABLE", True)
        monkeypatch.setattr(direct, "_native", native, raising=False)
        monkeypatch.setattr(direct, "_send_data", native.send_data, raising=False)
        monkeypatch.setattr(direct, "_send_frame", native.send_frame, raising=False)


def compiled(path: Path) -> ModuleType:
    build = compile_path()
    if not build.can_compile():
        pytest.skip("No C compiler, or no Python headers: install gcc and python3-dev.")
    source = ROOT / f"{build.NATIVE.replace('.', '/')}.c"
    strict = ["-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"]
    include = f"-I{sysconfig.get_path('include')}"
    command = [build.compiler(), "-shared", "-fPIC", "-O1", *strict, include, str(source)]
    made = subprocess.run([*command, "-o", str(path)], check=False, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return module_of(build.NATIVE, path)
