"""Builds what a call reports to its caller (wire messages) and to the books (call records).

Pure conversions.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from billing.cdr import CallClosed, CallOpened, LegQuality
from billing.meter import CutOff
from billing.money import format_money
from billing.ports import OpenResult
from billing.rating import Rate
from gateway.browser import messages as wire
from gateway.call.machine import Call
from gateway.cause import Cause
from gateway.ports import CallOrder

# Every result but OPENED must be here: the first hold is looked up without a default.
REFUSALS = {
    OpenResult.INSUFFICIENT_CREDIT: "insufficient_credit",
    OpenResult.FROZEN: "account_frozen",
    OpenResult.TOO_MANY_CALLS: "too_many_calls",
    OpenResult.CAP_REACHED: "cap_reached",
    OpenResult.ALREADY_CLOSED: "bad_token",
}
"""Result of the first hold -> public error code."""

LACKS: dict[CutOff, wire.Lack] = {
    CutOff.CREDIT: "credit",
    CutOff.CAP: "cap",
    CutOff.DURATION: "duration",
}
"""What a call ran out of, in terms of the wire protocol. Grace is missing, because running out of
it is our fault."""

_CUT_OFF_WORDS: dict[CutOff, tuple[str, str]] = {
    CutOff.CREDIT: (
        "The call was cut off because the credit is used up.",
        "Top up the account, then call again.",
    ),
    CutOff.CAP: (
        "The call was cut off because a spending limit is reached.",
        "Raise the limit, or call again when its day or month is over.",
    ),
    CutOff.DURATION: (
        "The call was cut off because it has lasted as long as a call may.",
        "Call again to go on.",
    ),
}
"""Why a call was cut off, and what to do."""

_CUT_OFF_FOR_VISITORS = (
    "The call was ended because its time is used up.",
    "Call again to go on.",
)
"""The same for a caller who does not pay: reveals nothing about someone else's credit."""

CLOSED_BUTTON = "The button was closed."
"""The message for a visitor whose call was ended by the button's owner or an operator."""

_TONES: dict[Cause, wire.ToneName] = {
    Cause.USER_BUSY: "busy",
    Cause.UNALLOCATED_NUMBER: "congestion",
    Cause.CALL_REJECTED: "congestion",
    Cause.DESTINATION_OUT_OF_ORDER: "congestion",
    Cause.NORMAL_CIRCUIT_CONGESTION: "congestion",
    Cause.SWITCH_CONGESTION: "congestion",
    Cause.NETWORK_OUT_OF_ORDER: "congestion",
    Cause.GATEWAY_DOWN: "congestion",
}


def lack_of(ran_out_of: CutOff, *, hides_money: bool) -> wire.Lack:
    """Return what a call runs out of, without revealing someone else's credit."""
    lack = LACKS[ran_out_of]
    return "cap" if hides_money and lack == "credit" else lack


def money(micros: int, currency: str) -> wire.Money:
    """Return an amount in the form of the wire protocol."""
    return wire.Money(micros, currency, format_money(micros, currency))


def quote(order: CallOrder, rate: Rate) -> wire.RateQuote:
    """Return the price of the call for its caller."""
    return wire.RateQuote(
        per_minute=money(rate.per_minute_micros, order.currency),
        connect_fee=money(rate.connect_fee_micros, order.currency),
        first_increment_s=rate.first_s,
        next_increment_s=rate.next_s,
        description=order.rate_description,
    )


def limited_by(seconds: int, longest_s: int, *, is_capped: bool = False) -> wire.Lack:
    """Return what ends a call after `seconds`, if calls may last `longest_s`.

    `is_capped` says that a spending limit runs out before the balance.
    """
    # First: the longest time allowed must not be shown as if the credit ended there.
    if seconds >= longest_s:
        return "duration"
    return "cap" if is_capped else "credit"


def ready(
    call_id: str,
    order: CallOrder,
    rate: Rate,
    *,
    webrtc: bool,
    resume_token: str,
    resume_seconds: int,
) -> wire.Ready:
    """Return the reply to a valid token."""
    # The order's codec was checked at its admission; this only narrows the type.
    codec: wire.Codec = "pcm16" if order.codec == "pcm16" else "pcmu"
    return wire.Ready(
        version=wire.VERSION,
        call_id=call_id,
        # Only the person who requested the call learns its price and number.
        destination="" if order.visitor else order.destination,
        codec=codec,
        frame_bytes=wire.FRAME_BYTES[codec],
        rate=None if order.visitor else quote(order, rate),
        webrtc=webrtc,
        resume_token=resume_token if resume_seconds else "",
        resume_seconds=resume_seconds,
    )


