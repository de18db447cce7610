"""What API keys may do: each key holds some scopes, and each route of the API needs one.

A scope holds no other, so that a key can be read like a list.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum


class Scope(StrEnum):
    """One thing that a key may be allowed."""

    CALLS = "calls"
    """Ask for prices, place calls, see and end those that are live."""
    RECORDS = "records"
    """Read the calls there have been, and the ledger."""
    PAYMENTS = "payments"
    """Top up, switch automatic top-ups, read the payments."""
    ACCOUNT = "account"
    """Read the account itself."""
    ADMIN = "admin"
    """Whatever reaches beyond one account; no route does."""


LEAST = frozenset({Scope.CALLS})
"""What a key gets where nothing else is said: enough to dial."""

PAGE = frozenset(Scope) - {Scope.ADMIN}
"""What the phone page uses."""

_BY_NAME = {scope.value: scope for scope in Scope}


def to_text(scopes: Collection[Scope]) -> str:
    """Return scopes as they are stored: their names in a fixed order, with blanks between."""
    return " ".join(scope for scope in Scope if scope in scopes)


def from_text(text: str) -> frozenset[Scope]:
    """Return stored scopes; a name that is not known allows nothing."""
    return frozenset(_BY_NAME[name] for name in text.split() if name in _BY_NAME)
