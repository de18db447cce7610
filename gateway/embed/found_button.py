"""Declares a button as a visitor's request finds it, and what finds it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.embed.keys import KeyMode
from gateway.embed.rules import ButtonRules


@dataclass(frozen=True, slots=True)
class FoundButton:
    """A button as a visitor's request finds it, by a valid key."""

    button_id: str
    account_id: str
    key_id: str
    mode: KeyMode
    rules: ButtonRules
    is_paused: bool
    key: str
    """The publishable key in the request."""
    ends_at: datetime | None
    """When that key expires."""

    def refusal(self, at: datetime) -> str:
        """Return the code of why it takes no calls at a moment; empty if it does."""
        if self.is_paused:
            return "button_paused"
        return "" if self.rules.hours.is_open(at) else "button_closed"


class ButtonKeys(Protocol):
    """Finds buttons for visitors. Every method raises StoreUnavailableError."""

    async def by_key(self, key: str) -> FoundButton | None:
        """Return the button of a valid publishable key; None for any other text."""
