"""What operators see of refused calls and of frozen accounts: shapes only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

HOURS_MAX: Final = 24
RULES_MAX: Final = 40
ACCOUNTS_MAX: Final = 100
"""Length of each list: the rest is only counted."""


class RefusingRule(msgspec.Struct, frozen=True, kw_only=True):
    """How often one rule of admission has refused calls."""

    rule: str
    count: int
    by_hour: Sequence[int]
    """One count for each hour (UTC) of the report, oldest first."""
    accounts: int
    """How many accounts it has refused."""


class RefusedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account whose calls were refused."""

    account_id: str
    count: int
    rules: dict[str, int]
    """The same by rule."""
    last_hour: datetime
    """The hour in which a call was last refused."""


class FrozenAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account that may place no calls now."""

    account_id: str
    reasons: Sequence[str]
    """`operator`, `dispute` (a payment was taken back), `locked` (its holder is locked out),
    `leaving` (its holder has asked for its deletion) or `restricted` (its holder has restricted the
    use of their data)."""
    since: datetime
    """When the newest reason began."""


class FraudReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules refused in the last hours, and which accounts may place no calls now."""

    at: datetime
    since: datetime
    """Start of the first hour; hours are whole, and the last one is still running."""
    rules: Sequence[RefusingRule]
    """The rules with the most refusals first."""
    accounts: Sequence[RefusedAccount]
    """The accounts with the most refusals first."""
    accounts_total: int
    """How many were refused; those beyond a hundred are not listed."""
    frozen: Sequence[FrozenAccount]
    """The most recently frozen first, without deleted accounts."""
    frozen_total: int
    """How many there are; those beyond a hundred are not listed."""
