"""Logs the events of calls, one structured line each; nothing else logs them.

At debug level, everything received for a call has a line as well. `EVENTS` lists the events and
their fields. A line names the call, its node and its account, never a phone number or a token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, Protocol

import structlog

from gateway.call.machine import Call, DialAccepted, Event, HoldRefused, State
from gateway.cause import Cause

FIELDS: Final = ("call_id", "node", "account", "carrier_call_id")
"""In every line; empty as long as unknown."""

_CAUSE: Final = ("cause", "cause_name")
EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "call requested": ("key", "country"),
    "call refused": ("code",),
    "call placed": ("after_s",),
    "call answered": ("after_s",),
    "call ended": (*_CAUSE, "ended_by", "seconds"),
    "call settled": (*_CAUSE, "seconds", "cost_micros"),
    "call was settled by another node": ("seconds", "cost_micros"),
}
"""Event -> its own fields in addition to `FIELDS`. Every requested call is eventually refused or
settled, once; if another node has settled it, its own logs that as well."""

LISTENERS: Final[set[Callable[[str, Mapping[str, Any]], None]]] = set()
"""Called with each event and its own fields, at any log level."""


class Follower(Protocol):
    """Receives the events of one call, at any log level."""

    def requested(self, call_id: str, country: str) -> None:
        """Take the call's id, before its first event."""

    def advanced(self, call: Call, before: State, event: Event, at_ns: int) -> None:
        """Take an event of the call; `before` is the state in which it came."""


FOLLOWER: Final[ContextVar[Follower | None]] = ContextVar("follower", default=None)
"""The follower of the call that is begun in this context."""

ON_REFUSAL: Final[ContextVar[Callable[[str], None] | None]] = ContextVar("on_refusal", default=None)
"""Called with the code when the request of this context is refused."""

_log = structlog.get_logger(__name__)


def refused(code: str, *, node: str, account: str, call_id: str = "") -> None:
    """Log that a call was refused, before or after it had an id; `code` is one of `PROBLEMS`."""
    if (on_refusal := ON_REFUSAL.get()) is not None:
        on_refusal(code)
    _write("call refused", (call_id, node, account, ""), code=code)


def settled_late(
    call_id: str,
    *,
    node: str,
    account: str,
    carrier_call_id: str,
    cause: Cause,
    seconds: int,
    cost_micros: int,
) -> None:
    """Log the settlement of a call that its own node, `node`, has abandoned."""
    _settled((call_id, node, account, carrier_call_id), cause, seconds, cost_micros)


class CallLog:
    """Logs the events of one call as its state machine reaches them."""

    __slots__ = ("_account", "_call_id", "_follower", "_has_ended", "_node", "_requested_ns")

    def __init__(self, call_id: str, node: str, account: str) -> None:
        self._call_id = call_id
        self._node = node
        self._account = account
        self._requested_ns = 0
        self._has_ended = False
        self._follower = FOLLOWER.get()

    def requested(self, now_ns: int, *, key_id: str, country: str) -> None:
        """Log that an admitted caller requested the call."""
        self._requested_ns = now_ns
        self._tell(lambda follower: follower.requested(self._call_id, country))
        _write("call requested", self._ids(""), key=key_id, country=country)

    def advanced(
        self, call: Call, before: State, event: Event, now_ns: int, *, refusal: str
    ) -> None:
        """Log what an event has changed; `before` is the state in which it arrived."""
        if isinstance(event, DialAccepted):
            self._after("call placed", call, now_ns)
        # By the state change, not by the event: callback and media stream both prove an answer, and
        # only the first one changes the state.
        elif before in (State.DIALLING, State.RINGING) and call.state is State.ANSWERED:
            self._after("call answered", call, now_ns)
        if isinstance(event, HoldRefused):
            refused(refusal, node=self._node, account=self._account, call_id=self._call_id)
        # Several proofs of an end may come; the first one has set the cause.
        elif call.cause is not None and not self._has_ended:
            self._ended(call)
        self.received(type(event).__name__, call)
        self._tell(lambda follower: follower.advanced(call, before, event, now_ns))

    def received(self, what: str, call: Call) -> None:
        """Log at debug level what was received for the call, and its state then."""
        ids = dict(zip(FIELDS, self._ids(call.carrier_call_id), strict=True))
        _log.debug("call received", **ids, received=what, state=call.state.name)

    def settled(self, call: Call, seconds: int, cost_micros: int) -> None:
        """Log the price that this node has posted for the call."""
        cause = call.cause or Cause.NORMAL_TEMPORARY_FAILURE
        _settled(self._ids(call.carrier_call_id), cause, seconds, cost_micros)

    def settled_elsewhere(self, call: Call, seconds: int, cost_micros: int) -> None:
        """Log that another node has settled the call, and the price it has posted."""
        charged = {"seconds": seconds, "cost_micros": cost_micros}
        _write("call was settled by another node", self._ids(call.carrier_call_id), **charged)

    def _tell(self, of_call: Callable[[Follower], None]) -> None:
        if self._follower is None:
            return
        try:
            of_call(self._follower)
        except Exception:
            # A bug of ours, which the call survives.
            self._follower = None
            _log.exception("call no longer followed", call_id=self._call_id)

    def _ended(self, call: Call) -> None:
        self._has_ended = True
        # Zero seconds for an unanswered call.
        since_ns = call.answered_ns if call.answered_ns is not None else call.ended_ns
        seconds = ((call.ended_ns or 0) - (since_ns or 0)) / 1e9
        assert call.cause is not None
        _write(
            "call ended",
            self._ids(call.carrier_call_id),
            cause=int(call.cause),
            cause_name=call.cause.name,
            ended_by=call.ended_by,
            seconds=round(seconds, 1),
        )

    def _after(self, name: str, call: Call, now_ns: int) -> None:
        after_s = round((now_ns - self._requested_ns) / 1e9, 1)
        _write(name, self._ids(call.carrier_call_id), after_s=after_s)

    def _ids(self, carrier_call_id: str) -> tuple[str, str, str, str]:
        return self._call_id, self._node, self._account, carrier_call_id


def _settled(ids: tuple[str, str, str, str], cause: Cause, seconds: int, cost_micros: int) -> None:
    _write(
        "call settled",
        ids,
        cause=int(cause),
        cause_name=cause.name,
        seconds=seconds,
        cost_micros=cost_micros,
    )


def _write(name: str, ids: tuple[str, str, str, str], **fields: object) -> None:
    # Readers of the log rely on this table: a field that is not in it is a bug here.
    assert tuple(fields) == EVENTS[name]
    _log.info(name, **dict(zip(FIELDS, ids, strict=True)), **fields)
    for listener in LISTENERS:
        listener(name, fields)
