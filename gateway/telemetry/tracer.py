"""Decides which calls are traced, and begins their traces.

Once per call: when the token is requested. The node that redeems it follows the token.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final

from gateway.telemetry.call_trace import CallTrace
from gateway.telemetry.spans import (
    TRACE_ID_BYTES,
    Trace,
    TraceContext,
    TraceSpan,
    parse_traceparent,
)

_CHANCE_BYTES: Final = 7
"""Enough for the 53 bits that a float represents exactly."""


class RequestTrace:
    """The span of one request for a call token."""

    __slots__ = ("_clock_ns", "_is_over", "_is_told", "_span", "_trace")

    def __init__(
        self, trace: Trace, name: str, parent_id: bytes, clock_ns: Callable[[], int]
    ) -> None:
        self._trace = trace
        self._clock_ns = clock_ns
        self._span = trace.begin(name, parent_id, clock_ns())
        self._is_told = False
        self._is_over = False

    def issued(self, country: str) -> str:
        """Record that a token is issued; return what it carries to the node."""
        self._is_told = True
        self._span.attributes["caller.country"] = country
        return TraceContext(self._trace.trace_id, self._span.span_id, True).traceparent()

    def refused(self, code: str) -> None:
        """Record that a call was refused to an account."""
        if not self._is_over:
            self._is_told = True
            self._span.attributes["caller.refusal"] = code

    def answered(self, route: str, status: int) -> None:
        """End it; drop it if it was about no call, so that strangers and floods leave no trace."""
        self._is_over = True
        if self._is_told:
            self._span.attributes |= {
                "http.request.method": "POST",
                "http.route": route,
                "http.response.status_code": status,
            }
            # OpenTelemetry's conventions for HTTP: a client's fault is not an error of the span.
            error = str(status) if status >= 500 else ""
            self._trace.end(self._span, self._clock_ns(), error=error)


class Tracer:
    """Begins the traces of a process."""

    def __init__(
        self,
        emit: Callable[[TraceSpan], None],
        *,
        ratio: float,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        unix_ns: Callable[[], int] = time.time_ns,
        new_id: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Trace this fraction of all calls, from 0 to 1; `emit` gets each span when it ends."""
        self._emit = emit
        self._ratio = ratio
        self.clock_ns = clock_ns
        self._unix_ns = unix_ns
        self._new_id = new_id

    def request(self, traceparents: Sequence[str], name: str) -> RequestTrace | None:
        """Return the trace of a request with these headers; None for one that is not traced.

        A trace that the client has begun is continued. Its flag can only reduce what is traced: if
        it is not set, nothing is; if it is set, the ratio decides, by our own random choice and not
        by the trace's id, which the client has chosen.
        """
        given = parse_traceparent(traceparents)
        if given is not None and not given.is_sampled:
            return None
        chance = int.from_bytes(self._new_id(_CHANCE_BYTES)) >> 3
        if chance >= self._ratio * 2**53:
            return None
        trace_id = self._new_id(TRACE_ID_BYTES) if given is None else given.trace_id
        parent_id = b"" if given is None else given.span_id
        return RequestTrace(self._trace(trace_id), name, parent_id, self.clock_ns)

    def call(self, traceparent: str, at_ns: int) -> CallTrace | None:
        """Return the trace of a call whose token carries this; None for one that is not traced."""
        given = parse_traceparent((traceparent,)) if traceparent else None
        if given is None or not given.is_sampled:
            return None
        return CallTrace(self._trace(given.trace_id), given.span_id, at_ns)

    def _trace(self, trace_id: bytes) -> Trace:
        # Computed for each trace: the wall clock may be set while a process lives.
        return Trace(trace_id, self._unix_ns() - self.clock_ns(), self._new_id, self._emit)
