"""Assembles the simulated payment service behind one port."""

from __future__ import annotations

from starlette.applications import Starlette

from simulators.payments.account import MerchantAccount
from simulators.payments.clock import Clock
from simulators.payments.control import ControlApi
from simulators.payments.courier import Courier
from simulators.payments.faults import FaultPlan
from simulators.payments.hosted import HostedPages
from simulators.payments.rest import EXCEPTION_HANDLERS, RestApi
from simulators.payments.settings import PaymentSimulatorSettings
from simulators.serving import HttpServer

__all__ = ["PaymentSimulatorService", "PaymentSimulatorSettings"]


class PaymentSimulatorService:
    """One simulated Stripe account on one port."""

    def __init__(self, settings: PaymentSimulatorSettings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or Clock()
        self._server: HttpServer | None = None
        self._courier: Courier | None = None
        self._account: MerchantAccount | None = None

    @property
    def port(self) -> int:
        """The port in use; only while started."""
        assert self._server is not None, "started"
        return self._server.port

    @property
    def origin(self) -> str:
        """Where the API is: what a client takes as its base address; only while started."""
        assert self._server is not None, "started"
        return self._server.origin

    async def start(self) -> None:
        """Open the port and answer.

        Raises:
            OSError: the address is taken.
        """
        settings, clock = self._settings, self._clock
        self._server = HttpServer(settings.host, settings.port, settings.listener)
        # After the port is known: addresses of the hosted page are made from it.
        account = MerchantAccount(settings, settings.public_origin.rstrip("/") or self.origin)
        # One way to wake it for all who change something: nothing polls.
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
        self._server.start(app)

    async def stop(self) -> None:
        """Close the port and forget everything; safe to call twice."""
        courier, account, server = self._courier, self._account, self._server
        if courier is None or account is None or server is None:
            return
        # Before anything is awaited, so that a second call finds nothing to do.
        self._courier = None
        # Replies that are held back are let go.
        account.world.faults.replace(FaultPlan())
        # First what sends, then what receives: a request that is being answered may still wake the
        # courier, which does nothing any more.
        await courier.stop()
        await server.stop()

    async def serve(self) -> None:
        """Wait until the server ends; only while started."""
        assert self._server is not None, "started"
        await self._server.serve()
