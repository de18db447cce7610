"""What one call asks of its carrier, and how long it keeps asking.

Placing is never repeated, and a call is never looked for: where no answer came, only a message of
the carrier to the call's own addresses proves that it was placed. Ending is repeated until the
carrier confirms it. Knows no media and no money.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import chain, repeat

from gateway.call.machine import (
    CarrierEnded,
    ConfirmationAbandoned,
    DialAccepted,
    DialFailed,
    Ended,
    Event,
)
from gateway.calls.reachability import Reachability
from gateway.cause import Cause
from gateway.errors import CarrierError
from gateway.ports import Carrier, DialOrder

log = logging.getLogger(__name__)

PROOF_WAIT_S = 4.0
"""How long a call whose placing got no answer may wait for the carrier's first message: longer
than a callback takes, short enough for a caller who hears that the call is being placed."""

CONFIRM_S = 60.0
"""How long after its end a call may wait for the carrier to confirm it, whatever the requests take:
its record stays live and its credit held meanwhile."""

_CONFIRM_DELAYS_S = (0.0, 0.5, 1.0, 2.0)
_CONFIRM_DELAY_S_MAX = 4.0
"""When to ask again whether an ended call is over: no longer apart than the end of a call may go
unnoticed. The status callback is usually faster."""


class CarrierLine:
    """One call's dealings with the carrier; reports what it learns as events of the call."""

    __slots__ = (
        "_carrier",
        "_confirm_s",
        "_is_ending",
        "_naming",
        "_order",
        "_ordered_ns",
        "_placed_ns",
        "_reachability",
        "_report",
        "_stray",
        "carrier_call_id",
        "is_over",
    )

    def __init__(
        self,
        carrier: Carrier,
        order: DialOrder,
        report: Callable[[Event], None],
        reachability: Reachability,
        stray: Callable[[str], None],
    ) -> None:
        """`stray` is told of the carrier's calls that were made for this one and must be ended."""
        self._carrier = carrier
        self._order = order
        self._report = report
        self._reachability = reachability
        self._ordered_ns = self._placed_ns = reachability.clock_ns()
        self._stray = stray
        self._naming: asyncio.Event | None = None
        """Set when the carrier's id comes, for whoever waits for it."""
        self.carrier_call_id = ""
        self.is_over = False
        self._is_ending = False
        self._confirm_s = 0.0
        """Time of the loop until which an ended call waits for the carrier; 0 before its end."""

    def named(self, carrier_call_id: str) -> bool:
        """Learn the carrier's id of the call, whoever tells it first; say whether it is this."""
        if not self.carrier_call_id:
            self.carrier_call_id = carrier_call_id
            if self._naming is not None:
                self._naming.set()
            self._placed_ns = self._reachability.clock_ns()
            self._report(DialAccepted(carrier_call_id))
        return carrier_call_id == self.carrier_call_id

    async def dial(self) -> None:
        """Place the call once."""
        try:
            carrier_call_id = await self._carrier.place(self._order)
        except CarrierError as error:
            if self.carrier_call_id or (error.ambiguous and await self._is_proven()):
                return
            log.warning(
                "The carrier did not take call %s: error %d, HTTP %d. %s",
                *(self._order.call_id, error.carrier_code, error.status, error),
            )
            self._report(DialFailed(error.cause))
        else:
            if not self.named(carrier_call_id):
                self._stray(carrier_call_id)

    async def _is_proven(self) -> bool:
        self._naming = asyncio.Event()
        try:
            async with asyncio.timeout(PROOF_WAIT_S):
                await self._naming.wait()
        except TimeoutError:
            return False
        return True

    @property
    def is_silent(self) -> bool:
        """Whether nothing of the carrier's has reached this node since the call was ordered."""
        return self._reachability.is_silent_since(self._ordered_ns)

    async def poll(self) -> None:
        """Ask for the call's state once, for when callbacks are lost, or cannot reach us at all."""
        if not self.carrier_call_id or self.is_over:
            return
        try:
            status = await self._carrier.fetch(self.carrier_call_id)
        except CarrierError:
            return
        if await self._reachability.is_cut_off(status, self._ordered_ns, self._placed_ns):
            self._report(Ended(Cause.GATEWAY_DOWN, "gateway"))
        event = status.event()
        if event is not None and not self.is_over:
            self._report(event)

    async def end(self) -> None:
        """End the call and see that it is over; a call without a name yet is ended later."""
        self._confirm_s = self._confirm_s or asyncio.get_running_loop().time() + CONFIRM_S
        if self._is_ending or not self.carrier_call_id:
            return
        self._is_ending = True
        try:
            async with asyncio.timeout_at(self._confirm_s):
                for delay_s in chain(_CONFIRM_DELAYS_S, repeat(_CONFIRM_DELAY_S_MAX)):
                    await asyncio.sleep(delay_s)
                    if self.is_over or await self._ask_to_end():
                        return
        except TimeoutError:
            if self.is_over:
                return
        log.error("The carrier has not confirmed the end of call %s yet.", self._order.call_id)
        self._report(ConfirmationAbandoned())
        self._stray(self.carrier_call_id)

    async def _ask_to_end(self) -> bool:
        try:
            status = await self._carrier.hang_up(self.carrier_call_id)
        except CarrierError as error:
            log.warning("Ending call %s failed: HTTP %d.", self._order.call_id, error.status)
            return False
        event = status.event()
        if isinstance(event, CarrierEnded) and not self.is_over:
            self._report(event)
        return self.is_over
