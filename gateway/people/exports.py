"""Requests an export of all data about a person, and delivers it to them.

A request needs a step-up; fetching needs the session that requested it, or a step-up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from accounts.export import Export, ExportRefusal
from accounts.ports import Exports
from accounts.session import is_stepped_up, name_of
from billing.clock import Clock
from gateway.http.outcomes import SessionOver, StepUpNeeded
from gateway.http.sessions import SignedIn
from gateway.http.visitor import NewSecret


@dataclass(frozen=True, slots=True)
class NotThere:
    """The account has no such export, or its file is gone."""


@dataclass(frozen=True, slots=True)
class OwnExports:
    """The exports of a signed-in person. Raises StoreUnavailableError."""

    exports: Exports
    clock: Clock
    new_id: NewSecret

    async def ask(self, who: SignedIn) -> Export | ExportRefusal | SessionOver | StepUpNeeded:
        """Request an export."""
        if not is_stepped_up(who.session, self.clock()):
            return StepUpNeeded()
        account_id, epoch = who.session.account_id, who.session.credentials_epoch
        outcome = await self.exports.ask(account_id, epoch, self.new_id(), name_of(who.secret))
        return SessionOver() if outcome is None else outcome

    async def of(self, who: SignedIn) -> Sequence[Export]:
        """Return a person's exports, the newest first."""
        return await self.exports.of_account(who.session.account_id)

    async def fetch(
        self, who: SignedIn, export_id: str
    ) -> Export | NotThere | SessionOver | StepUpNeeded:
        """Return an export whose file may be delivered now, and note that it was."""
        at = self.clock()
        export = next((each for each in await self.of(who) if each.id == export_id), None)
        if export is None or not export.can_be_fetched(at):
            return NotThere()
        # A session that is stolen later, and used on another machine, must not get everything at
        # once.
        if export.session_digest != name_of(who.secret) and not is_stepped_up(who.session, at):
            return StepUpNeeded()
        account_id, epoch = who.session.account_id, who.session.credentials_epoch
        if not await self.exports.note_fetched(account_id, epoch):
            return SessionOver()
        return export

    async def content(self, export: Export) -> AsyncIterator[bytes]:
        """Yield the file of an export, a chunk at a time."""
        number = 0
        while (chunk := await self.exports.chunk(export.id, number)) is not None:
            yield chunk
            number += 1
