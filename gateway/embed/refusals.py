"""Says what a visitor is told when a call is refused.

Nothing of what is the owner's alone: neither credit nor price, number or frozen account. Knows no
request.
"""

from __future__ import annotations

from collections.abc import Mapping
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
        *("bad_token", "bad_origin", "bad_message", "bad_request", "bad_resume", "rate_limited"),
        *("button_busy", "button_closed", "button_limited", "button_not_found", "button_paused"),
        *("budget_reached", "button_unavailable", "challenge_used", "challenge_wrong"),
        *("gateway_draining", "gateway_full", "internal_error", "message_flood", "start_timeout"),
        *("store_unavailable", "too_many_checks"),
    )
)
"""What concerns the visitor, or nobody in particular."""


def told_to_visitor(code: str) -> str:
    """Return the code that stands for a refusal; what is not known to be harmless says nothing."""
    return code if code in _KEPT else REFUSALS.get(code, "button_unavailable")
