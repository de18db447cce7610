"""Says what a person has chosen about the use of their data, and which mails they may switch off.

Pure. Knows no store; a notice only by its name.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

OPTIONAL_NOTICES: Final = ("out_of_credit", "call_refunded")
"""Mails that can be switched off: what they tell is on the pages too. Nobody can switch off what
tells of the account's security, of its payments, or of the terms."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person has chosen, and since when."""

    objected_at: datetime | None = None
    """To the use of quality figures for improving the service (GDPR, article 21(1))."""
    restricted_at: datetime | None = None
    """Data are kept and not used (GDPR, article 18)."""
    muted: frozenset[str] = frozenset()
    """Of `OPTIONAL_NOTICES`."""

    def wants(self, notice: str) -> bool:
        """Return whether a mail may be sent."""
        if notice not in OPTIONAL_NOTICES:
            return True
        return self.restricted_at is None and notice not in self.muted


def muted_in(text: str) -> frozenset[str]:
    """Return the notices that a stored text names; what can no more be switched off is left out."""
    return frozenset(text.split()).intersection(OPTIONAL_NOTICES)


def muted_text(muted: Collection[str]) -> str:
    """Return what is stored of these notices."""
    return " ".join(name for name in OPTIONAL_NOTICES if name in muted)
