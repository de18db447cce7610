"""Defines the failures of stores, SQL and Valkey alike.

StoreUnavailableError   - a store did not answer; retry later
├── StoreFullError      - the disk of a store is full
├── StoreRightError     - our user at a store lacks a right: retrying does not help
├── DatabaseLockedError - another process has locked the SQLite file
└── UnfitBookError      - the database refuses us, or is not ours: retrying does not help
    └── UnfitFileError  - the SQLite file is no database, is damaged or may not be used

Domains add their own below it, as `billing.errors` does.
"""

from __future__ import annotations

from collections.abc import Sequence


class StoreUnavailableError(Exception):
    """A store did not answer in time, or refused to write; `code` is stable and public."""

    code = "store_unavailable"


class StoreFullError(StoreUnavailableError):
    """A store refuses to write because its disk is full, or cannot be written."""


class StoreRightError(StoreUnavailableError):
    """Our user at the credit store lacks rights; the message says what to write."""

    def __init__(self, message: str, rules: Sequence[str]) -> None:
        super().__init__(message)
        self.rules = tuple(rules)
        """As access lists write them, such as `+publish`."""


class DatabaseLockedError(StoreUnavailableError):
    """Another process has locked the file of an SQLite database."""

    def __init__(self, file: str) -> None:
        super().__init__(f"another process holds the database {file} locked")
        self.file = file


class UnfitBookError(StoreUnavailableError):
    """The database refuses us, or is another release's; the message says what to do."""


class UnfitFileError(UnfitBookError):
    """The SQLite file is no database, is damaged, or may not be used: repair or replace it."""
