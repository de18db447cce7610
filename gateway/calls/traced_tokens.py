"""Carries a call's trace, in the order, from its token request to the node that redeems it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

import msgspec

from gateway.logs import call_events
from gateway.ports import CallOrder, CallTokens
from gateway.telemetry.tracer import RequestTrace, Tracer

REQUEST: Final[ContextVar[RequestTrace | None]] = ContextVar("request_trace", default=None)
"""The trace of the request being answered in this context."""


class TracedTokens:
    """Call tokens, as `tokens` issues and redeems them; line checks are not traced."""

    def __init__(self, tokens: CallTokens, tracer: Tracer) -> None:
        self._tokens = tokens
        self._tracer = tracer
        self.ttl_s = tokens.ttl_s

    async def issue(self, order: CallOrder) -> str:
        """Return a new token for this order. Raises StoreUnavailableError."""
        request = REQUEST.get()
        if request is not None and not order.is_check:
            order = msgspec.structs.replace(order, trace=request.issued(order.country))
        return await self._tokens.issue(order)

    async def look(self, token: str) -> tuple[CallOrder, int] | None:
        """Do as the wrapped tokens do."""
        return await self._tokens.look(token)

    async def redeem(self, token: str) -> tuple[CallOrder, str] | None:
        """Redeem a token; from then on this task is traced as part of the call it allows."""
        # A task inherits the context of its creator, which may have been about another call.
        call_events.FOLLOWER.set(None)
        call_events.ON_REFUSAL.set(None)
        clock_ns = self._tracer.clock_ns
        began_ns = clock_ns()
        redeemed = await self._tokens.redeem(token)
        trace = None if redeemed is None else self._tracer.call(redeemed[0].trace, began_ns)
        if trace is None:
            return redeemed
        call_events.FOLLOWER.set(trace)
        call_events.ON_REFUSAL.set(_at(clock_ns, trace.refused))
        task = asyncio.current_task()
        assert task is not None
        # By then the call has begun or was refused, unless its caller left meanwhile.
        task.add_done_callback(lambda _task: trace.abandon(clock_ns()))
        return redeemed


def _at(clock_ns: Callable[[], int], note: Callable[[str, int], None]) -> Callable[[str], None]:
    return lambda code: note(code, clock_ns())
