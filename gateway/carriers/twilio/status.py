"""Reads the state of a call from Twilio's callbacks and from its Call resource.

Source: Twilio, "Call resource" and "Outbound call status callbacks".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from gateway.call.carrier_status import TERMINAL, CarrierState, CarrierStatus

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
    ended_at = _time(end_time) if state in TERMINAL else None
    answered_at = None
    if state is CarrierState.COMPLETED and seconds and ended_at is not None:
        # Twilio counts the duration from the answer; `start_time` may be that of the dialling.
        answered_at = ended_at - timedelta(seconds=seconds)
    return CarrierStatus(
        carrier_call_id, state, seconds, answered_at=answered_at, ended_at=ended_at
    )


def _state(status: object) -> CarrierState:
    return _STATES.get(str(status), CarrierState.UNKNOWN)


def _whole(text: object) -> int | None:
    # Nine digits are more seconds than any call has, and few enough for arithmetic with dates.
    digits = str(text)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def _time(end_time: object) -> datetime | None:
    if not isinstance(end_time, datetime):
        return None
    # Without a zone it could be off by hours, and a record would tell it as a fact.
    is_told = end_time.tzinfo is not None and end_time.year >= _YEAR_MIN
    return end_time if is_told else None
