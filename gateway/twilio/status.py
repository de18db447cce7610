"""Reads the state of a call from Twilio's callbacks and from its Call resource.

Source: Twilio, "Call resource" and "Outbound call status callbacks". Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from gateway.call.carrier_status import CarrierState, CarrierStatus

_STATES: Final = {
    "queued": CarrierState.QUEUED,
    "initiated": CarrierState.DIALLING,
    "ringing": CarrierState.RINGING,
    "in-progress": CarrierState.ANSWERED,
    "completed": CarrierState.COMPLETED,
    "busy": CarrierState.BUSY,
    "no-answer": CarrierState.NO_ANSWER,
    "failed": CarrierState.FAILED,
    "canceled": CarrierState.CANCELLED,
}
"""Twilio's `CallStatus` -> ours. A status that Twilio adds, or a missing one, proves nothing."""

_YEAR_MIN = 2008
"""The year Twilio was founded: an earlier date is not a time, and may overflow arithmetic."""


def from_callback(form: Mapping[str, str]) -> CarrierStatus:
    """Read the form of a status callback; unknown statuses and missing fields prove nothing."""
    return CarrierStatus(
        carrier_call_id=form.get("CallSid", ""),
        state=_state(form.get("CallStatus")),
        seconds=_whole(form.get("CallDuration")),
        sip_response=_whole(form.get("SipResponseCode")) or 0,
    )


def from_reply(
    carrier_call_id: str, status: object, duration: object, end_time: object = None
) -> CarrierStatus:
    """Read a Call resource; Twilio writes numbers as strings, and its `start_time` is no answer."""
    state, seconds = _state(status), _whole(duration)
    answered_at = _answered_at(end_time, seconds) if state is CarrierState.COMPLETED else None
    return CarrierStatus(carrier_call_id, state, seconds, answered_at=answered_at)


def _state(status: object) -> CarrierState:
    return _STATES.get(str(status), CarrierState.UNKNOWN)


def _whole(text: object) -> int | None:
    # Nine digits are more seconds than any call has, and few enough for arithmetic with dates.
    digits = str(text)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def _answered_at(end_time: object, seconds: int | None) -> datetime | None:
    if not seconds or not isinstance(end_time, datetime):
        return None
    # Without a zone it could be off by hours, and a record would tell it as a fact.
    if end_time.tzinfo is None or end_time.year < _YEAR_MIN:
        return None
    # Twilio counts the duration from the answer; `start_time` may be that of the dialling.
    return end_time - timedelta(seconds=seconds)
