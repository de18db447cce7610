"""Decides which ended calls are refunded by rule, how much, and the reason shown to the customer.

Looks only at the call record: what was charged, how the call ended, what each leg carried. The
caller decides how often an account may be refunded.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from billing.cdr import CallClosed

MUTE_CALL_S_MIN = 3
"""Shorter calls may end before any audio could arrive."""
ONE_WAY_CALL_S_MIN = 8
ONE_WAY_TALK_MS_MIN = 1_000
"""Speech by the caller that anyone listening would have answered."""
OUR_FAULT_S = 60
"""What is refunded of a call that we cut off: its last minute, or all of a shorter one."""


class RefundRule(Enum):
    """Why a call is refunded; the value is the reason shown to the customer."""

    NO_AUDIO = "No sound came from the phone."
    OUR_FAULT = "The call was cut off by a fault on our side."
    ONE_WAY = "Nothing was heard from the phone."
    SHORT = "The call was too short to be of use."


@dataclass(frozen=True, slots=True)
class CallRefund:
    """The refund of one call."""

    rule: RefundRule
    micros: int


def refund_of(charged_micros: int, closed: CallClosed, *, short_call_s: int) -> CallRefund | None:
    """Return the refund of an ended call; None if the call was in order or cost nothing.

    Args:
        charged_micros: What the account paid for it.
        closed: The record of its end.
        short_call_s: Answered calls of at most this many seconds are refunded; 0 for none.

    """
    rule = _rule(closed, short_call_s)
    if rule is None or charged_micros <= 0:
        return None
    micros = charged_micros
    if rule is RefundRule.OUR_FAULT and closed.seconds > OUR_FAULT_S:
        # Rounded up, in the customer's favour.
        micros = -(-charged_micros * OUR_FAULT_S // closed.seconds)
    return CallRefund(rule, micros)


def _rule(closed: CallClosed, short_call_s: int) -> RefundRule | None:
    # Never answered, or never heard: such a call was charged nothing.
    if not closed.seconds:
        return None
    caller, phone = closed.browser, closed.carrier
    # If the caller's audio never came either, nothing shows that the phone's side was at fault.
    if closed.seconds >= MUTE_CALL_S_MIN and not phone.frames_in and caller.frames_in:
        return RefundRule.NO_AUDIO
    if closed.ended_by == "gateway":
        return RefundRule.OUR_FAULT
    # Frames without speech: the line was up. The caller must have talked, or the silence may be a
    # pause.
    if (
        closed.seconds >= ONE_WAY_CALL_S_MIN
        and caller.talk_ms >= ONE_WAY_TALK_MS_MIN
        and phone.frames_in
        and not phone.talk_ms
    ):
        return RefundRule.ONE_WAY
    return RefundRule.SHORT if closed.seconds <= short_call_s else None
