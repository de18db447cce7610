"""Assembles the simulated carrier behind one port."""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette

from simulators.carrier.announcements import Announcements
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
from simulators.serving import HttpServer

__all__ = ["SimulatorService", "SimulatorSettings"]


class SimulatorService:
    """One simulated carrier account on one port."""

    def __init__(self, settings: SimulatorSettings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or Clock()
        self._server: HttpServer | None = None
        self._equipment: Equipment | None = None
        self._rest: RestApi | None = None

    @property
    def port(self) -> int:
        """The port in use; only while started."""
        assert self._server is not None, "started"
        return self._server.port

    @property
    def url(self) -> str:
        """Base URL of the REST API and of `/simulator/v1`; only while started."""
        assert self._server is not None, "started"
        return self._server.origin

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
        # More than a tenth of a second of Python, which must not stop the loop that starts it.
        await asyncio.to_thread(prepare)
        # First of what has to be closed again: an address that is taken leaves nothing open.
        self._server = HttpServer(settings.host, settings.port, settings.listener)
        webhooks = Webhooks(settings.auth_token, clock, settings.ca_file)
        await webhooks.start()
        equipment = Equipment(settings, clock, webhooks, Debugger(), Ticker(clock))
        faults = Faults()
        exchange = Exchange(equipment, faults)
        rest = RestApi(equipment, exchange, faults)
        control = ControlApi(equipment, exchange, faults)
        app = Starlette(
            routes=[*rest.routes(), *control.routes(), *Announcements(exchange).routes()],
            exception_handlers=dict(EXCEPTION_HANDLERS),
        )
        equipment.tasks.spawn(equipment.ticker.run())
        equipment.tasks.spawn(exchange.dispatch())
        self._equipment, self._rest = equipment, rest
        self._server.start(app)

    async def stop(self) -> None:
        """End every call and close the port; safe to call twice."""
        equipment, rest, server = self._equipment, self._rest, self._server
        if equipment is None or rest is None or server is None:
            return
        # Before anything is awaited, so that a second call finds nothing to do.
        self._equipment = None
        # The order matters: held replies let the server end, and cancelled calls announce their end
        # by webhooks that are cancelled in turn, so that the HTTP client goes after them.
        rest.stopping.set()
        await equipment.tasks.stop()
        await equipment.webhooks.stop()
        await server.stop()

    async def serve(self) -> None:
        """Wait until the server ends; only while started."""
        assert self._server is not None, "started"
        await self._server.serve()
