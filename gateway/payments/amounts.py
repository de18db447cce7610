"""Checks which amounts can be charged to a card. Pure."""

from __future__ import annotations

from billing.errors import MoneyError
from billing.payments import to_minor
from gateway.errors import RequestRefusedError
from gateway.settings import Settings


def chargeable(settings: Settings, micros: int, currency: str) -> int:
    """Return an amount in the minor units of its currency, as a payment service takes it.

    Raises RequestRefusedError: `amount_out_of_range` for less or more than the operator allows, and
    for an amount that is not a whole number of minor units.
    """
    if not settings.top_up_min <= micros <= settings.top_up_max:
        raise RequestRefusedError("amount_out_of_range", field="amount")
    try:
        return to_minor(micros, currency)
    except MoneyError:
        raise RequestRefusedError("amount_out_of_range", field="amount") from None
