"""Puts findings of the book's audits into words: the rule, whose row it is, and the figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from billing.money import in_units
from billing.reconcile import Disagreement

FINDINGS_MAX = 100
"""Per rule: a thousand findings of one rule say no more than a hundred."""

BY_HAND = (
    "The ledger is never changed: find out what wrote this (the database's own log, a restored"
    " table), stop it, and correct the outcome by a credit with a reason"
    " (`caller accounts credit`)."
)
FROM_LEDGER = (
    "Compare `caller ledger show` with the row: the ledger's transfers are the proof, the row is"
    " kept beside them. Correct the row to what the transfers say."
)
TIMES = (
    "Compare with the carrier's own record of the call, by its carrier_call_id, and with the"
    " machines' clocks (NTP); correct the record. What was charged follows from its seconds."
)
CLOCKS = (
    "Is a machine's clock wrong (NTP), this one's or that of the drainer? Else somebody has dated"
    " it: compare with the carrier's record of the call, or the payment service's of the payment,"
    " and correct the date."
)


def finding(rule: str, row: Mapping[str, Any]) -> Disagreement:
    """Return a finding from a row: its subject first, then figures under the names to show."""
    (_, subject), *figures = row.items()
    return Disagreement(rule, str(subject), figures_of(figures))


def figures_of(figures: Iterable[tuple[str, Any]]) -> str:
    """Return named figures in words; amounts are micros, and what is None is left out."""
    return ", ".join(f"{name} {_shown(value)}" for name, value in figures if value is not None)


def _shown(value: Any) -> str:
    # bool is a kind of int in Python. PostgreSQL returns sums of bigint as Decimal.
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return str(value)
    return in_units(int(value))
