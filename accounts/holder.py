"""Describes the adult whom an account belongs to, their devices and their choices about data."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Holder:
    """The person whom an account belongs to."""

    account_id: str
    email: str = field(repr=False)
    """As the person wrote it; compared by `EmailAddress.key`."""
    email_proven_at: datetime | None
    """When a link in a mail to it was used; no call is admitted before that."""
    password_hash: str = field(repr=False)
    """Empty for a person without a password."""
    credentials_epoch: int
    """Counts the changes of credentials: a session of an earlier epoch is over."""
    language: str
    """BCP 47, of pages and mails."""
    created_at: datetime
    locked_at: datetime | None = None
    """When someone reported that a sign-in was not theirs; a password reset unlocks."""
    objected_at: datetime | None = None
    restricted_at: datetime | None = None
    muted: str = ""
    """Mails that are switched off, as they are stored; `choices` has all three."""

    @property
    def is_proven(self) -> bool:
        """Whether the person has proven that the address is theirs."""
        return self.email_proven_at is not None

    @property
    def choices(self) -> Choices:
        """What the person has chosen about the use of their data."""
        return Choices(self.objected_at, self.restricted_at, muted_in(self.muted))


@dataclass(frozen=True, slots=True)
class Device:
    """A browser that a person has signed in from; families only, never a raw user agent."""

    id: str
    browser: str
    """Such as `Firefox`; empty if unknown."""
    system: str
    """Such as `Linux`; empty if unknown."""
    first_seen_at: datetime
    last_seen_at: datetime
    country: str = ""
    """Where it was at its last sign-in, ISO 3166 alpha-2; empty if unknown."""