def caller_cause(call: Call) -> Cause:
    """Return the cause of a call that its caller ends at this moment."""
    answered = call.answered_ns is not None
    # Q.850 has no value for a caller who gives up; this one is FreeSWITCH's.
    return Cause.NORMAL_CLEARING if answered else Cause.ORIGINATOR_CANCEL


def end_tone(call: Call) -> wire.ToneName | None:
    """Return the tone for a call that failed before its answer, or was cut off after it."""
    if call.answered_ns is not None:
        return "cut-off" if call.cause is Cause.ALLOTTED_TIMEOUT else None
    if call.cause is None or call.ended_by == "caller":
        return None
    return _TONES.get(call.cause)


def end_message(
    call_id: str,
    call: Call,
    seconds: int | None,
    cost: wire.Money | None,
    ran_out_of: CutOff | None = None,
    *,
    hides_money: bool = False,
) -> wire.Cancel | wire.Disconnect:
    """Return the last message of a call; seconds and cost are None if unknown."""
    cause = call.cause or Cause.NORMAL_TEMPORARY_FAILURE
    message, action, lack = cause.message, "", None
    # The Q.850 cause only says "allotted time-out": the caller needs to know which allotment.
    if ran_out_of in LACKS:
        words = _CUT_OFF_FOR_VISITORS if hides_money else _CUT_OFF_WORDS[ran_out_of]
        (message, action), lack = words, lack_of(ran_out_of, hides_money=hides_money)
    elif hides_money and cause is Cause.MANAGER_REQUEST:
        message = CLOSED_BUTTON
    told: Mapping[str, str] = {}
    # The carrier's text about a gateway that it cannot reach says less than the cause does.
    if call.carrier_refusal is not None and cause is not Cause.GATEWAY_DOWN:
        told = call.carrier_refusal.told
    gave_up = call.answered_ns is None and call.ended_by == "caller"
    kind = wire.Cancel if gave_up else wire.Disconnect
    return kind(
        call_id=call_id,
        cause=cause,
        name=cause.name,
        message=told.get("en", message),
        ended_by=call.ended_by,
        seconds=seconds,
        cost=None if hides_money else cost,
        action=action,
        cut_off=lack,
        messages=told,
    )


def opened(call_id: str, order: CallOrder, node: str, created_at: datetime) -> CallOpened:
    """Return the record of a call's beginning, made when its hold is placed."""
    return CallOpened(
        call_id=call_id,
        account_id=order.account_id,
        node=node,
        destination=order.destination,
        country=order.country,
        codec=order.codec,
        origin=order.origin,
        currency=order.currency,
        rate=order.rate,
        created_at=created_at,
        key_id=order.key_id,
    )


class WallClock:
    """Dates the monotonic times of one call, so that its record never runs backwards."""

    def __init__(self, at_ns: int, at: datetime) -> None:
        self._at_ns = at_ns
        self._at = at

    def date(self, at_ns: int) -> datetime:
        """Return the date of a monotonic time, in UTC to the millisecond."""
        # From one reading of the wall clock at the call's beginning, so that setting the clock
        # during the call changes neither the order nor the distance of its times.
        millis = (at_ns - self._at_ns) // 1_000_000
        seconds = self._at.timestamp() + millis / 1000
        # The record has milliseconds; below that the sum of two floats is noise.
        return datetime.fromtimestamp(round(seconds, 3), UTC)

    def date_or_none(self, at_ns: int | None) -> datetime | None:
        """Return the date, or None if there is no time."""
        return None if at_ns is None else self.date(at_ns)


def closed(
    call: Call,
    clock: WallClock,
    seconds: int,
    order: CallOrder,
    legs: tuple[LegQuality, LegQuality],
) -> CallClosed:
    """Return the record of a call's end; without the legs' figures if its holder objects."""
    browser, carrier = legs if order.keeps_quality else (LegQuality(), LegQuality())
    cause = call.cause or Cause.NORMAL_TEMPORARY_FAILURE
    refusal = call.carrier_refusal
    return CallClosed(
        ringing_at=clock.date_or_none(call.ringing_ns),
        answered_at=clock.date_or_none(call.answered_ns),
        ended_at=clock.date(call.ended_ns or 0),
        seconds=seconds,
        cause=cause,
        cause_name=cause.name,
        ended_by=call.ended_by,
        carrier_call_id=call.carrier_call_id,
        carrier_seconds=call.carrier_seconds,
        carrier_code=None if refusal is None else refusal.code,
        carrier_text=None if refusal is None else refusal.text,
        browser=browser,
        carrier=carrier,
    )
