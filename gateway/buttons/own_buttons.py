"""The buttons of a signed-in person: what their session allows, and what needs a step-up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from accounts.session import is_stepped_up
from gateway.buttons.acts import ButtonActs, ButtonForm, Outcome, Seed, Whose
from gateway.buttons.ports import Button, ButtonRefusals, DayUsage, ProvenDestination, TakenBack
from gateway.embed.refusals import Reason
from gateway.http.outcomes import SessionOver, StepUpNeeded
from gateway.http.sessions import SignedIn

USAGE_DAYS: Final = 31

OpenCalls = Callable[[str, str], Awaitable[int]]
"""Returns how many open calls of an account an API key pays for, on all nodes. Raises
StoreUnavailableError."""


@dataclass(frozen=True, slots=True)
class OwnButtons:
    """The buttons of a signed-in person. Every method raises StoreUnavailableError."""

    acts: ButtonActs
    refusals: ButtonRefusals
    open_calls: OpenCalls

    async def of(self, who: SignedIn) -> Sequence[Button]:
        """Return a person's buttons, the newest first."""
        return await self.acts.store.of_account(who.account.id)

    async def read(self, who: SignedIn, button_id: str) -> Button | None:
        """Return one of them."""
        return await self.acts.store.read(who.account.id, button_id)

    async def destinations(self, who: SignedIn) -> Sequence[ProvenDestination]:
        """Return the numbers that a person has proven, the newest first."""
        return await self.acts.store.destinations(who.account.id)

    async def usage(self, who: SignedIn) -> Mapping[str, Sequence[DayUsage]]:
        """Return the calls and cost by day, for the last `USAGE_DAYS`, by the button's id."""
        since = (self.acts.clock() - timedelta(days=USAGE_DAYS - 1)).date()
        return await self.acts.store.usage(who.account.id, since=since)

    async def running(self, button: Button) -> int:
        """Return how many of its calls are running."""
        return await self.open_calls(button.account_id, button.key_id)

    async def refused_today(self, button: Button) -> Mapping[Reason, int]:
        """Return how many visitors were refused today, by reason, the most frequent first."""
        return await self.refusals.of_day(button.id, self.acts.clock())

    async def make(
        self, who: SignedIn, form: ButtonForm, *, secret: str, once: str
    ) -> Outcome | StepUpNeeded:
        """Create a button with its keys.

        `secret` is the session's, `once` identifies the submitted form (see `Seed`).
        """
        if self._is_late(who):
            return StepUpNeeded()
        return await self.acts.make(_whose(who), form, Seed(secret, once))

    async def change(
        self, who: SignedIn, button_id: str, form: ButtonForm
    ) -> Outcome | StepUpNeeded:
        """Replace name and rules."""
        if self._is_late(who):
            return StepUpNeeded()
        return await self.acts.change(_whose(who), button_id, form)

    async def pause(
        self, who: SignedIn, button_id: str, *, is_paused: bool
    ) -> Outcome | StepUpNeeded:
        """Pause it, or let it take calls again."""
        # Without a step-up: someone who sees it being abused must be able to stop it at once.
        if not is_paused and self._is_late(who):
            return StepUpNeeded()
        return await self.acts.pause(_whose(who), button_id, is_paused=is_paused)

    async def end_calls(self, who: SignedIn, button_id: str) -> Outcome:
        """End its running calls; needs no step-up, as a pause does not."""
        return await self.acts.end_calls(_whose(who), button_id)

    async def turn(
        self, who: SignedIn, button_id: str, *, overlap_days: int, secret: str, once: str
    ) -> Outcome | StepUpNeeded:
        """Give it a new live key; the current one stays valid for `overlap_days`."""
        if self._is_late(who):
            return StepUpNeeded()
        seed = Seed(secret, once)
        return await self.acts.turn(_whose(who), button_id, overlap_days=overlap_days, seed=seed)

    async def delete(self, who: SignedIn, button_id: str) -> SessionOver | StepUpNeeded | None:
        """Delete it for good; does nothing if it is gone already."""
        if self._is_late(who):
            return StepUpNeeded()
        return await self.acts.delete(_whose(who), button_id)

    async def take_back(self, who: SignedIn, number: str) -> TakenBack | SessionOver | StepUpNeeded:
        """Withdraw a proven number, so that no button can call it."""
        if self._is_late(who):
            return StepUpNeeded()
        return await self.acts.take_back(_whose(who), number)

    def _is_late(self, who: SignedIn) -> bool:
        """Return whether a person must prove again who they are."""
        return not is_stepped_up(who.session, self.acts.clock())


def _whose(who: SignedIn) -> Whose:
    session = who.session
    is_proven = who.holder.is_proven
    return Whose(session.account_id, session.credentials_epoch, is_proven, session.began_at)
