"""Lets a person decide how their data are used, which mails they get, and accept new terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accounts.consent import Document, History, Version, current, missing
from accounts.data_request import DataRequest
from accounts.ports import DataChoices, Departures, People
from gateway.http.outcomes import SessionOver
from gateway.http.sessions import SignedIn


@dataclass(frozen=True, slots=True)
class Change:
    """A document that must be accepted again."""

    document: Document
    versions: Sequence[Version]
    """The versions that the person has not accepted, the newest last."""


@dataclass(frozen=True, slots=True)
class Privacy:
    """A person's decisions about their data. Every method raises StoreUnavailableError."""

    departures: Departures
    people: People
    history: History

    async def choose(self, who: SignedIn, wishes: DataChoices) -> SessionOver | None:
        """Store a person's choices, which take effect now."""
        session = who.session
        changed = await self.departures.choose(
            session.account_id, session.credentials_epoch, wishes
        )
        return SessionOver() if changed is None else None

    async def requests(self, who: SignedIn) -> Sequence[DataRequest]:
        """Return what a person has asked for about their data."""
        return await self.departures.requests(who.account.id)

    async def changes(self, who: SignedIn) -> Sequence[Change]:
        """Return what a person has to accept before they go on; usually nothing."""
        accepted = await self.departures.accepted(who.account.id)
        return [
            Change(document, _since(self.history[document], accepted.get(document, "")))
            for document in missing(accepted, self.history)
        ]

    async def missing(self, account_id: str) -> tuple[Document, ...]:
        """Return which documents an account's holder has to accept before they go on."""
        return missing(await self.departures.accepted(account_id), self.history)

    async def accept(self, who: SignedIn) -> SessionOver | None:
        """Note that a person accepts the versions in force now."""
        session, versions = who.session, current(self.history)
        is_noted = await self.departures.accept(
            session.account_id, session.credentials_epoch, versions
        )
        return None if is_noted else SessionOver()

    async def set_language(self, who: SignedIn, language: str) -> SessionOver | None:
        """Set the language of pages and mails."""
        session = who.session
        is_set = await self.people.set_language(
            session.account_id, session.credentials_epoch, language
        )
        return None if is_set else SessionOver()


def _since(versions: Sequence[Version], accepted: str) -> Sequence[Version]:
    known = [version.date for version in versions]
    begin = known.index(accepted) + 1 if accepted in known else 0
    return versions[begin:]
