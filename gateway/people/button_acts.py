"""Makes, changes, pauses, turns, ends and deletes buttons, for a person or a program of an account.

Who may is decided before: by the step-up of a session, or by the scope of a key that was made under
one. Knows no HTTP.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from accounts.link import Purpose
from accounts.notice import Notice
from billing.clock import Clock
from gateway.embed.keys import Mode, publishable_key
from gateway.embed.ports import (
    Button,
    ButtonEras,
    Buttons,
    Change,
    Editor,
    NewButton,
    TakenBack,
)
from gateway.embed.rules import Rules, faults, tidied
from gateway.errors import RequestRefusedError
from gateway.limits.velocity import button_making_uses, refuse
from gateway.people.sessions import SessionOver
from gateway.people.sign_up import Faults
from gateway.ports import Velocity
from gateway.shown_name import NameFault, fault_of

LABEL_CHARS_MAX: Final = 40
OVERLAPS: Final = {
    0: timedelta(0),
    1: timedelta(days=1),
    7: timedelta(days=7),
    30: timedelta(days=30),
}
"""Days that can be chosen -> how long a key that is replaced goes on."""
_ID_BYTES: Final = 12
_LABEL_FAULTS: Final = {
    NameFault.NEEDED: "button_label_needed",
    NameFault.HIDDEN: "characters_hidden",
    NameFault.LONG: "label_long",
}


@dataclass(frozen=True, slots=True)
class ButtonForm:
    """What somebody wants a button to be."""

    label: str
    """For them alone."""
    rules: Rules


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose buttons are changed, and by whom."""

    account_id: str
    editor: Editor
    is_proven: bool
    """Whether calls may be made: a person must have proven their address."""
    since: datetime | None = None
    """When the session of whoever changes them began; None for a program."""


@dataclass(frozen=True, slots=True)
class Seed:
    """What the keys of a button are made of: the same for the same wish, which makes nothing twice.

    As random as the secret, of which what is made tells nothing (HMAC-SHA256 as a key derivation,
    NIST SP 800-108).
    """

    secret: str
    once: str
    """Names the wish: a form, or an idempotency key."""

    def chance(self, what: str) -> bytes:
        """Return random bytes for one use of the seed."""
        return hmac.digest(self.secret.encode(), f"{what}\0{self.once}".encode(), "sha256")


@dataclass(frozen=True, slots=True)
class NotFound:
    """There is no such button of this account."""


Outcome = Button | Faults | SessionOver | NotFound
"""The button as it is now, or why nothing was changed."""

_FAULTS: Final = {
    Change.TOO_MANY: {"label": "buttons_too_many"},
    Change.UNPROVEN: {"destination": "destination_unproven"},
}


@dataclass(frozen=True, slots=True)
class ButtonActs:
    """What can be done with buttons. Every method raises StoreUnavailableError."""

    store: Buttons
    eras: ButtonEras
    velocity: Velocity
    clock: Clock
    call_seconds_max: int
    """How long any call of this gateway may last."""

    async def make(self, whose: Whose, form: ButtonForm, seed: Seed) -> Outcome:
        """Make a button with its keys; the same seed again makes none, and counts as none.

        Raises RequestRefusedError where nobody has proven the address of the account, or too many
        were made within the hour.
        """
        # It could take no call, and its mails would go to somebody who need not know of it.
        if not whose.is_proven:
            raise RequestRefusedError("address_unproven")
        label, rules = " ".join(form.label.split()), tidied(form.rules)
        if wrong := self.faults(label, rules):
            return Faults(wrong)
        button_id = seed.chance("button").hex()[: 2 * _ID_BYTES]
        # A repeat makes nothing, and is how its sender learns what was made.
        if not await self.store.was_made(whose.account_id, button_id):
            refuse(await self.velocity.hit(button_making_uses(whose.account_id)))
        new = NewButton(
            button_id,
            label,
            rules,
            live_key=publishable_key(Mode.LIVE, seed.chance("live key")),
            test_key=publishable_key(Mode.TEST, seed.chance("test key")),
        )
        values = {"label": label, "at": self.clock().isoformat()}
        notice = Notice("button_made", values=values, link=Purpose.NOT_ME, reach=whose.since)
        made = await self.store.make(whose.account_id, whose.editor, new, notice)
        return await self._outcome(whose, new.id, made)

    async def change(self, whose: Whose, button_id: str, form: ButtonForm) -> Outcome:
        """Replace name and rules."""
        label, rules = " ".join(form.label.split()), tidied(form.rules)
        if wrong := self.faults(label, rules):
            return Faults(wrong)
        changed = await self.store.change(
            whose.account_id, whose.editor, button_id, label=label, rules=rules
        )
        return await self._outcome(whose, button_id, changed)

    async def pause(self, whose: Whose, button_id: str, *, is_paused: bool) -> Outcome:
        """Let it take no calls, or take calls again; those that run go on."""
        change = await self.store.pause(
            whose.account_id, whose.editor, button_id, is_paused=is_paused
        )
        return await self._outcome(whose, button_id, change)

    async def turn(self, whose: Whose, button_id: str, *, overlap_days: int, seed: Seed) -> Outcome:
        """Give it another live key; the one that stands goes on for `overlap_days`."""
        if overlap_days not in OVERLAPS:
            return Faults({"overlap": "overlap_invalid"})
        turned = await self.store.turn(
            whose.account_id,
            whose.editor,
            button_id,
            new_key=publishable_key(Mode.LIVE, seed.chance("live key")),
            ends_at=self.clock() + OVERLAPS[overlap_days],
        )
        if turned is Change.TOO_MANY:
            return Faults({"overlap": "button_keys_too_many"})
        return await self._outcome(whose, button_id, turned)

    async def end_calls(self, whose: Whose, button_id: str) -> Outcome:
        """End its calls that go on, on all nodes, within a second or two."""
        ended = await self.store.note_ended(whose.account_id, whose.editor, button_id)
        if ended is Change.DONE:
            await self.eras.end(button_id)
        return await self._outcome(whose, button_id, ended)

    async def delete(self, whose: Whose, button_id: str) -> SessionOver | None:
        """Delete it for good, and end its calls; one that is not there is deleted already."""
        deleted = await self.store.delete(whose.account_id, whose.editor, button_id)
        if deleted is Change.SESSION_OVER:
            return SessionOver()
        # Also by a repeat, in case the first was cut short after it was committed.
        if deleted is Change.DONE:
            await self.eras.end(button_id)
        return None

    async def take_back(self, whose: Whose, number: str) -> TakenBack | SessionOver:
        """Let no button call a proven number any more: those that do are paused, their calls end.

        Says which they are; a repeat says it again.
        """
        taken = await self.store.take_back(whose.account_id, whose.editor, number)
        if isinstance(taken, Change):
            return SessionOver()
        for button in taken.buttons:
            await self.eras.end(button.id)
        return taken

    def faults(self, label: str, rules: Rules) -> dict[str, str]:
        """Return what is wrong with a tidied form: field -> word; empty where nothing is."""
        wrong = dict(faults(rules, call_seconds_max=self.call_seconds_max))
        if (fault := fault_of(label, LABEL_CHARS_MAX)) is not None:
            wrong["label"] = _LABEL_FAULTS[fault]
        return wrong

    async def _outcome(self, whose: Whose, button_id: str, change: Change) -> Outcome:
        if change is Change.SESSION_OVER:
            return SessionOver()
        if change in _FAULTS:
            return Faults(_FAULTS[change])
        button = await self.store.read(whose.account_id, button_id)
        return NotFound() if button is None else button
