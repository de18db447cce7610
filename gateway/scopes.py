"""The scopes of API keys: each key holds some, and each route of the API needs one.

No scope includes another.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum


class Scope(StrEnum):
    """A permission of an API key."""

    CALLS = "calls"
    """Ask for prices, place calls, list and end live calls."""
    RECORDS = "records"
    """Read call records and the ledger."""
    PAYMENTS = "payments"
    """Top up, switch automatic top-ups on and off, read payments."""
    ACCOUNT = "account"
    """Read the account."""
    BUTTONS = "buttons"
    """Make, change and delete buttons on other pages."""
    SUPERVISE = "supervise"
    """Listen to the account's live calls, and more where it allows that."""
    WEBHOOKS = "webhooks"
    """Set where events of the account are posted, and read their delivery state."""
    ADMIN = "admin"
    """What an operator does with any account, and nothing else."""
    EMBED = "embed"
    """Pay for the calls of a button on other pages, and nothing else."""


LEAST = frozenset({Scope.CALLS})
"""The default: enough to place calls."""

APART = frozenset({Scope.ADMIN, Scope.EMBED})
"""Scopes that cannot be combined with others."""

PAGE = frozenset(Scope) - APART
"""What the phone page uses."""


def are_apart(scopes: Collection[Scope]) -> bool:
    """Return whether one key may have these scopes: an operator's or a button's has no others.

    So a stolen operator's key cannot place calls, and any other stolen key cannot affect other
    accounts. A button's key is no secret.
    """
    return len(set(scopes)) == 1 or APART.isdisjoint(scopes)


_BY_NAME = {scope.value: scope for scope in Scope}


def to_text(scopes: Collection[Scope]) -> str:
    """Return scopes as they are stored: their names in a fixed order, separated by spaces."""
    # In a fixed order, so that equal sets are stored as equal texts.
    return " ".join(scope for scope in Scope if scope in scopes)


def from_text(text: str) -> frozenset[Scope]:
    """Return stored scopes; unknown names allow nothing."""
    return frozenset(_BY_NAME[name] for name in text.split() if name in _BY_NAME)
