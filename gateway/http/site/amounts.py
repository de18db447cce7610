"""Parses and formats amounts as people type them into forms."""

from __future__ import annotations

import re
from typing import Final

from billing.errors import MoneyError
from billing.money import in_units, parse_money

_GROUPED: Final = re.compile(r"[0-9]{1,3}([.,][0-9]{3})+")


def parse_amount(text: str) -> int | None:
    """Return the micros of an amount, 0 or more; None if it is not an amount."""
    # Some read it as thousands, others as a decimal fraction: no one must pay either by mistake.
    if _GROUPED.fullmatch(text.strip()):
        return None
    try:
        # A comma is a decimal point in most of Europe.
        micros = parse_money(text.strip().replace(",", "."))
    except MoneyError:
        return None
    return micros if micros >= 0 else None


def typed(micros: int) -> str:
    """Return an amount as people type it: "25" or "12.50"; empty for nothing."""
    if not micros:
        return ""
    units, _, rest = in_units(micros).partition(".")
    rest = rest.rstrip("0")
    # With three digits some would read it as thousands, and it would be refused.
    return f"{units}.{rest.ljust(4 if len(rest) == 3 else 2, '0')}" if rest else units
