"""The simulated carrier without a port: its calls, streams and REST API, and its one phone."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette

from simulators.carrier.callee import Callee
from simulators.carrier.clock import Clock
from simulators.carrier.debugger import Debugger
from simulators.carrier.equipment import Equipment
from simulators.carrier.exchange import Exchange
from simulators.carrier.faults import Faults
from simulators.carrier.line import Line
from simulators.carrier.rest import RestApi
from simulators.carrier.settings import SimulatorSettings
from simulators.carrier.stream import MediaLeg
from simulators.carrier.ticker import Ticker
from simulators.carrier.webhooks import Webhooks
from tests.gateway.virtual_time import virtual_loop

EPOCH_NS = 1_772_000_000_000_000_000


class SimulatedCarrier:
    """One account, and the phone of the call that was placed last."""

    def __init__(self, account_sid: str, auth_token: str) -> None:
        clock_ns = virtual_loop().clock_ns
        clock = Clock(clock_ns, lambda: EPOCH_NS + clock_ns())
        # The phone rings until the script of the test lets it do something else.
        settings = SimulatorSettings(
            account_sid=account_sid, auth_token=auth_token, ring_s=600, cps=50
        )
        self.webhooks = Webhooks(auth_token, clock)
        self.equipment = Equipment(settings, clock, self.webhooks, Debugger(), Ticker(clock))
        self.faults = Faults()
        self.exchange = Exchange(self.equipment, self.faults)
        self.rest = RestApi(self.equipment, self.exchange, self.faults)
        self.app = Starlette(routes=self.rest.routes())

    def start(self, webhooks: Any) -> None:
        """Take calls; the callbacks go out by this session."""
        self.webhooks._session = webhooks
        self.equipment.tasks.spawn(self.equipment.ticker.run())
        self.equipment.tasks.spawn(self.exchange.dispatch())

    async def stop(self) -> None:
        self.rest.stopping.set()
        await self.equipment.tasks.stop()
        await self.webhooks.stop()

    # The phone.

    @property
    def line(self) -> Line:
        return self.exchange.lines()[0]

    @property
    def stream(self) -> MediaLeg:
        return self.line.conversation.legs[-1]

    @property
    def callee(self) -> Callee:
        return self.line.conversation.callee

    @property
    def heard(self) -> bytes:
        """All that the phone has played since the stream began."""
        return self.line.conversation.recording.audio()

    @property
    def complaints(self) -> list[int]:
        """The errors and warnings that Twilio's debugger would show, without ordinary closes."""
        return [code for code in self.equipment.debugger.codes() if code != 31921]
