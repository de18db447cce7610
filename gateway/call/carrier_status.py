"""Translates a carrier's reports of a call into events of that call.

Reports arrive twice, out of order, or never. Each becomes the event it proves; the call's
transition table absorbs repeats, and terminal states are final. The carrier's adapter has already
translated the carrier's own words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from billing.cdr import EndedBy
from gateway.call.machine import Answered, CarrierEnded, Event, Ringing
from gateway.cause import Cause, from_sip


class CarrierState(Enum):
    """The state of a call at its carrier."""

    QUEUED = "queued"
    """Accepted; the carrier has not dialled yet."""
    DIALLING = "dialling"
    """The carrier has dialled; the phone is not ringing yet."""
    RINGING = "ringing"
    ANSWERED = "answered"
    COMPLETED = "completed"
    """Over, after it was answered."""
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """The carrier does not show the call (it may a moment later), or reports a state that its
    adapter cannot read."""


TERMINAL: Final = frozenset(
    {
        CarrierState.COMPLETED,
        CarrierState.BUSY,
        CarrierState.NO_ANSWER,
        CarrierState.FAILED,
        CarrierState.CANCELLED,
    }
)
_UNANSWERED: Final[dict[CarrierState, tuple[Cause, EndedBy]]] = {
    CarrierState.BUSY: (Cause.USER_BUSY, "callee"),
    CarrierState.NO_ANSWER: (Cause.NO_ANSWER, "callee"),
    CarrierState.FAILED: (Cause.NORMAL_TEMPORARY_FAILURE, "carrier"),
    CarrierState.CANCELLED: (Cause.ORIGINATOR_CANCEL, "caller"),
}


@dataclass(frozen=True, slots=True)
class CarrierStatus:
    """One report of a call's state, from a callback or a reply."""

    carrier_call_id: str
    state: CarrierState
    seconds: int | None = None
    """Whole seconds from answer to end; known only at the end."""
    sip_response: int = 0
    answered_at: datetime | None = None
    """Known only at the end; computed from two whole-second figures, so up to two seconds too
    early."""
    ended_at: datetime | None = None
    """By the carrier's clock, to the second."""

    @property
    def is_terminal(self) -> bool:
        """Whether the carrier's leg is over."""
        return self.state in TERMINAL

    def event(self) -> Event | None:
        """Return the event that the report proves; None if it proves nothing new."""
        if self.state is CarrierState.RINGING:
            return Ringing()
        if self.state is CarrierState.ANSWERED:
            return Answered()
        if self.state is CarrierState.COMPLETED:
            return CarrierEnded(Cause.NORMAL_CLEARING, "callee", self.seconds)
        if self.state in _UNANSWERED:
            cause, ended_by = _UNANSWERED[self.state]
            # The state says only that it failed; the SIP response of the far end says why.
            if self.state is CarrierState.FAILED:
                cause = from_sip(self.sip_response) or cause
            return CarrierEnded(cause, ended_by, 0)
        return None
