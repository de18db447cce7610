"""Makes the spans of one call from what its state machine reports; time is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.call.machine import (
    Answered,
    Call,
    CarrierEnded,
    DialAccepted,
    DialFailed,
    Event,
    Ringing,
    State,
    StreamStarted,
)
from gateway.cause import Cause
from gateway.telemetry import spans
from gateway.telemetry.spans import Trace, TraceSpan

ABANDONED: Final = "abandoned"
"""The status of a call whose caller was gone before it began."""

_SPAN_OF: Final[Mapping[State, str]] = {
    State.FUNDING: spans.HOLD,
    State.CANCELLING: spans.HOLD,
    State.DIALLING: spans.DIAL,
    State.RINGING: spans.RING,
    State.ANSWERED: spans.TALK,
    State.ON_HOLD: spans.TALK,
    State.ENDING: spans.HANG_UP,
    State.SETTLING: spans.SETTLE,
}
_EVENT_OF: Final[Mapping[type[Event], str]] = {
    DialAccepted: "carrier.accepted",
    Ringing: "carrier.ringing",
    Answered: "carrier.answered",
    StreamStarted: "carrier.media",
    CarrierEnded: "carrier.ended",
}
_FAILURES: Final = frozenset(
    {
        # All but the normal classes of Q.850, which include a busy line and no answer.
        *(cause for cause in Cause if 32 <= cause <= 127),
        Cause.MEDIA_TIMEOUT,
        Cause.GATEWAY_DOWN,
    }
)
"""Causes of calls that somebody has to look into."""


class CallTrace:
    """The spans of one call, from the redemption of its token on.

    Times are monotonic nanoseconds. Each span is handed over when it ends, the call's own last.
    """

    __slots__ = ("_dial", "_is_over", "_is_requested", "_phase", "_root", "_trace")

    def __init__(self, trace: Trace, parent_id: bytes, at_ns: int) -> None:
        self._trace = trace
        self._root = trace.begin(spans.CALL, parent_id, at_ns)
        self._phase: TraceSpan | None = self._child(spans.ADMISSION, at_ns)
        self._dial: TraceSpan | None = None
        """The order to the carrier: it may outlast the state in which it was given."""
        self._is_requested = False
        self._is_over = False

    def requested(self, call_id: str, country: str) -> None:
        """Record that the call has begun."""
        self._is_requested = True
        self._root.attributes |= {"caller.call_id": call_id, "caller.country": country}

    def advanced(self, call: Call, before: State, event: Event, at_ns: int) -> None:
        """Record what an event has changed; `before` is the state in which it came."""
        if self._is_over:
            return
        self._note(event, at_ns)
        match event:
            case DialFailed(cause):
                self._end_dial(at_ns, cause)
            case DialAccepted():
                self._end_dial(at_ns)
        if call.state is not before:
            self._move(before, call.state, at_ns)
        if call.state is State.SETTLED:
            self._finish(call, at_ns)

    def refused(self, code: str, at_ns: int) -> None:
        """Record a refusal; before there is a call it ends the trace."""
        if self._is_over:
            return
        self._root.attributes["caller.refusal"] = code
        if not self._is_requested:
            self._close(at_ns, code)

    def abandon(self, at_ns: int) -> None:
        """End the trace of a token that led to no call and no refusal: its caller had gone."""
        if not self._is_requested:
            self._close(at_ns, ABANDONED)

    def _child(self, name: str, at_ns: int) -> TraceSpan:
        return self._trace.begin(name, self._root.span_id, at_ns)

    def _note(self, event: Event, at_ns: int) -> None:
        name = _EVENT_OF.get(type(event))
        # Polls and callbacks repeat what they report for as long as a call lasts.
        if name is not None and all(name != noted for noted, _ in self._root.events):
            self._root.events.append((name, at_ns + self._trace.offset_ns))

    def _move(self, before: State, state: State, at_ns: int) -> None:
        name = _SPAN_OF.get(state)
        if name == _SPAN_OF.get(before):
            return
        self._end_phase(at_ns)
        if name == spans.DIAL:
            self._dial = self._child(name, at_ns)
        elif name is not None:
            self._phase = self._child(name, at_ns)

    def _end_phase(self, at_ns: int) -> None:
        if self._phase is not None:
            self._trace.end(self._phase, at_ns)
            self._phase = None

    def _end_dial(self, at_ns: int, cause: Cause | None = None) -> None:
        if self._dial is not None:
            if cause is not None:
                self._dial.attributes["caller.cause"] = cause.name
            self._trace.end(self._dial, at_ns, error="" if cause is None else cause.name)
            self._dial = None

    def _finish(self, call: Call, at_ns: int) -> None:
        error = str(self._root.attributes.get("caller.refusal", ""))
        if call.cause is not None:
            self._root.attributes["caller.cause"] = call.cause.name
            self._root.attributes["caller.ended_by"] = call.ended_by
            error = error or (call.cause.name if call.cause in _FAILURES else "")
        self._close(at_ns, error)

    def _close(self, at_ns: int, error: str) -> None:
        if not self._is_over:
            self._is_over = True
            self._end_phase(at_ns)
            self._end_dial(at_ns)
            self._trace.end(self._root, at_ns, error=error)
