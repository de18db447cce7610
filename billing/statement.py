"""Builds an account's statement: what moved its credit, when and why, and the balance after it.

Live calls are not on it: their holds become a line when they have ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from billing.ledger import CUSTOMER, Transfer

CARRIED_FORWARD: Final = "carried-forward"
"""Kind and reference of the line that sums up closed books."""


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One transfer as its account holder sees it."""

    reference: str
    at: datetime
    kind: str
    reason: str
    micros: int
    """Negative for what the account paid."""
    balance_micros: int
    """The account's credit after it, holds of live calls not subtracted."""
    currency: str
    call_id: str | None
    is_forgotten: bool = False
    """Whether the details of its call have been deleted."""


@dataclass(frozen=True, slots=True)
class CallLine:
    """What one call has cost, or has brought back."""

    at: datetime
    kind: str
    """`charge`; `write-off` for what was not charged; `call-refund` for what came back."""
    reason: str
    micros: int
    """Positive, whatever it was."""
    currency: str


class StatementStore(Protocol):
    """The ledger, read by account."""

    async def page(
        self, account_id: str, *, limit: int, before: str | None = None
    ) -> Sequence[StatementLine]:
        """Return lines, newest first, older than the line with the reference `before`."""

    async def of_call(self, account_id: str, call_id: str) -> Sequence[CallLine]:
        """Return what was booked of a call of this account, the oldest first."""


def carried_forward(until: datetime, micros: int, currency: str) -> StatementLine:
    """Return the line for all that is older than an account's books."""
    return StatementLine(
        reference=CARRIED_FORWARD,
        at=until,
        kind=CARRIED_FORWARD,
        reason="",
        micros=micros,
        balance_micros=micros,
        currency=currency,
        call_id=None,
    )


def lines(
    transfers: Iterable[tuple[Transfer, datetime]],
    balance_micros: int,
    forgotten: Collection[str] = (),
) -> Iterator[StatementLine]:
    """Yield the lines of transfers, newest first; the newest left `balance_micros`.

    `forgotten` are the ids of calls that are kept no more.
    """
    for transfer, at in transfers:
        micros = transfer.micros if transfer.target == CUSTOMER else -transfer.micros
        yield StatementLine(
            reference=transfer.reference,
            at=at,
            kind=transfer.kind,
            reason=transfer.reason,
            micros=micros,
            balance_micros=balance_micros,
            currency=transfer.currency,
            call_id=transfer.call_id,
            is_forgotten=transfer.call_id in forgotten,
        )
        balance_micros -= micros
