"""Buttons and proven numbers in memory: as the ports say, and no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from gateway.buttons.ports import (
    BUTTONS_MAX,
    Button,
    ButtonChange,
    ButtonKey,
    CodeTry,
    DayUsage,
    NewButton,
    ProofCaller,
    ProofStart,
    ProvenDestination,
    TakenBack,
)
from gateway.buttons.store import SqlButtons
from gateway.editors import Editor
from gateway.embed.keys import KeyMode
from gateway.embed.rules import ButtonRules

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
NUMBER = "+442079460018"
CODE = "271828"


class MemoryButtons:
    """`Buttons` of one account."""

    def __init__(self):
        self.kept: dict[str, Button] = {}
        self.deleted: list[str] = []
        self.used: dict[str, list[DayUsage]] = {}
        self.proven: list[ProvenDestination] = []
        self.editors: list[Editor] = []
        """Who has made, ended and taken back."""
        self.outcome = ButtonChange.DONE
        """What is answered in place of every change; DONE: what is right."""

    async def of_account(self, account_id):
        return [each for each in self.kept.values() if each.account_id == account_id][::-1]

    async def read(self, account_id, button_id):
        button = self.kept.get(button_id)
        return button if button and button.account_id == account_id else None

    async def was_made(self, account_id, button_id):
        return button_id in self.deleted or await self.read(account_id, button_id) is not None

    async def make(self, account_id, _epoch, new, _notice):
        self.editors.append(_epoch)
        if new.rules.destination and not self._is_proven(new.rules.destination):
            return ButtonChange.UNPROVEN
        if new.id not in self.kept and len(self.kept) >= BUTTONS_MAX:
            return ButtonChange.TOO_MANY
        if self.outcome is ButtonChange.DONE:
            self.kept.setdefault(new.id, button_of(new, account_id))
        return self.outcome

    async def change(self, account_id, _epoch, button_id, *, label, rules):
        known = await self.read(account_id, button_id)
        own = known.rules.destination if known else ""
        if rules.destination not in ("", own) and not self._is_proven(rules.destination):
            return ButtonChange.UNPROVEN
        return await self._put(account_id, button_id, label=label, rules=rules)

    async def pause(self, account_id, _epoch, button_id, *, is_paused):
        known = await self.read(account_id, button_id)
        number = known.rules.destination if known else ""
        if not is_paused and number and not self._is_proven(number):
            return ButtonChange.UNPROVEN
        return await self._put(account_id, button_id, paused_at=AT if is_paused else None)

    async def note_ended(self, account_id, _editor, button_id):
        self.editors.append(_editor)
        return await self._put(account_id, button_id)

    async def take_back(self, account_id, editor, number):
        self.editors.append(editor)
        if self.outcome is not ButtonChange.DONE:
            return self.outcome
        was_proven = self._is_proven(number)
        self.proven = [each for each in self.proven if each.number != number]
        theirs = [b.id for b in self.kept.values() if b.rules.destination == number]
        for button_id in theirs:
            await self._put(account_id, button_id, paused_at=AT)
        return TakenBack(was_proven, [self.kept[button_id] for button_id in theirs])

    async def turn(self, account_id, _epoch, button_id, *, new_key, ends_at):
        if (known := await self.read(account_id, button_id)) is None:
            return ButtonChange.NOT_FOUND
        before = known.keys
        if new_key in [each.key for each in before]:
            return self.outcome
        ended = [
            replace(each, ends_at=each.ends_at or ends_at) if each.mode is KeyMode.LIVE else each
            for each in before
        ]
        keys = [ButtonKey(new_key, KeyMode.LIVE, AT, None), *ended]
        return await self._put(account_id, button_id, keys=keys)

    async def delete(self, account_id, _epoch, button_id):
        if self.outcome is not ButtonChange.DONE:
            return self.outcome
        return (
            ButtonChange.DONE if await self._gone(account_id, button_id) else ButtonChange.NOT_FOUND
        )

    async def _gone(self, account_id, button_id):
        if await self.read(account_id, button_id):
            self.deleted.append(button_id)
            del self.kept[button_id]
        return button_id in self.deleted

    async def usage(self, account_id, *, since):
        return {
            name: [day for day in days if day.day >= since]
            for name, days in self.used.items()
            if await self.read(account_id, name)
        }

    async def destinations(self, _account_id):
        return self.proven

    def _is_proven(self, number):
        return number in [each.number for each in self.proven]

    async def _put(self, account_id, button_id, **changes):
        button = await self.read(account_id, button_id)
        if button is None:
            return ButtonChange.NOT_FOUND
        if self.outcome is ButtonChange.DONE:
            self.kept[button_id] = replace(button, **changes)
        return self.outcome


def button_of(new: NewButton, account_id: str = "ada") -> Button:
    """Return a button as it is right after it was made."""
    keys = [
        ButtonKey(new.live_key, KeyMode.LIVE, AT, None),
        ButtonKey(new.test_key, KeyMode.TEST, AT, None),
    ]
    return Button(new.id, account_id, "k1", new.label, new.rules, keys, AT, None)


def rules(**changes):
    """Return rules without faults."""
    plain = {"title": "Sales", "destination": NUMBER, "day_cap_micros": 5_000_000}
    return ButtonRules(**plain | changes)


class MemoryProofs:
    """`Proofs` that notes whom it calls; the code is always the same."""

    def __init__(self, buttons: MemoryButtons):
        self.buttons = buttons
        self.called: list[tuple[ProofCaller, str]] = []
        self.start_is: ProofStart | Exception = ProofStart.CALLED
        self.try_is: CodeTry | None = None

    async def start(self, caller, number):
        if isinstance(self.start_is, Exception):
            raise self.start_is
        self.called.append((caller, number))
        return self.start_is

    async def try_code(self, _account_id, _epoch, number, code):
        if self.try_is is not None:
            return self.try_is
        if code != CODE:
            return CodeTry.WRONG
        self.buttons.proven.insert(0, ProvenDestination(number, AT))
        return CodeTry.PROVEN


def buttons_of(stores):
    """Return the buttons in the stores of a gateway."""
    return SqlButtons(stores.engine, stores.key_epochs.invalidate)
