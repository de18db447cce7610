"""Defines what a visitor learns when a call is refused, and the reason its owner counts it under.

A visitor learns nothing that concerns only the owner: neither credit nor price, number or frozen
account.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

REFUSALS: Final[Mapping[str, str]] = {
    "cap_reached": "budget_reached",
    "new_card_limited": "budget_reached",
    "too_many_calls": "button_busy",
    "calls_limited": "button_limited",
    "number_limited": "button_limited",
    "short_calls_limited": "button_limited",
    "range_limited": "button_limited",
}
_KEPT: Final = frozenset(
    (
        "bad_token",
        "bad_origin",
        "bad_message",
        "bad_request",
        "bad_resume",
        "rate_limited",
        "button_busy",
        "button_closed",
        "button_limited",
        "button_not_found",
        "button_paused",
        "budget_reached",
        "button_unavailable",
        "challenge_used",
        "challenge_wrong",
        "human_check_failed",
        "human_check_unavailable",
        "gateway_draining",
        "gateway_full",
        "internal_error",
        "message_flood",
        "start_timeout",
        "store_unavailable",
        "too_many_checks",
    )
)
"""Concern the visitor, or no one in particular."""


def told_to_visitor(code: str) -> str:
    """Return the code that a visitor sees for a refusal.

    One not known to be harmless becomes neutral.
    """
    return code if code in _KEPT else REFUSALS.get(code, "button_unavailable")


class Reason(StrEnum):
    """Why visitors do not get through, as the button's owner sees it; values are stored."""

    CLOSED = "closed"
    """Outside its opening hours."""
    PAUSED = "paused"
    BUSY = "busy"
    """All of its lines, or of the gateway's, were in use."""
    BUDGET = "budget"
    LIMIT = "limit"
    """Too many calls or tokens: by the visitor, their network, or all together."""
    CREDIT = "credit"
    """The account has too little credit, or may place no calls."""
    ORIGIN = "origin"
    """The page is not one of the button's."""
    CHALLENGE = "challenge"
    """The proof of work was wrong, too old or used."""
    HUMAN = "human"
    """The operator's check for humans failed, or gave no answer."""
    OTHER = "other"


_REASONS: Final[Mapping[str, Reason]] = {
    "button_closed": Reason.CLOSED,
    "button_paused": Reason.PAUSED,
    **dict.fromkeys(("button_busy", "too_many_calls", "gateway_full"), Reason.BUSY),
    **dict.fromkeys(("budget_reached", "cap_reached", "new_card_limited"), Reason.BUDGET),
    **dict.fromkeys(("button_limited", "calls_limited", "number_limited"), Reason.LIMIT),
    **dict.fromkeys(("short_calls_limited", "range_limited", "rate_limited"), Reason.LIMIT),
    **dict.fromkeys(("account_frozen", "account_restricted"), Reason.CREDIT),
    "insufficient_credit": Reason.CREDIT,
    "bad_origin": Reason.ORIGIN,
    **dict.fromkeys(("challenge_wrong", "challenge_used"), Reason.CHALLENGE),
    **dict.fromkeys(("human_check_failed", "human_check_unavailable"), Reason.HUMAN),
}


def reason_of(code: str) -> Reason:
    """Return the reason a refusal is counted under."""
    return _REASONS.get(code, Reason.OTHER)
