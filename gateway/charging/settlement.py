"""Settles a call that has ended: posts its final price and returns the rest of its hold.

The spend gate is asked until it answers: a call that is not settled would hold credit for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import structlog

from billing.ports import CloseOutcome, CloseResult, Closing
from database.errors import StoreUnavailableError
from gateway.charging.closings import reopening
from gateway.charging.context import CallContext
from gateway.charging.hold import CallHold

log = structlog.get_logger(__name__)

_BACKOFF_S = 0.5
_BACKOFF_S_MAX = 10.0

_LATE_HOLD_S = 5.0
"""How long a request to the spend gate may still be on its way after its time-out."""

_T = TypeVar("_T")


class Settlement:
    """The settlement of one call."""

    __slots__ = ("_context", "_hold")

    def __init__(self, context: CallContext, hold: CallHold) -> None:
        self._context = context
        self._hold = hold

    async def settle(self, seconds: int, micros: int, *, is_out_of_credit: bool) -> CloseOutcome:
        """Post the final price; the account's other calls get what was held in excess.

        Returns the gate's answer: another node may have posted a different price before.
        """
        services = self._context.services
        call_id = self._context.opened.call_id
        # A reopening in progress would open what this closes; one that waits finds it closed.
        async with self._hold.lock:
            closing = self._closing(seconds, micros, is_out_of_credit=is_out_of_credit)
            # Before the gate has it: from here on the end is known even if the gate loses it.
            services.keep(reopening(self._hold.opening(0), micros), closing)
            outcome = await self._close(closing)
            if outcome.result is CloseResult.UNKNOWN:
                # Neither open nor closed there: the gate has lost the call, and can charge it only
                # once it is reopened.
                await self._persist(lambda: self._hold.open_again(micros))
                outcome = await self._close(closing)
                if outcome.result is CloseResult.UNKNOWN:
                    # Lost again at this very moment. `closings` resends the end.
                    log.error("call not settled", call_id=call_id)
            self._hold.is_open = False
            services.metering.release(call_id)
        # They may be at their cut-off, waiting for what this call returns.
        await services.metering.charge_now(closing.account_id)
        return outcome

    async def void(self) -> None:
        """Void a first hold that got no answer: it may have been placed, or may still be."""
        closing = self._closing(0, 0, is_out_of_credit=False)
        if (await self._close(closing)).result is CloseResult.UNKNOWN:
            # Closing leaves a tombstone only for an open call, so an opening that arrives later
            # would succeed.
            await asyncio.sleep(_LATE_HOLD_S)
            await self._close(closing)

    def _closing(self, seconds: int, micros: int, *, is_out_of_credit: bool) -> Closing:
        return Closing(
            call_id=self._context.opened.call_id,
            account_id=self._context.opened.account_id,
            final_micros=micros,
            seconds=seconds,
            detail=msgspec.json.encode(self._context.call.closed(seconds)),
            is_out_of_credit=is_out_of_credit,
            caps=self._hold.caps,
        )

    async def _close(self, closing: Closing) -> CloseOutcome:
        return await self._persist(lambda: self._context.services.gate.close(closing))

    async def _persist(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Ask the spend gate until it answers."""
        backoff_s = _BACKOFF_S
        # Without a limit: a node that stops cancels it, and its next run, or another node, settles
        # the call by what the gate has confirmed.
        while True:
            try:
                return await ask()
            except StoreUnavailableError:
                log.warning("call not settled yet", call_id=self._context.opened.call_id)
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, _BACKOFF_S_MAX)
