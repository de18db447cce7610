"""Translates the carrier's reports about a call into events of the call's state machine.

Reports may arrive twice, out of order, or not at all. Each becomes the event that it proves; the
transition table ignores what it already knows, and terminal statuses are final. The status words
are those of Twilio, "Call resource". Knows no HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from billing.cdr import EndedBy
from gateway.call.machine import Answered, CarrierEnded, Event, Ringing
from gateway.cause import Cause, from_sip

TERMINAL = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})
UNKNOWN = "unknown"
"""Our own status for a call that the carrier does not show yet; it may appear a moment later."""
_UNANSWERED: dict[str, tuple[Cause, EndedBy]] = {
    "busy": (Cause.USER_BUSY, "callee"),
    "no-answer": (Cause.NO_ANSWER, "callee"),
    "failed": (Cause.NORMAL_TEMPORARY_FAILURE, "carrier"),
    "canceled": (Cause.ORIGINATOR_CANCEL, "caller"),
}


@dataclass(frozen=True, slots=True)
class CarrierStatus:
    """One report of a call's state, from a callback or from a REST reply."""

    carrier_call_id: str
    status: str
    seconds: int | None = None
    """Whole seconds from answer to end; known only at the end."""
    sip_response: int = 0
    answered_at: datetime | None = None
    """Known only at the end, to the second."""

    @property
    def is_terminal(self) -> bool:
        """Whether the carrier's leg is over."""
        return self.status in TERMINAL

    def event(self) -> Event | None:
        """Return the event that this report proves, or None if it proves none."""
        if self.status == "ringing":
            return Ringing()
        if self.status == "in-progress":
            return Answered()
        if self.status == "completed":
            return CarrierEnded(Cause.NORMAL_CLEARING, "callee", self.seconds)
        if self.status in _UNANSWERED:
            cause, ended_by = _UNANSWERED[self.status]
            if self.status == "failed":
                cause = from_sip(self.sip_response) or cause
            return CarrierEnded(cause, ended_by, 0)
        return None
