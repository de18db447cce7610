"""Classifies how a call went and how good its line was."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from billing.cdr import CallRecord, LegQuality
from gateway.cause import Cause
from gateway.ports import LiveCall


class CallOutcome(StrEnum):
    """How a call went, as its caller sees it."""

    LIVE = "live"
    """It is live, or its end is still being booked."""
    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    CANCELLED = "cancelled"
    """The caller hung up before anyone answered."""
    FAILED = "failed"
    """It was not connected, for any other reason."""


class Quality(StrEnum):
    """How good the line was."""

    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    UNKNOWN = "unknown"
    """Not measured, for example because the call was not answered."""


_BY_CAUSE: Final[Mapping[int, CallOutcome]] = {
    Cause.USER_BUSY: CallOutcome.BUSY,
    Cause.NO_USER_RESPONSE: CallOutcome.NO_ANSWER,
    Cause.NO_ANSWER: CallOutcome.NO_ANSWER,
    Cause.ORIGINATOR_CANCEL: CallOutcome.CANCELLED,
}

# ITU-T G.107 annex B: from 4 users are satisfied, below 3.6 many are not.
_GOOD_MOS, _FAIR_MOS = 4.0, 3.6


def outcome_of(call: LiveCall | CallRecord) -> CallOutcome:
    """Return how a call went."""
    if isinstance(call, LiveCall) or call.closed is None:
        return CallOutcome.LIVE
    if call.closed.answered_at is not None:
        return CallOutcome.ANSWERED
    return _BY_CAUSE.get(call.closed.cause, CallOutcome.FAILED)


def causes_of(outcome: CallOutcome) -> frozenset[int]:
    """Return the causes that end unanswered calls with this outcome."""
    if outcome is CallOutcome.FAILED:
        return frozenset(Cause) - _BY_CAUSE.keys()
    return frozenset(cause for cause, found in _BY_CAUSE.items() if found is outcome)


def quality_of(call: LiveCall | CallRecord) -> Quality:
    """Return how good the line was: that of the worse of its two legs."""
    if isinstance(call, LiveCall) or call.closed is None:
        return Quality.UNKNOWN
    legs: tuple[LegQuality, ...] = (call.closed.browser, call.closed.carrier)
    measured = [leg.mos for leg in legs if leg.mos is not None]
    if not measured:
        return Quality.UNKNOWN
    worst = min(measured)
    if worst >= _GOOD_MOS:
        return Quality.GOOD
    return Quality.FAIR if worst >= _FAIR_MOS else Quality.POOR
