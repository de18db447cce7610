"""Defines the double-entry rules: which transfer books which event.

A transfer moves an amount from one ledger account to another: what one loses the other gains, so
entries always sum to zero. Transfers are never changed; a wrong one is undone by its mirror image.
The hold of a live call is not a transfer; it becomes one, once, when the call has ended. Amounts
are micros: integer millionths of the account's currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CUSTOMER = "customer"
"""What we owe customers: their unspent credit. Each transfer names its customer."""
PAYMENTS = "payments"
"""Money that came in from customers, or went back to them."""
GRANTS = "grants"
"""Credit given for free."""
REVENUE = "revenue"
"""The price of calls carried."""
WRITE_OFF = "write_off"
"""The price of seconds carried that a balance could not pay; and what deleted accounts had left, or
owed."""

LEDGER_ACCOUNTS = (CUSTOMER, PAYMENTS, GRANTS, REVENUE, WRITE_OFF)

CREDIT_SOURCES: Mapping[str, str] = {
    "top-up": PAYMENTS,
    "refund": PAYMENTS,
    "dispute": PAYMENTS,
    "grant": GRANTS,
    "call-refund": REVENUE,
    "closing": WRITE_OFF,
}
"""Kind of credit -> the ledger account it comes from; a negative credit goes back there.

A refund returns money that was paid in; a dispute takes it away, and gives it back when it is won;
a call refund takes back the price of a call; a closing brings a deleted account to zero.
"""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One immutable move between two ledger accounts."""

    reference: str
    """Unique forever: this is what makes booking an event twice impossible."""
    kind: str
    source: str
    target: str
    micros: int
    """Always positive."""
    account_id: str
    """The customer concerned."""
    currency: str
    call_id: str | None = None
    reason: str = ""
    """Why, for the customer; empty if the kind explains it."""


def credit_transfer(
    account_id: str,
    currency: str,
    micros: int,
    *,
    reference: str,
    kind: str,
    reason: str = "",
    call_id: str | None = None,
) -> Transfer:
    """Return the transfer of a credit; negative micros take credit away.

    Raises ValueError for an unknown kind and for an amount of zero.
    """
    source = CREDIT_SOURCES.get(kind)
    if source is None:
        raise ValueError("unknown kind of credit")
    if not micros:
        raise ValueError("a credit of nothing")
    # A transfer's amount is always positive: taking credit away is the same move backwards.
    source, target = (source, CUSTOMER) if micros > 0 else (CUSTOMER, source)
    return Transfer(
        # The prefix keeps credits apart from charges and write-offs: all share one space of
        # references.
        reference=f"credit:{reference}",
        kind=kind,
        source=source,
        target=target,
        micros=abs(micros),
        account_id=account_id,
        currency=currency,
        call_id=call_id,
        reason=reason,
    )


def charge_transfers(
    call_id: str, account_id: str, currency: str, *, charged_micros: int, written_off_micros: int
) -> list[Transfer]:
    """Return the transfers of an ended call: its charge, and what could not be charged."""
    moves = (
        # Revenue is the full price of the call. What the balance could not pay is a loss of ours,
        # not less revenue.
        ("charge", CUSTOMER, charged_micros),
        ("write-off", WRITE_OFF, written_off_micros),
    )
    return [
        Transfer(f"{kind}:{call_id}", kind, source, REVENUE, micros, account_id, currency, call_id)
        for kind, source, micros in moves
        # The table refuses a transfer of nothing, and there is nothing to book.
        if micros
    ]
