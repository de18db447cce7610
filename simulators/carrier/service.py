"""The simulated carrier as a service: one port, its own web server, any event loop.

`run(settings)` serves until cancelled; `SimulatorService` starts and stops inside a test's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.applications import Starlette

from simulators.carrier.callee import prepare
from simulators.carrier.clock import Clock
from simulators.carrier.control import ControlApi
from simulators.carrier.debugger import Debugger
from simulators.carrier.equipment import Equipment
from simulators.carrier.exchange import Exchange
from simulators.carrier.faults import Faults
from simulators.carrier.rest import EXCEPTION_HANDLERS, RestApi
from simulators.carrier.settings import SimulatorSettings
from simulators.carrier.ticker import Ticker
from simulators.carrier.webhooks import Webhooks

__all__ = ["SimulatorService", "SimulatorSettings", "run"]

_BACKLOG: Final = 256


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: signals belong to whoever runs the loop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ending = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait for the end, instead of looking for it ten times a second."""
        await self.ending.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


class SimulatorService:
    """One simulated carrier account on one port."""

    def __init__(self, settings: SimulatorSettings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or Clock()
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._equipment: Equipment | None = None
        self._rest: RestApi | None = None

    @property
    def port(self) -> int:
        """The port in use; only while started."""
        assert self._socket is not None, "started"
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Base URL of the REST API and of `/simulator/v1`."""
        host = self._settings.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def debugger(self) -> Debugger:
        """The errors and warnings so far; only while started."""
        assert self._equipment is not None, "started"
        return self._equipment.debugger

    async def start(self) -> None:
        """Bind, then serve in the background.

        Raises:
            OSError: the address is taken.
        """
        settings, clock = self._settings, self._clock
        await asyncio.to_thread(prepare)
        self._socket = _bind(settings.host, settings.port)
        webhooks = Webhooks(settings.auth_token, clock)
        await webhooks.start()
        equipment = Equipment(settings, clock, webhooks, Debugger(), Ticker(clock))
        faults = Faults()
        exchange = Exchange(equipment, faults)
        rest = RestApi(equipment, exchange, faults)
        control = ControlApi(equipment, exchange, faults)
        app = Starlette(
            routes=[*rest.routes(), *control.routes()],
            exception_handlers=dict(EXCEPTION_HANDLERS),
        )
        equipment.tasks.spawn(equipment.ticker.run())
        equipment.tasks.spawn(exchange.dispatch())
        self._equipment, self._rest = equipment, rest
        self._server = _Server(_config(app))
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))

    async def stop(self) -> None:
        """End every call and close the port; safe to call twice."""
        equipment, server, serving = self._equipment, self._server, self._serving
        if equipment is None or server is None or serving is None or self._rest is None:
            return
        self._equipment = None
        self._rest.stopping.set()
        await equipment.tasks.stop()
        await equipment.webhooks.stop()
        server.ending.set()
        await serving
        assert self._socket is not None, "started"
        self._socket.close()

    async def serve(self) -> None:
        """Wait until the server ends; only while started."""
        assert self._serving is not None, "started"
        await asyncio.shield(self._serving)


async def run(settings: SimulatorSettings) -> None:
    """Serve until cancelled."""
    service = SimulatorService(settings)
    await service.start()
    try:
        await service.serve()
    finally:
        await service.stop()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # The header would never change: it is written by the loop that is not run here.
        date_header=False,
        timeout_graceful_shutdown=2,
    )
