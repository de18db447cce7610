"""Describes what a person has chosen about the use of their data, and which mails can be muted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

OPTIONAL_NOTICES: Final = ("out_of_credit", "call_refunded")
"""Mails that can be switched off, because the pages show the same. Mails about the account's
security, its payments or the terms cannot be switched off."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person has chosen, and since when."""

    objected_at: datetime | None = None
    """When they objected to the use of quality figures for improving the service (GDPR, article
    21(1))."""
    restricted_at: datetime | None = None
    """When they restricted processing: data are kept and not used (GDPR, article 18)."""
    muted: frozenset[str] = frozenset()
    """Of `OPTIONAL_NOTICES`."""

    def wants(self, notice: str) -> bool:
        """Return whether a mail may be sent."""
        if notice not in OPTIONAL_NOTICES:
            return True
        return self.restricted_at is None and notice not in self.muted


def muted_in(text: str) -> frozenset[str]:
    """Return the notices that a stored text names, without those that cannot be muted."""
    return frozenset(text.split()).intersection(OPTIONAL_NOTICES)


def muted_text(muted: Collection[str]) -> str:
    """Return the text that is stored for these notices."""
    return " ".join(name for name in OPTIONAL_NOTICES if name in muted)
