"""Builds the form fields of Twilio's webhooks: status, stream, TwiML, machine detection. Pure.

https://www.twilio.com/docs/voice/api/call-resource#statuscallback
https://www.twilio.com/docs/voice/twiml/stream#statuscallback
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from simulators.carrier import numbers
from simulators.carrier.calls import NS_PER_S, TERMINAL, Call, Progress, Status

API_VERSION: Final = "2010-04-01"
_UNKNOWN_PLACE: Final = ("City", "State", "Zip")


def rfc2822(at_ns: int) -> str:
    """Return a time as REST and status callbacks write it: `Mon, 16 Aug 2010 03:45:01 +0000`."""
    return format_datetime(datetime.fromtimestamp(at_ns // NS_PER_S, UTC))


def iso8601(at_ns: int) -> str:
    """Return a time as stream callbacks write it: ISO 8601 with nanoseconds."""
    seconds, fraction = divmod(at_ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def call_params(call: Call, status: Status) -> dict[str, str]:
    """Return what every webhook of a call says about it."""
    params = {
        "AccountSid": call.account_sid,
        "ApiVersion": API_VERSION,
        "CallSid": call.sid,
        "CallStatus": status.value,
        "Called": call.to,
        "Caller": call.from_,
        "Direction": "outbound-api",
        "From": call.from_,
        "To": call.to,
    }
    parties = {"Called": call.to, "To": call.to, "Caller": call.from_, "From": call.from_}
    for party, number in parties.items():
        params[f"{party}Country"] = numbers.country(number)
        # Twilio knows places of North American numbers only, and often leaves them empty.
        params.update({f"{party}{field}": "" for field in _UNKNOWN_PLACE})
    return params


def status_params(call: Call, progress: Progress) -> dict[str, str]:
    """Return the body of a status callback."""
    params = call_params(call, progress.status) | {
        "CallbackSource": "call-progress-events",
        "SequenceNumber": str(progress.sequence),
        "Timestamp": rfc2822(progress.at_ns),
    }
    # Present on calls that nobody answered, too, with "0": a capture of a busy call has them.
    if progress.status in TERMINAL:
        params |= {
            "CallDuration": str(call.seconds),
            # Twilio's names: `CallDuration` is in seconds, `Duration` in started minutes.
            "Duration": str(call.minutes),
            "SipResponseCode": str(call.sip_code),
        }
        if call.answered_by is not None:
            params["AnsweredBy"] = call.answered_by
    return params


def detection_params(call: Call, duration_ms: int) -> dict[str, str]:
    """Return the body of an asynchronous machine detection callback."""
    return {
        "AccountSid": call.account_sid,
        "AnsweredBy": call.answered_by or "unknown",
        "CallSid": call.sid,
        "MachineDetectionDuration": str(duration_ms),
    }


def stream_params(
    call: Call, stream_sid: str, event: str, at_ns: int, *, name: str = "", error: str = ""
) -> dict[str, str]:
    """Return the body of a stream callback: stream-started, stream-stopped or stream-error."""
    params = {
        "AccountSid": call.account_sid,
        "CallSid": call.sid,
        "StreamEvent": event,
        # A stream without a name is called by its identifier.
        "StreamName": name or stream_sid,
        "StreamSid": stream_sid,
        "Timestamp": iso8601(at_ns),
    }
    if error:
        params["StreamError"] = error
    return params
