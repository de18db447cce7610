"""Defines billing's exceptions. Refusals are values (see `ports`); these are failures.

BillingError
├── MoneyError              - not an amount, or one beyond 2^53 millionths
└── RateDeckError           - a deck that cannot be read

database.errors.StoreUnavailableError: the spend gate or the book of record did not answer
├── CreditsLostError        - the book lacks credits that the spend gate has; repair it first
└── NotDrainedError         - a partition of the spend gate cannot be filled yet
"""

from __future__ import annotations

from database.errors import StoreUnavailableError


class BillingError(Exception):
    """Base class of what is wrong with money itself; `code` is stable and public."""

    code = "billing_error"


class MoneyError(BillingError):
    """An amount that cannot be parsed, or does not fit integers of 53 bits."""

    code = "bad_amount"


class RateDeckError(BillingError):
    """A rate deck that cannot be read; the message says where."""

    code = "bad_rate_deck"

    def __init__(self, message: str, *, line: int = 0, column: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class CreditsLostError(StoreUnavailableError):
    """The book of record is older than the spend gate: it was restored from a backup."""

    def __init__(self) -> None:
        super().__init__("the book of record lacks credits that the spend gate has")


class NotDrainedError(StoreUnavailableError):
    """What waits in a partition's outbox must be booked before the partition is filled."""
