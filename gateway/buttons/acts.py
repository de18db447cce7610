"""Creates, changes, pauses, turns, ends and deletes buttons, for a person or their program.

The caller has authorised the act: by the step-up of a session, or by the scope of a key that was
created under one.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from accounts.link import Purpose
from accounts.notice import Notice
from billing.clock import Clock
from gateway.buttons.ports import Button, ButtonChange, ButtonEras, Buttons, NewButton, TakenBack
from gateway.editors import Editor
from gateway.embed.keys import KeyMode, publishable_key
from gateway.embed.rules import ButtonRules, faults, tidied
from gateway.errors import RequestRefusedError
from gateway.http.outcomes import Faults, SessionOver
from gateway.limits.velocity import button_making_uses, refuse
from gateway.ports import Velocity
from gateway.shown_name import NameFault, fault_of

LABEL_CHARS_MAX: Final = 40
OVERLAPS: Final = {
    0: timedelta(0),
    1: timedelta(days=1),
    7: timedelta(days=7),
    30: timedelta(days=30),
}
"""Allowed numbers of days -> how long a replaced key stays valid."""
_ID_BYTES: Final = 12
_LABEL_FAULTS: Final = {
    NameFault.NEEDED: "button_label_needed",
    NameFault.HIDDEN: "characters_hidden",
    NameFault.LONG: "label_long",
}


@dataclass(frozen=True, slots=True)
class ButtonForm:
    """The requested name and rules of a button."""

    label: str
    """Shown to them only."""
    rules: ButtonRules


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose buttons are changed, and by whom."""

    account_id: str
    editor: Editor
    is_proven: bool
    """Whether calls may be placed: a person must have proven their address."""
    since: datetime | None = None
    """When the session of the person who changes them began; None for a program."""


@dataclass(frozen=True, slots=True)
class Seed:
    """What the keys of a button are derived from: the same request gives the same keys.

    As random as the secret, which the derived keys do not reveal (HMAC-SHA256 as a key derivation,
    NIST SP 800-108).
    """

    secret: str
    once: str
    """Identifies the request: a form, or an idempotency key."""

    def chance(self, what: str) -> bytes:
        """Return random bytes for one use of the seed."""
        return hmac.digest(self.secret.encode(), f"{what}\0{self.once}".encode(), "sha256")


@dataclass(frozen=True, slots=True)
class NotFound:
    """The account has no such button."""


Outcome = Button | Faults | SessionOver | NotFound
"""The button after the change, or why nothing was changed."""

_FAULTS: Final = {
    ButtonChange.TOO_MANY: {"label": "buttons_too_many"},
    ButtonChange.UNPROVEN: {"destination": "destination_unproven"},
}


@dataclass(frozen=True, slots=True)
class ButtonActs:
    """The operations on buttons. Every method raises StoreUnavailableError."""

    store: Buttons
    eras: ButtonEras
    velocity: Velocity
    clock: Clock
    call_seconds_max: int
    """How long any call of this gateway may last."""

    async def make(self, whose: Whose, form: ButtonForm, seed: Seed) -> Outcome:
        """Create a button with its keys.

        Repeating it with the same seed creates none and counts for nothing.

        Raises RequestRefusedError if the account's address is not proven, or too many were created
        within the hour.
        """
        # It could take no call, and its mails might go to someone who has nothing to do with it.
        if not whose.is_proven:
            raise RequestRefusedError("address_unproven")
        label, rules = " ".join(form.label.split()), tidied(form.rules)
        if wrong := self.faults(label, rules):
            return Faults(wrong)
        button_id = seed.chance("button").hex()[: 2 * _ID_BYTES]
        # A repeat creates nothing, and tells its sender what was created.
        if not await self.store.was_made(whose.account_id, button_id):
            refuse(await self.velocity.hit(button_making_uses(whose.account_id)))
        new = NewButton(
            button_id,
            label,
            rules,
            live_key=publishable_key(KeyMode.LIVE, seed.chance("live key")),
            test_key=publishable_key(KeyMode.TEST, seed.chance("test key")),
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
        """Pause it, or let it take calls again; running calls go on."""
        change = await self.store.pause(
            whose.account_id, whose.editor, button_id, is_paused=is_paused
        )
        return await self._outcome(whose, button_id, change)

    async def turn(self, whose: Whose, button_id: str, *, overlap_days: int, seed: Seed) -> Outcome:
        """Give it a new live key; the current one stays valid for `overlap_days`."""
        if overlap_days not in OVERLAPS:
            return Faults({"overlap": "overlap_invalid"})
        turned = await self.store.turn(
            whose.account_id,
            whose.editor,
            button_id,
            new_key=publishable_key(KeyMode.LIVE, seed.chance("live key")),
            ends_at=self.clock() + OVERLAPS[overlap_days],
        )
        if turned is ButtonChange.TOO_MANY:
            return Faults({"overlap": "button_keys_too_many"})
        return await self._outcome(whose, button_id, turned)

    async def end_calls(self, whose: Whose, button_id: str) -> Outcome:
        """End its running calls, on all nodes, within a second or two."""
        ended = await self.store.note_ended(whose.account_id, whose.editor, button_id)
        if ended is ButtonChange.DONE:
            await self.eras.end(button_id)
        return await self._outcome(whose, button_id, ended)

    async def delete(self, whose: Whose, button_id: str) -> SessionOver | None:
        """Delete it for good, and end its calls; does nothing if it is gone already."""
        deleted = await self.store.delete(whose.account_id, whose.editor, button_id)
        if deleted is ButtonChange.SESSION_OVER:
            return SessionOver()
        # Also on a repeat, in case the first attempt broke off after its commit.
        if deleted is ButtonChange.DONE:
            await self.eras.end(button_id)
        return None

    async def take_back(self, whose: Whose, number: str) -> TakenBack | SessionOver:
        """Withdraw a proven number: buttons that call it are paused, and their calls end.

        Returns these buttons; a repeat returns them again.
        """
        taken = await self.store.take_back(whose.account_id, whose.editor, number)
        if isinstance(taken, ButtonChange):
            return SessionOver()
        for button in taken.buttons:
            await self.eras.end(button.id)
        return taken

    def faults(self, label: str, rules: ButtonRules) -> dict[str, str]:
        """Return the errors of a tidied form: field -> code; empty if there are none."""
        wrong = dict(faults(rules, call_seconds_max=self.call_seconds_max))
        if (fault := fault_of(label, LABEL_CHARS_MAX)) is not None:
            wrong["label"] = _LABEL_FAULTS[fault]
        return wrong

    async def _outcome(self, whose: Whose, button_id: str, change: ButtonChange) -> Outcome:
        if change is ButtonChange.SESSION_OVER:
            return SessionOver()
        if change in _FAULTS:
            return Faults(_FAULTS[change])
        button = await self.store.read(whose.account_id, button_id)
        return NotFound() if button is None else button
