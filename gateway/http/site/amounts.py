"""Reads and writes amounts as people type them into forms. Knows no currency."""

from __future__ import annotations

import re
from typing import Final

from billing.errors import MoneyError
from billing.money import in_units, parse_money

_GROUPED: Final = re.compile(r"[0-9]{1,3}([.,][0-9]{3})+")


def parse_amount(text: str) -> int | None:
    """Return the micros of an amount, 0 or more; None for what is none."""
    # Thousands to some, and thousandths to others: nobody is to pay either by mistake.
    if _GROUPED.fullmatch(text.strip()):
        return None
    try:
        # A comma is a decimal point in most of Europe.
        micros = parse_money(text.strip().replace(",", "."))
    except MoneyError:
        return None
    return micros if micros >= 0 else None


def typed(micros: int) -> str:
    """Return an amount as it is typed: "25" or "12.50"; empty for nothing."""
    if not micros:
        return ""
    units, _, rest = in_units(micros).partition(".")
    rest = rest.rstrip("0")
    # With three digits it would be read as thousands to some, and refused.
    return f"{units}.{rest.ljust(4 if len(rest) == 3 else 2, '0')}" if rest else units
