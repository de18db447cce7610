"""Amounts as Stripe counts them, in a currency's smallest unit, and which ones it refuses. Pure.

https://docs.stripe.com/currencies
"""

from __future__ import annotations

import re
from typing import Final

from gateway.payment_simulator.errors import ApiError

AMOUNT_MIN: Final = 50
AMOUNT_MAX: Final = 99_999_999
ZERO_DECIMAL: Final = frozenset(
    {
        *("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga"),
        *("pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"),
    }
)
THREE_DECIMAL: Final = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
# Written with two decimals although they have none: the last two digits are always zero.
WHOLE_UNITS: Final = frozenset({"isk", "ugx"})
_CURRENCY: Final = re.compile(r"[A-Za-z]{3}")


def read_currency(text: str, param: str = "currency") -> str:
    """Return a currency in lower case.

    Raises:
        ApiError: it is not three letters.
    """
    if not _CURRENCY.fullmatch(text):
        raise ApiError(f"Invalid currency: {text[:20]}", param=param)
    return text.lower()


def check_amount(amount: int, currency: str, param: str = "amount") -> None:
    """Refuse an amount that Stripe would not charge.

    Raises:
        ApiError: it is too small, too large, or no multiple of what the currency can be paid in.
    """
    if amount < AMOUNT_MIN:
        raise ApiError(
            f"Amount must be at least {formatted(AMOUNT_MIN, currency)}",
            code="amount_too_small",
            param=param,
        )
    if amount > AMOUNT_MAX:
        raise ApiError(
            f"Amount must be no more than {formatted(AMOUNT_MAX, currency)}",
            code="amount_too_large",
            param=param,
        )
    step = 10 if currency in THREE_DECIMAL else 100 if currency in WHOLE_UNITS else 1
    if amount % step:
        raise ApiError(f"Invalid amount: must be a multiple of {step} in {currency}", param=param)


def formatted(amount: int, currency: str) -> str:
    """Return an amount for people: `25.00 USD`, `2500 JPY`, `2.500 KWD`."""
    digits = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    whole, fraction = divmod(amount, 10**digits)
    return f"{whole}{f'.{fraction:0{digits}}' if digits else ''} {currency.upper()}"
