"""The simulated payment service as a service: one port, its own web server, any event loop.

`run(settings)` serves until cancelled; `PaymentSimulatorService` starts and stops inside a test's
loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.applications import Starlette

from simulators.payments.account import Account
from simulators.payments.clock import Clock
from simulators.payments.control import ControlApi
from simulators.payments.courier import Courier
from simulators.payments.faults import FaultPlan
from simulators.payments.hosted import HostedPages
from simulators.payments.rest import EXCEPTION_HANDLERS, RestApi
from simulators.payments.settings import PaymentSimulatorSettings

__all__ = ["PaymentSimulatorService", "PaymentSimulatorSettings", "run"]

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


class PaymentSimulatorService:
    """One simulated Stripe account on one port."""

    def __init__(self, settings: PaymentSimulatorSettings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or Clock()
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._courier: Courier | None = None
        self._account: Account | None = None

    @property
    def port(self) -> int:
        """The port in use; only while started."""
        assert self._socket is not None, "started"
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def origin(self) -> str:
        """Where the API is: what a client takes as its base address; only while started."""
        host = self._settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def start(self) -> None:
        """Open the port and answer.

        Raises:
            OSError: the address is taken.
        """
        settings, clock = self._settings, self._clock
        self._socket = _bind(settings.host, settings.port)
        account = Account(settings, settings.public_origin.rstrip("/") or self.origin)
        courier = Courier(account.world, clock)
        await courier.start()
        rest = RestApi(account, clock, courier.wake)
        pages = HostedPages(account, clock, courier.wake)
        control = ControlApi(account, clock, courier.wake)
        app = Starlette(
            routes=[*rest.routes(), *pages.routes(), *control.routes()],
            exception_handlers=dict(EXCEPTION_HANDLERS),
        )
        self._courier, self._account = courier, account
        self._server = _Server(_config(app))
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))

    async def stop(self) -> None:
        """Close the port and forget everything; safe to call twice."""
        courier, server, serving = self._courier, self._server, self._serving
        if courier is None or server is None or serving is None or self._account is None:
            return
        self._courier = None
        # Replies that are held back are let go.
        self._account.world.faults.replace(FaultPlan())
        await courier.stop()
        server.ending.set()
        await serving
        assert self._socket is not None, "started"
        self._socket.close()

    async def serve(self) -> None:
        """Wait until the server ends; only while started."""
        assert self._serving is not None, "started"
        await asyncio.shield(self._serving)


async def run(settings: PaymentSimulatorSettings) -> None:
    """Serve until cancelled."""
    service = PaymentSimulatorService(settings)
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
