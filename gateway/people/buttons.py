"""Makes, changes, pauses, turns and deletes the buttons of whoever is signed in. Knows no HTTP."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from accounts.notice import Notice
from accounts.session import is_stepped_up
from billing.clock import Clock
from gateway.embed.keys import Mode, publishable_key
from gateway.embed.ports import Button, Buttons, Change, DayUsage, NewButton, ProvenDestination
from gateway.embed.rules import Rules, faults, tidied
from gateway.people.password import StepUpNeeded
from gateway.people.sessions import SessionOver, SignedIn
from gateway.people.sign_up import Faults

LABEL_CHARS_MAX: Final = 40
OVERLAPS: Final = {
    0: timedelta(0),
    1: timedelta(days=1),
    7: timedelta(days=7),
    30: timedelta(days=30),
}
"""Days that can be chosen -> how long a key that is replaced goes on."""
USAGE_DAYS: Final = 31
_ID_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class ButtonForm:
    """What a person wants a button to be."""

    label: str
    """For them alone."""
    rules: Rules


@dataclass(frozen=True, slots=True)
class NotFound:
    """There is no such button of this person."""


Outcome = Button | Faults | SessionOver | StepUpNeeded | NotFound
"""The button as it is now, or why nothing was changed."""

_FAULTS: Final = {
    Change.TOO_MANY: {"label": "buttons_too_many"},
    Change.UNPROVEN: {"destination": "destination_unproven"},
}


def chance_of(session_secret: str, once: str, what: str) -> bytes:
    """Return the random bytes that a form of a session makes something of.

    The same for the same form, so that a form that is sent again makes no other button. As random
    as the session's secret, of which it tells nothing (HMAC-SHA256 as a key derivation, NIST SP
    800-108).
    """
    return hmac.digest(session_secret.encode(), f"{what}\0{once}".encode(), "sha256")


@dataclass(frozen=True, slots=True)
class OwnButtons:
    """The buttons of one who is signed in. Every method raises StoreUnavailableError."""

    store: Buttons
    clock: Clock
    call_seconds_max: int
    """How long any call of this gateway may last."""

    async def of(self, who: SignedIn) -> Sequence[Button]:
        """Return a person's buttons, the newest first."""
        return await self.store.of_account(who.account.id)

    async def read(self, who: SignedIn, button_id: str) -> Button | None:
        """Return one of them."""
        return await self.store.read(who.account.id, button_id)

    async def destinations(self, who: SignedIn) -> Sequence[ProvenDestination]:
        """Return the numbers that a person has proven, the newest first."""
        return await self.store.destinations(who.account.id)

    async def usage(self, who: SignedIn) -> Mapping[str, Sequence[DayUsage]]:
        """Return what calls came to by day, in the last `USAGE_DAYS`, by the button's id."""
        since = (self.clock() - timedelta(days=USAGE_DAYS - 1)).date()
        return await self.store.usage(who.account.id, since=since)

    async def make(self, who: SignedIn, form: ButtonForm, *, secret: str, once: str) -> Outcome:
        """Make a button with its keys.

        `secret` is the session's, `once` names the form that is sent (see `chance_of`).
        """
        at = self.clock()
        if not is_stepped_up(who.session, at):
            return StepUpNeeded()
        label, rules = " ".join(form.label.split()), tidied(form.rules)
        if wrong := self.faults(label, rules):
            return Faults(wrong)
        new = NewButton(
            chance_of(secret, once, "button").hex()[: 2 * _ID_BYTES],
            label,
            rules,
            live_key=publishable_key(Mode.LIVE, chance_of(secret, once, "live key")),
            test_key=publishable_key(Mode.TEST, chance_of(secret, once, "test key")),
        )
        notice = Notice("button_made", values={"label": label, "at": at.isoformat()})
        session = who.session
        made = await self.store.make(session.account_id, session.credentials_epoch, new, notice)
        return await self._outcome(who, new.id, made)

    async def change(self, who: SignedIn, button_id: str, form: ButtonForm) -> Outcome:
        """Replace name and rules."""
        if not is_stepped_up(who.session, self.clock()):
            return StepUpNeeded()
        label, rules = " ".join(form.label.split()), tidied(form.rules)
        if wrong := self.faults(label, rules):
            return Faults(wrong)
        changed = await self.store.change(*_whose(who), button_id, label=label, rules=rules)
        return await self._outcome(who, button_id, changed)

    async def pause(self, who: SignedIn, button_id: str, *, is_paused: bool) -> Outcome:
        """Let it take no calls, or take calls again."""
        # Without a step-up: whoever sees it being abused must be able to stop it at once.
        if not is_paused and not is_stepped_up(who.session, self.clock()):
            return StepUpNeeded()
        change = await self.store.pause(*_whose(who), button_id, is_paused=is_paused)
        return await self._outcome(who, button_id, change)

    async def turn(
        self, who: SignedIn, button_id: str, *, overlap_days: int, secret: str, once: str
    ) -> Outcome:
        """Give it another live key; the one that stands goes on for `overlap_days`."""
        at = self.clock()
        if not is_stepped_up(who.session, at):
            return StepUpNeeded()
        if overlap_days not in OVERLAPS:
            return Faults({"overlap": "overlap_invalid"})
        new_key = publishable_key(Mode.LIVE, chance_of(secret, once, "live key"))
        ends_at = at + OVERLAPS[overlap_days]
        turned = await self.store.turn(*_whose(who), button_id, new_key=new_key, ends_at=ends_at)
        if turned is Change.TOO_MANY:
            return Faults({"overlap": "button_keys_too_many"})
        return await self._outcome(who, button_id, turned)

    async def delete(self, who: SignedIn, button_id: str) -> SessionOver | StepUpNeeded | None:
        """Delete it for good; one that is not there is deleted already."""
        if not is_stepped_up(who.session, self.clock()):
            return StepUpNeeded()
        deleted = await self.store.delete(*_whose(who), button_id)
        return SessionOver() if deleted is Change.SESSION_OVER else None

    def faults(self, label: str, rules: Rules) -> dict[str, str]:
        """Return what is wrong with a tidied form: field -> word; empty where nothing is."""
        wrong = dict(faults(rules, call_seconds_max=self.call_seconds_max))
        if not label or not label.isprintable():
            wrong["label"] = "button_label_needed"
        elif len(label) > LABEL_CHARS_MAX:
            wrong["label"] = "label_long"
        return wrong

    async def _outcome(self, who: SignedIn, button_id: str, change: Change) -> Outcome:
        if change is Change.SESSION_OVER:
            return SessionOver()
        if change in _FAULTS:
            return Faults(_FAULTS[change])
        button = await self.store.read(who.account.id, button_id)
        return NotFound() if button is None else button


def _whose(who: SignedIn) -> tuple[str, int]:
    return who.session.account_id, who.session.credentials_epoch
