"""Opens countries for a person's calls, a few a day, and mails them about each.

The operator decides which are open to everyone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from accounts.link import Purpose
from accounts.notice import Notice
from accounts.session import is_stepped_up
from billing.clock import Clock
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.http.sessions import SignedIn

COUNTRY_UNKNOWN, COUNTRIES_USED_UP = "country_unknown", "countries_used_up"


class HolderCountries(Protocol):
    """The countries that a person has opened. Raises StoreUnavailableError."""

    async def opened(self, account_id: str) -> frozenset[str]:
        """Return them, as ISO 3166 alpha-2."""

    async def open_country(
        self,
        account_id: str,
        credentials_epoch: int,
        country: str,
        *,
        day_max: int,
        notice: Notice,
    ) -> bool | None:
        """Open one; None if the session is over, False if the daily limit is reached."""

    async def close_country(self, account_id: str, credentials_epoch: int, country: str) -> bool:
        """Close one; False if the session is over."""


@dataclass(frozen=True, slots=True)
class CountryOpened:
    """Calls to it are allowed from now on."""


@dataclass(frozen=True, slots=True)
class CountryClosed:
    """Calls to it are no longer allowed."""


@dataclass(frozen=True, slots=True)
class Countries:
    """A person's choice of countries. Raises StoreUnavailableError."""

    kept: HolderCountries
    home: frozenset[str]
    """Open to every person; empty: all are."""
    day_max: int
    """The most that a person may open within 24 hours."""
    clock: Clock

    async def opened(self, who: SignedIn) -> frozenset[str]:
        """Return the countries that a person has opened."""
        return await self.kept.opened(who.account.id)

    def is_closed(self, country: str, opened: Collection[str]) -> bool:
        """Return whether a person who has opened these countries may not call this one."""
        return bool(self.home) and country not in self.home and country not in opened

    async def open_country(
        self, who: SignedIn, country: str, name: str
    ) -> CountryOpened | SessionOver | StepUpNeeded | Faults:
        """Open a country, and send a mail that names it; an empty name means no such country."""
        if not is_stepped_up(who.session, self.clock()):
            return StepUpNeeded()
        if not name:
            return Faults({"country": COUNTRY_UNKNOWN})
        if not self.is_closed(country, ()):
            return CountryOpened()
        session = who.session
        has_opened = await self.kept.open_country(
            session.account_id,
            session.credentials_epoch,
            country,
            day_max=self.day_max,
            notice=country_opened(who.holder.email, name, reach=session.began_at),
        )
        if has_opened is None:
            return SessionOver()
        return CountryOpened() if has_opened else Faults({"country": COUNTRIES_USED_UP})

    async def close_country(self, who: SignedIn, country: str) -> CountryClosed | SessionOver:
        """Close a country that the person has opened; no mail is sent, as nothing is at risk."""
        session = who.session
        has_closed = await self.kept.close_country(
            session.account_id, session.credentials_epoch, country
        )
        return CountryClosed() if has_closed else SessionOver()


def country_opened(email: str, name: str, *, reach: datetime | None = None) -> Notice:
    """Return the mail about a country that was opened for calls."""
    return Notice("country_opened", email, {"country": name}, link=Purpose.NOT_ME, reach=reach)
