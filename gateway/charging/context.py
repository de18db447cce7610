"""Declares what the parts of charging a call share: the call, its order, its node's services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from billing.cdr import CallClosed, CallOpened
from billing.ports import Closing, Opening, SpendGate
from gateway.browser import messages as wire
from gateway.browser.reports import WallClock
from gateway.call.machine import Event
from gateway.charging.closings import keep_nothing
from gateway.charging.node_watch import RENEWAL_S, lease_s
from gateway.charging.rounds import Metering
from gateway.heartbeat.ticker import Ticker
from gateway.nanoseconds import SECOND_NS
from gateway.ports import CallOrder, Notify, to_nobody
from gateway.settings import Settings

Spawn = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a coroutine of a call in the background; the node cancels it at the end of its drain."""

Count = Callable[[CallOrder], Awaitable[str]]
"""Counts a call whose first hold is placed; returns the code of why it may not continue, or
nothing. Never raises."""

Refused = Callable[[CallOrder, str], None]
"""Takes a refused call's order, and the code of the refusal."""

Keep = Callable[[Opening, Closing], None]
"""Keeps the end of a call, and the request to open it again, until it is booked."""


async def uncounted(_order: CallOrder) -> str:
    """Count nothing, and let the call continue."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeServices:
    """The services that the charges of all calls of a node use."""

    settings: Settings
    gate: SpendGate
    metering: Metering
    ticker: Ticker
    spawn: Spawn
    keep: Keep = keep_nothing
    count: Count = uncounted
    refused: Refused = lambda _order, _code: None
    """Called when a call was refused after its token was redeemed."""
    notify: Notify = to_nobody
    """Takes warnings and cut-offs for the operator's program."""


class PaidCall(Protocol):
    """What a charge needs of its call."""

    def receive(self, event: Event, at_ns: int | None = None) -> None:
        """Take a hold placed or refused, or the call's end; `at_ns` is its time, None for now."""

    def warn(self, message: wire.CreditWarning | wire.CreditWarningCleared) -> None:
        """Warn the caller, audibly, that the call will end soon, or withdraw a warning."""

    def closed(self, seconds: int) -> CallClosed:
        """Return the record of the ended call, charged for this number of seconds."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """One call, as seen by all parts of its charge."""

    opened: CallOpened
    order: CallOrder
    wall: WallClock
    services: ChargeServices
    call: PaidCall

    def now_ns(self) -> int:
        """Return the monotonic time."""
        return self.services.ticker.clock_ns()

    def may_be_settled(self) -> bool:
        """Return whether, as far as this node knows, another may have settled the call.

        That is so after a standstill as long as this node's lease.
        """
        settings = self.services.settings
        stood_ns = self.now_ns() - self.services.ticker.read_ns
        lease = lease_s(settings.prepaid_horizon_s, settings.grace_s)
        return stood_ns >= (lease - RENEWAL_S) * SECOND_NS

    def notify(self, name: str, **data: Any) -> None:
        """Notify the operator's program of an event of this call."""
        ids = {"account_id": self.opened.account_id, "call_id": self.opened.call_id}
        self.services.notify(name, {**ids, **data})
