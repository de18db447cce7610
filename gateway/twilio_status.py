"""What Twilio says of a call, as events of the call.

Status callbacks come twice, out of order, or never. Each is turned into the event it proves; the
call's transition table absorbs what it already knows, and terminal statuses are final.
Source: Twilio, "Call resource" and "Outbound call status callbacks". Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.cdr import EndedBy
from gateway.call import Answered, CarrierEnded, Event, Ringing
from gateway.cause import Cause, from_sip

TERMINAL = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})
UNKNOWN = "unknown"
"""Our word for a call that the carrier does not show; it may show it a moment later."""
_YEAR_MIN = 2008
"""Of Twilio's founding: an earlier end is no time, and cannot always be reckoned with."""
_UNANSWERED: dict[str, tuple[Cause, EndedBy]] = {
    "busy": (Cause.USER_BUSY, "callee"),
    "no-answer": (Cause.NO_ANSWER, "callee"),
    "failed": (Cause.NORMAL_TEMPORARY_FAILURE, "carrier"),
    "canceled": (Cause.ORIGINATOR_CANCEL, "caller"),
}


@dataclass(frozen=True, slots=True)
class CarrierStatus:
    """One report of a call's state, from a callback or a REST reply."""

    carrier_call_id: str
    status: str
    seconds: int | None = None
    """Whole seconds from answer to end, known at the end."""
    sip_response: int = 0
    answered_at: datetime | None = None
    """Known at the end, to a second."""

    @property
    def is_terminal(self) -> bool:
        """Whether the carrier's leg is over."""
        return self.status in TERMINAL

    def event(self) -> Event | None:
        """Return what the report proves, or None where that is nothing new."""
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


def from_callback(form: Mapping[str, str]) -> CarrierStatus:
    """Read a status callback's form; unknown statuses and missing fields prove nothing."""
    return CarrierStatus(
        carrier_call_id=form.get("CallSid", ""),
        status=form.get("CallStatus", ""),
        seconds=_whole(form.get("CallDuration")),
        sip_response=_whole(form.get("SipResponseCode")) or 0,
    )


def _whole(text: object) -> int | None:
    digits = str(text)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def from_reply(
    carrier_call_id: str, status: object, duration: object, end_time: object = None
) -> CarrierStatus:
    """Read a Call resource; Twilio writes numbers as strings, and its `start_time` is no answer."""
    seconds = _whole(duration)
    answered_at = _answered_at(end_time, seconds) if status == "completed" else None
    return CarrierStatus(carrier_call_id, str(status), seconds, answered_at=answered_at)


def _answered_at(end_time: object, seconds: int | None) -> datetime | None:
    if not seconds or not isinstance(end_time, datetime):
        return None
    if end_time.tzinfo is None or end_time.year < _YEAR_MIN:
        return None
    return end_time - timedelta(seconds=seconds)
