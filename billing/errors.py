"""Defines billing's exceptions. Refusals are values (see `ports`); these are failures.

BillingError
├── MoneyError              - not an amount, or one beyond 2^53 millionths
├── RateDeckError           - a deck that cannot be read
└── StoreUnavailableError   - the spend gate or the book of record did not answer; retry later
    ├── CreditsLostError    - the book lacks credits that the spend gate has; repair it first
    ├── NotDrainedError     - a partition of the spend gate cannot be filled yet
    ├── StoreFullError      - the disk of a store is full
    ├── DatabaseLockedError - another process has locked the SQLite file
    └── UnfitBookError      - the book refuses us, or is not ours: retrying does not help
        └── UnfitFileError  - the SQLite file is no database, is damaged or may not be used
"""

from __future__ import annotations


class BillingError(Exception):
    """Base class; `code` is stable and public."""

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


class StoreUnavailableError(BillingError):
    """A store did not answer in time, or refused to write."""

    code = "store_unavailable"


class CreditsLostError(StoreUnavailableError):
    """The book of record is older than the spend gate: it was restored from a backup."""

    def __init__(self) -> None:
        super().__init__("the book of record lacks credits that the spend gate has")


class NotDrainedError(StoreUnavailableError):
    """What waits in a partition's outbox must be booked before the partition is filled."""


class StoreFullError(StoreUnavailableError):
    """A store refuses to write because its disk is full, or cannot be written."""


class DatabaseLockedError(StoreUnavailableError):
    """Another process has locked the file of an SQLite database."""

    def __init__(self, file: str) -> None:
        super().__init__(f"another process holds the database {file} locked")
        self.file = file


class UnfitBookError(StoreUnavailableError):
    """The book of record refuses us, or is another release's; the message says what to do."""


class UnfitFileError(UnfitBookError):
    """The SQLite file is no database, is damaged, or may not be used: repair or replace it."""
