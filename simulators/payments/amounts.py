"""Checks amounts as Stripe does, in a currency's smallest unit. Pure.

https://docs.stripe.com/currencies
"""

from __future__ import annotations

from typing import Final

from simulators.payments.errors import ApiError

# Of the smallest unit, in every currency: Stripe's own minima differ by currency and are converted.
AMOUNT_MIN: Final = 50
AMOUNT_MAX: Final = 99_999_999
ZERO_DECIMAL: Final = frozenset(
    {
        "bif",
        "clp",
        "djf",
        "gnf",
        "jpy",
        "kmf",
        "krw",
        "mga",
        "pyg",
        "rwf",
        "vnd",
        "vuv",
        "xaf",
        "xof",
        "xpf",
    }
)
THREE_DECIMAL: Final = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
# Written with two decimals although they have none: the last two digits are always zero.
WHOLE_UNITS: Final = frozenset({"isk", "ugx"})
CURRENCIES: Final = (
    ZERO_DECIMAL
    | THREE_DECIMAL
    | WHOLE_UNITS
    | {
        "aed",
        "afn",
        "all",
        "amd",
        "ang",
        "aoa",
        "ars",
        "aud",
        "awg",
        "azn",
        "bam",
        "bbd",
        "bdt",
        "bgn",
        "bmd",
        "bnd",
        "bob",
        "brl",
        "bsd",
        "bwp",
        "byn",
        "bzd",
        "cad",
        "cdf",
        "chf",
        "cny",
        "cop",
        "crc",
        "cve",
        "czk",
        "dkk",
        "dop",
        "dzd",
        "egp",
        "etb",
        "eur",
        "fjd",
        "fkp",
        "gbp",
        "gel",
        "ghs",
        "gip",
        "gmd",
        "gtq",
        "gyd",
        "hkd",
        "hnl",
        "htg",
        "huf",
        "idr",
        "ils",
        "inr",
        "jmd",
        "kes",
        "kgs",
        "khr",
        "kyd",
        "kzt",
        "lak",
        "lbp",
        "lkr",
        "lrd",
        "lsl",
        "mad",
        "mdl",
        "mkd",
        "mmk",
        "mnt",
        "mop",
        "mur",
        "mvr",
        "mwk",
        "mxn",
        "myr",
        "mzn",
        "nad",
        "ngn",
        "nio",
        "nok",
        "npr",
        "nzd",
        "pab",
        "pen",
        "pgk",
        "php",
        "pkr",
        "pln",
        "qar",
        "ron",
        "rsd",
        "rub",
        "sar",
        "sbd",
        "scr",
        "sek",
        "sgd",
        "shp",
        "sle",
        "sos",
        "srd",
        "std",
        "szl",
        "thb",
        "tjs",
        "top",
        "try",
        "ttd",
        "twd",
        "tzs",
        "uah",
        "usd",
        "uyu",
        "uzs",
        "wst",
        "xcd",
        "xcg",
        "yer",
        "zar",
        "zmw",
    }
)
"""What Stripe charges in: "Supported currencies", presentment currencies."""


def read_currency(text: str, param: str = "currency") -> str:
    """Return a currency in lower case.

    Raises:
        ApiError: Stripe does not charge in it.
    """
    currency = text.lower()
    if currency not in CURRENCIES:
        known = ", ".join(sorted(CURRENCIES))
        raise ApiError(
            f"Invalid currency: {text[:20]}. Stripe currently supports these currencies: {known}",
            param=param,
        )
    return currency


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
    # Stripe wants the last digit of a three-decimal amount to be zero.
    step = 10 if currency in THREE_DECIMAL else 100 if currency in WHOLE_UNITS else 1
    if amount % step:
        raise ApiError(f"Invalid amount: must be a multiple of {step} in {currency}", param=param)


def formatted(amount: int, currency: str) -> str:
    """Return an amount for people: `25.00 USD`, `2500 JPY`, `2.500 KWD`."""
    digits = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    whole, fraction = divmod(amount, 10**digits)
    return f"{whole}{f'.{fraction:0{digits}}' if digits else ''} {currency.upper()}"
