"""Says what refusals of payments mean to the outside, by their codes; part of `errors.PROBLEMS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.problem import Problem

PAYMENT_PROBLEMS: Final[Mapping[str, Problem]] = {
    "payments_off": Problem(
        501, "Top-ups by card are not set up here.", "Ask the operator for credit."
    ),
    "payment_unavailable": Problem(
        503,
        "The payment service cannot be reached right now.",
        "Nothing was charged. Try again in a moment.",
        retry=True,
    ),
    "amount_out_of_range": Problem(
        422,
        "This amount cannot be charged.",
        "Choose an amount between the smallest and the largest that are offered.",
    ),
    "payment_not_found": Problem(404, "There is no such payment.", "Check the payment's id."),
    "refund_reference_reused": Problem(
        409,
        "This payment has another refund of this reference, or one that failed.",
        "Nothing was sent back now. Use a new reference for each new refund.",
    ),
    "payment_key_reused": Problem(
        409,
        "This idempotency key was used for another payment.",
        "Use a new key for each new payment.",
    ),
    "refund_too_large": Problem(
        409,
        "Only credit that is unspent, and no more than was paid, can be refunded.",
        "Refund a smaller amount.",
    ),
    "no_saved_card": Problem(
        409,
        "There is no saved card to charge.",
        "Top up once and allow the card to be saved.",
    ),
    "charge_in_flight": Problem(
        409,
        "The saved card is being charged already.",
        "Wait a moment; the amount is added by itself.",
        retry=True,
    ),
    "card_limit_reached": Problem(
        409,
        "The saved card cannot be charged with so much more today.",
        "Pay on the payment page instead.",
    ),
}
"""Code -> HTTP status, sentence, next step, retry, WebSocket close code."""
