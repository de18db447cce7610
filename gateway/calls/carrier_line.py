"""Places and ends one call at its carrier, and decides how long to keep asking.

Placing is never repeated, and a call is never searched for: if there was no reply, only a message
from the carrier to the call's own addresses proves that it was placed. Ending is repeated until the
carrier confirms it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain, repeat

import structlog

from gateway.call.machine import (
    CarrierEnded,
    ConfirmationAbandoned,
    DialAccepted,
    DialFailed,
    Ended,
    Event,
)
from gateway.calls.reachability import Reachability
from gateway.cause import CarrierRefusal, Cause
from gateway.errors import CarrierError
from gateway.ports import Carrier, DialOrder

log = structlog.get_logger(__name__)

PROOF_WAIT_S = 4.0
"""How long to wait for the carrier's first message after placing got no answer: longer than a
callback takes, short enough for a caller who hears that the call is being placed."""

WHY_S_MAX = 2.0
"""How long a call that failed at the carrier may wait for the reason before it is settled. Nothing
is owed for it; its hold is returned that much later."""

CONFIRM_S = 60.0
"""How long after its end a call may wait for the carrier's confirmation, however long requests
take: until then its record stays live and its credit held."""

_CONFIRM_DELAYS_S = (0.0, 0.5, 1.0, 2.0)
_CONFIRM_DELAY_S_MAX = 4.0
"""Longest pause before asking again whether an ended call is over: no longer than the end of a call
may go unnoticed. The status callback is usually faster."""


class CarrierLine:
    """One call's requests to the carrier; reports what it learns as events of the call."""

    __slots__ = (
        "_carrier",
        "_confirm_s",
        "_end_unmatched",
        "_is_ending",
        "_naming",
        "_on_event",
        "_order",
        "_ordered_ns",
        "_placed_ns",
        "_reachability",
        "carrier_call_id",
        "is_over",
    )

    def __init__(
        self,
        carrier: Carrier,
        order: DialOrder,
        on_event: Callable[[Event], None],
        reachability: Reachability,
        end_unmatched: Callable[[str, str], None],
    ) -> None:
        """`end_unmatched` takes the id of an unmatched carrier call, and the id of this call."""
        self._carrier = carrier
        self._order = order
        self._on_event = on_event
        self._reachability = reachability
        self._ordered_ns = self._placed_ns = reachability.clock_ns()
        self._end_unmatched = end_unmatched
        self._naming: asyncio.Event | None = None
        """Set when the carrier's id is known."""
        self.carrier_call_id = ""
        self.is_over = False
        self._is_ending = False
        self._confirm_s = 0.0
        """Loop time until which an ended call waits for the carrier; 0 before its end."""

    def named(self, carrier_call_id: str) -> bool:
        """Take the carrier's id from the first message that has it; return if it is this one."""
        if not self.carrier_call_id:
            # Set before it is reported: a call that has ended meanwhile is hung up by this id.
            self.carrier_call_id = carrier_call_id
            if self._naming is not None:
                self._naming.set()
            self._placed_ns = self._reachability.clock_ns()
            self._on_event(DialAccepted(carrier_call_id))
        return carrier_call_id == self.carrier_call_id

    async def dial(self) -> None:
        """Place the call once."""
        try:
            carrier_call_id = await self._carrier.place(self._order)
        except CarrierError as error:
            # The API has no idempotency key: a request that seems to have failed may have placed
            # the call. A callback or stream that proves it outranks the error.
            if self.carrier_call_id or (error.ambiguous and await self._is_proven()):
                return
            log.warning(
                "call not placed",
                call_id=self._order.call_id,
                carrier_code=error.carrier_code,
                carrier_text=error.carrier_text,
                http_status=error.status,
                reason=str(error),
            )
            self._on_event(DialFailed(error.cause, error.refusal))
        else:
            # A callback overtook the reply and named another call: this one rings as well.
            if not self.named(carrier_call_id):
                self._end_unmatched(carrier_call_id, self._order.call_id)

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
        """Whether nothing from the carrier has reached this node since the call was ordered."""
        return self._reachability.is_silent_since(self._ordered_ns)

    async def poll(self) -> None:
        """Ask for the call's state once: callbacks may be lost, or unable to reach us at all."""
        if not self.carrier_call_id or self.is_over:
            return
        try:
            status = await self._carrier.fetch(self.carrier_call_id)
        except CarrierError:
            # Not knowing ends nothing: the next poll asks again, and the call has its own limits.
            return
        if await self._reachability.is_cut_off(status, self._ordered_ns, self._placed_ns):
            self._on_event(Ended(Cause.GATEWAY_DOWN, "gateway"))
        # Reported even so: a call that the carrier shows as over needs no order to end. A callback
        # may have reported the same during either await.
        event = status.event()
        if event is not None and not self.is_over:
            self._on_event(event)

    async def why_failed(self) -> CarrierRefusal | None:
        """Return why the carrier failed the call, from its own notes; None if that is not known.

        Asked once and briefly: settling the call waits for it.
        """
        ids = {"call_id": self._order.call_id, "carrier_call_id": self.carrier_call_id}
        try:
            async with asyncio.timeout(WHY_S_MAX):
                said = await self._carrier.why_failed(self.carrier_call_id)
        except (CarrierError, TimeoutError):
            return None
        if said is not None:
            log.warning(
                "call failed at the carrier",
                carrier_code=said.code,
                carrier_text=said.text,
                **ids,
            )
        return said

    async def end(self) -> None:
        """End the call and make sure that it is over; without an id yet it is ended later."""
        # The minute runs from the first order, even if the carrier's id is learnt after it.
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
            # A callback confirmed the end while the last request hung.
            if self.is_over:
                return
        log.error(
            "end of call not confirmed by the carrier",
            call_id=self._order.call_id,
            carrier_call_id=self.carrier_call_id,
        )
        # In this order: until the call gives up waiting it owns its carrier call, and a call that
        # is owned is not taken for a ghost.
        self._on_event(ConfirmationAbandoned())
        self._end_unmatched(self.carrier_call_id, self._order.call_id)

    async def _ask_to_end(self) -> bool:
        try:
            status = await self._carrier.hang_up(self.carrier_call_id)
        except CarrierError as error:
            log.warning(
                "call not ended at the carrier",
                call_id=self._order.call_id,
                carrier_call_id=self.carrier_call_id,
                carrier_code=error.carrier_code,
                carrier_text=error.carrier_text,
                http_status=error.status,
            )
            return False
        event = status.event()
        # The reply to the order may still show the call as live; only a terminal status counts.
        if isinstance(event, CarrierEnded) and not self.is_over:
            self._on_event(event)
        # Set by the bridge as it takes that event, from here or from a callback.
        return self.is_over
