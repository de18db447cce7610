"""What one call asks of its carrier, and how long it keeps asking.

Placing is never repeated blindly: where no answer came, the call is looked for. Ending is repeated
until the carrier confirms it. Knows no media and no money.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from gateway.call import CarrierEnded, ConfirmationAbandoned, DialAccepted, DialFailed, Event
from gateway.errors import CarrierError
from gateway.ports import Carrier, DialOrder

log = logging.getLogger(__name__)

_FIND_DELAYS_S = (1.0, 2.0, 3.0)
"""When to look for a call whose placing got no answer. Its status callback is usually faster."""

_CONFIRM_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""When to ask again whether an ended call is over; the status callback is usually faster."""


class CarrierLine:
    """One call's dealings with the carrier; reports what it learns as events of the call."""

    __slots__ = (
        "_carrier",
        "_is_ending",
        "_is_taken",
        "_order",
        "_report",
        "carrier_call_id",
        "is_over",
    )

    def __init__(
        self,
        carrier: Carrier,
        order: DialOrder,
        report: Callable[[Event], None],
        is_taken: Callable[[str], bool],
    ) -> None:
        self._carrier = carrier
        self._order = order
        self._report = report
        self._is_taken = is_taken
        self.carrier_call_id = ""
        self.is_over = False
        self._is_ending = False

    def named(self, carrier_call_id: str) -> None:
        """Learn the carrier's id of the call, whoever tells it first."""
        if not self.carrier_call_id:
            self.carrier_call_id = carrier_call_id
            self._report(DialAccepted(carrier_call_id))

    async def dial(self) -> None:
        """Place the call once."""
        try:
            self.named(await self._carrier.place(self._order))
        except CarrierError as error:
            if self.carrier_call_id or (error.ambiguous and await self._find()):
                return
            log.warning(
                "The carrier did not take call %s: error %d, HTTP %d.",
                *(self._order.call_id, error.carrier_code, error.status),
            )
            self._report(DialFailed(error.cause))

    async def _find(self) -> bool:
        for delay_s in _FIND_DELAYS_S:
            await asyncio.sleep(delay_s)
            if self.carrier_call_id:
                return True
            try:
                found = await self._carrier.find(self._order)
            except CarrierError:
                continue
            for carrier_call_id in found:
                if not self._is_taken(carrier_call_id):
                    self.named(carrier_call_id)
                    return True
        return bool(self.carrier_call_id)

    async def poll(self) -> None:
        """Ask for the call's state once, for when callbacks are lost."""
        if not self.carrier_call_id or self.is_over:
            return
        try:
            status = await self._carrier.fetch(self.carrier_call_id)
        except CarrierError:
            return
        event = status.event()
        if event is not None and not self.is_over:
            self._report(event)

    async def end(self) -> None:
        """End the call and see that it is over; a call without a name yet is ended later."""
        if self._is_ending or not self.carrier_call_id:
            return
        self._is_ending = True
        for delay_s in (0.0, *_CONFIRM_DELAYS_S):
            await asyncio.sleep(delay_s)
            if self.is_over or await self._ask_to_end():
                return
        log.error("The carrier never confirmed the end of call %s.", self._order.call_id)
        self._report(ConfirmationAbandoned())

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
