"""Why a call ended: one enum of cause values, and the words for a person.

Values up to 127 are ITU-T Q.850; the higher ones are FreeSWITCH's extensions of it
(`switch_types.h`), which CDR tools of this field recognise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Cause(IntEnum):
    """A Q.850 cause value, or FreeSWITCH's extension of it."""

    UNALLOCATED_NUMBER = 1
    NORMAL_CLEARING = 16
    USER_BUSY = 17
    NO_USER_RESPONSE = 18
    NO_ANSWER = 19
    CALL_REJECTED = 21
    DESTINATION_OUT_OF_ORDER = 27
    INVALID_NUMBER_FORMAT = 28
    NORMAL_CIRCUIT_CONGESTION = 34
    NETWORK_OUT_OF_ORDER = 38
    NORMAL_TEMPORARY_FAILURE = 41
    SWITCH_CONGESTION = 42
    FACILITY_NOT_SUBSCRIBED = 50
    OUTGOING_CALL_BARRED = 52
    BEARERCAPABILITY_NOTAVAIL = 58
    SERVICE_UNAVAILABLE = 63
    RECOVERY_ON_TIMER_EXPIRE = 102
    PROTOCOL_ERROR = 111
    # From here on FreeSWITCH's.
    ORIGINATOR_CANCEL = 487
    SYSTEM_SHUTDOWN = 502
    MANAGER_REQUEST = 504
    ALLOTTED_TIMEOUT = 602
    MEDIA_TIMEOUT = 604
    GATEWAY_DOWN = 609

    @property
    def message(self) -> str:
        """One sentence for a person."""
        return _MESSAGES[self]


_MESSAGES = {
    Cause.UNALLOCATED_NUMBER: "This number does not exist or cannot be reached.",
    Cause.NORMAL_CLEARING: "The call has ended.",
    Cause.USER_BUSY: "The line is busy.",
    Cause.NO_USER_RESPONSE: "The phone did not respond.",
    Cause.NO_ANSWER: "Nobody answered.",
    Cause.CALL_REJECTED: "The call was declined.",
    Cause.DESTINATION_OUT_OF_ORDER: "The phone is out of service.",
    Cause.INVALID_NUMBER_FORMAT: "This is not a complete phone number.",
    Cause.NORMAL_CIRCUIT_CONGESTION: "All lines are busy. Try again in a moment.",
    Cause.NETWORK_OUT_OF_ORDER: "The phone network cannot be reached. Try again in a moment.",
    Cause.NORMAL_TEMPORARY_FAILURE: "The call failed on our side. Try again.",
    Cause.SWITCH_CONGESTION: "The phone network is overloaded. Try again in a moment.",
    Cause.FACILITY_NOT_SUBSCRIBED: (
        "The phone network does not accept this gateway's own number. Tell the operator."
    ),
    Cause.OUTGOING_CALL_BARRED: "Calls to this number are not allowed.",
    Cause.BEARERCAPABILITY_NOTAVAIL: "The sound connection to the phone could not be set up.",
    # Q.850 has no value for a limit: of all causes, only this one is never caused by anyone but us.
    Cause.SERVICE_UNAVAILABLE: "The call button takes no more calls for now: a limit is reached.",
    Cause.RECOVERY_ON_TIMER_EXPIRE: "The phone network did not answer in time.",
    Cause.PROTOCOL_ERROR: "The phone network sent something that cannot be understood.",
    Cause.ORIGINATOR_CANCEL: "You hung up before the call was answered.",
    Cause.SYSTEM_SHUTDOWN: "The gateway is being restarted. Call again in a moment.",
    Cause.MANAGER_REQUEST: "The call was ended by request.",
    Cause.ALLOTTED_TIMEOUT: "The credit or the time allowed for this call is used up.",
    Cause.MEDIA_TIMEOUT: "The sound connection was lost.",
    Cause.GATEWAY_DOWN: "The phone network could not reach this gateway. Tell the operator.",
}

# RFC 3398 section 8.2.6.1, as far as a carrier reports a SIP response for a failed call.
_FROM_SIP = {
    403: Cause.CALL_REJECTED,
    404: Cause.UNALLOCATED_NUMBER,
    408: Cause.RECOVERY_ON_TIMER_EXPIRE,
    410: Cause.UNALLOCATED_NUMBER,
    480: Cause.NO_USER_RESPONSE,
    484: Cause.INVALID_NUMBER_FORMAT,
    486: Cause.USER_BUSY,
    487: Cause.NO_ANSWER,
    500: Cause.NORMAL_TEMPORARY_FAILURE,
    502: Cause.NETWORK_OUT_OF_ORDER,
    503: Cause.NORMAL_CIRCUIT_CONGESTION,
    504: Cause.RECOVERY_ON_TIMER_EXPIRE,
    600: Cause.USER_BUSY,
    603: Cause.CALL_REJECTED,
    604: Cause.UNALLOCATED_NUMBER,
}


@dataclass(frozen=True, slots=True)
class CarrierRefusal:
    """A carrier's answer in place of a call."""

    code: int
    """The carrier's own; 0 for none."""
    text: str
    """The carrier's own words, for the operator; they name no number of a person."""
    told: Mapping[str, str]
    """One sentence for the caller, by language (BCP 47)."""


def from_sip(response_code: int) -> Cause | None:
    """Return the cause that a SIP response code stands for, or None for an unknown one."""
    return _FROM_SIP.get(response_code)
