"""Serves `/account/buttons`: the signed-in person's buttons.

Someone who fills in the long form for longer than a step-up lasts gets it back with everything they
have typed, and renews the step-up in another window.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache
from typing import ClassVar, Final, TypeVar
from zoneinfo import available_timezones

from starlette.requests import Request
from starlette.responses import Response

from billing.money import format_money
from database.errors import StoreUnavailableError
from gateway.buttons.acts import ButtonForm, NotFound, Outcome
from gateway.buttons.forms import NEW as NEW_RULES
from gateway.buttons.forms import ButtonFields, ReadForm, TurnFields, read, written
from gateway.buttons.own_buttons import OwnButtons
from gateway.buttons.ports import BUTTONS_MAX, Button, DayUsage
from gateway.embed.keys import KeyMode
from gateway.embed.refusals import Reason
from gateway.embed.rules import ButtonRules, tidied
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.http.sessions import SignedIn
from gateway.http.site.bars import Bar, bars
from gateway.http.site.door import ACCOUNT, BUTTONS, CONFIRM, Door, said_in, see
from gateway.http.site.forms import Nothing, read_form
from gateway.ports import Account

NEW, ONE = f"{BUTTONS}/new", f"{BUTTONS}/{{button_id}}"
RULES = f"{ONE}/rules"
OVERLAP_DAYS: Final = (0, 1, 7)
CHART_DAYS: Final = 30
CHART_WIDTH, CHART_HEIGHT = 600, 120
_ONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
_REGIONS: Final = ("Africa", "America", "Asia", "Atlantic", "Australia", "Europe", "Indian")
_WORDS: Final = {
    # In forms about money these have other texts.
    "amount_range": "count_range",
    "week": "hours_invalid",
}

_T = TypeVar("_T")
CreditOf = Callable[[str], Awaitable[int]]
"""Returns the micros that an account has left. Raises StoreUnavailableError."""


@dataclass(frozen=True, slots=True)
class BudgetSpent:
    """The cost of a button's calls in a period, and its budget."""

    calls: int
    cost: str
    """As money."""
    budget: str
    """As money; empty for none."""


@dataclass(frozen=True, slots=True)
class ButtonRow:
    """A button in the list."""

    id: str
    label: str
    destination: str
    """Masked; empty if its owner's back end names each call's."""
    state: str
    """A key of the words under `button_state.`."""
    opens_at: datetime | None
    """When it opens, if closed and known."""
    today: BudgetSpent
    month: BudgetSpent


@dataclass(frozen=True, slots=True)
class ButtonsPage:
    """The buttons of an account."""

    template: ClassVar[str] = "buttons.html"
    buttons: Sequence[ButtonRow]
    may_more: bool
    """Whether the account may have another one."""
    said: str = ""


@dataclass(frozen=True, slots=True)
class ButtonFormPage:
    """The form of a button: a new one, or the rules of one that is there."""

    template: ClassVar[str] = "button_form.html"
    button_id: str
    """Empty for a new one."""
    form: ButtonFields
    destinations: Sequence[str]
    """The numbers that can be chosen, E.164."""
    zones: Sequence[str]
    seconds_most: int
    currency: str
    needs_proof: bool = False
    """Whether the sender needs a step-up first."""
    errors: Mapping[str, str] = field(default_factory=dict)
    wrong_lines: Mapping[str, str] = field(default_factory=dict)
    """Field -> the line in it that is wrong, with its number."""


@dataclass(frozen=True, slots=True)
class EndingKey:
    """A live key that was replaced and still works."""

    key: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A day with calls."""

    day: date
    calls: int
    answered: int
    seconds: int
    cost: str
    """As money."""


@dataclass(frozen=True, slots=True)
class Chart:
    """The calls of each day, as a picture."""

    width: int
    height: int
    bars: Sequence[Bar]
    first: date
    last: date
    most: int
    """Calls of the tallest bar."""


@dataclass(frozen=True, slots=True)
class ButtonPage:
    """One button: the code to paste, its state and its cost."""

    template: ClassVar[str] = "button.html"
    button: ButtonRow
    running: int
    """Its running calls, on all nodes."""
    refused: Mapping[Reason, int]
    """Reason -> visitors who were refused today, the most frequent first."""
    title: str
    origin: str
    """The gateway's origin."""
    origins: Sequence[str]
    live_key: str
    test_key: str
    ending: Sequence[EndingKey]
    chart: Chart
    usage: Sequence[UsageRow]
    """The newest day first."""
    once: str
    overlaps: Sequence[int]
    """Days that a replaced key may stay valid."""
    said: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


PAGES: Final = (ButtonsPage, ButtonFormPage, ButtonPage)


@dataclass(frozen=True)
class _Filled:
    """A form as someone has filled it in."""

    button_id: str
    """Empty for a new button."""
    fields: ButtonFields
    kept: ButtonRules
    """The rules before the change."""

    @cached_property
    def form(self) -> ReadForm:
        """The parsed form."""
        return read(self.fields, self.kept)

    @property
    def button_form(self) -> ButtonForm:
        """The parsed form, regardless of its errors."""
        return ButtonForm(self.form.label, self.form.rules)

    @property
    def path(self) -> str:
        """Its URL path."""
        return RULES.format(button_id=self.button_id) if self.button_id else NEW


@dataclass(frozen=True, slots=True)
class ButtonPages:
    """Handlers of the pages of buttons."""

    door: Door
    buttons: OwnButtons
    credit_of: CreditOf
    origin: str
    """The gateway's origin."""
    new_once: Callable[[], str]

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        own = self.door.own
        return [
            own(BUTTONS, self.list_buttons),
            own(NEW, self.show_form, step_up=True),
            own(NEW, self.make, method="POST"),
            own(ONE, self.show),
            own(RULES, self.show_rules, step_up=True),
            own(RULES, self.change, method="POST"),
            own(f"{ONE}/pause", self.pause, method="POST", page=ONE),
            own(f"{ONE}/end-calls", self.end_calls, method="POST", page=ONE),
            own(f"{ONE}/resume", self.resume, method="POST", page=ONE, step_up=True),
            own(f"{ONE}/turn", self.turn, method="POST", page=ONE, step_up=True),
            own(f"{ONE}/delete", self.delete, method="POST", page=ONE, step_up=True),
        ]

    async def list_buttons(self, request: Request, who: SignedIn) -> Response:
        """List the buttons, with what they have cost."""
        found = await self.buttons.of(who)
        usage = await self.buttons.usage(who) if found else {}
        has_credit = await self._has_credit(who) if found else True
        at = self.door.clock()
        rows = [
            _row(each, usage.get(each.id, ()), who.account, at, has_credit=has_credit)
            for each in found
        ]
        page = ButtonsPage(rows, len(rows) < BUTTONS_MAX, said_in(request))
        return self.door.show(request, page)

    async def show_form(self, request: Request, who: SignedIn) -> Response:
        """Show the form of a new button."""
        if not who.holder.is_proven:
            # The page says what to do about it.
            return see(ACCOUNT)
        fields = written("", NEW_RULES, once=self.new_once(), is_new=True)
        # Someone who has just proven a number wants it called.
        newest = next(iter(await self.buttons.destinations(who)), None)
        fields.destination = "" if newest is None else newest.number
        return await self._form(request, who, _Filled("", fields, NEW_RULES))

    async def make(self, request: Request, who: SignedIn) -> Response:
        """Create a button, and show it."""
        fields = await read_form(request, ButtonFields)
        if not _ONCE.fullmatch(fields.once):
            raise RequestRefusedError("bad_request", field="once")
        if not who.holder.is_proven:
            return see(ACCOUNT)
        filled = _Filled("", fields, NEW_RULES)
        if errors := filled.form.errors:
            return await self._again(request, who, filled, errors)
        outcome = await self.buttons.make(
            who, filled.button_form, secret=who.secret, once=fields.once
        )
        return await self._saved(request, who, filled, outcome)

    async def show(self, request: Request, who: SignedIn) -> Response:
        """Show one button."""
        return await self._show(request, who, await self._one(request, who))

    async def show_rules(self, request: Request, who: SignedIn) -> Response:
        """Show the rules of a button, to be changed."""
        button = await self._one(request, who)
        fields = written(button.label, button.rules)
        return await self._form(request, who, _Filled(button.id, fields, button.rules))

    async def change(self, request: Request, who: SignedIn) -> Response:
        """Replace name and rules."""
        button = await self._one(request, who)
        filled = _Filled(button.id, await read_form(request, ButtonFields), button.rules)
        if errors := filled.form.errors:
            return await self._again(request, who, filled, errors)
        outcome = await self.buttons.change(who, button.id, filled.button_form)
        return await self._saved(request, who, filled, outcome)

    async def pause(self, request: Request, who: SignedIn) -> Response:
        """Pause a button, so that it takes no calls."""
        return await self._set_paused(request, who, is_paused=True)

    async def end_calls(self, request: Request, who: SignedIn) -> Response:
        """End the button's running calls."""
        await read_form(request, Nothing)
        button = await self._one(request, who)
        outcome = await self.buttons.end_calls(who, button.id)
        return await self._done(request, button.id, outcome, said="button_calls_ended")

    async def resume(self, request: Request, who: SignedIn) -> Response:
        """Let a button take calls again."""
        return await self._set_paused(request, who, is_paused=False)

    async def turn(self, request: Request, who: SignedIn) -> Response:
        """Replace the live key."""
        button = await self._one(request, who)
        fields = await read_form(request, TurnFields)
        if not _ONCE.fullmatch(fields.once):
            raise RequestRefusedError("bad_request", field="once")
        # Anything that the form does not offer becomes an invalid number of days.
        days = {str(each): each for each in OVERLAP_DAYS}.get(fields.days, -1)
        outcome = await self.buttons.turn(
            who, button.id, overlap_days=days, secret=who.secret, once=fields.once
        )
        if isinstance(outcome, Faults):
            return await self._show(request, who, button, outcome.by_field)
        return await self._done(request, button.id, outcome, said="button_turned")

    async def delete(self, request: Request, who: SignedIn) -> Response:
        """Delete a button."""
        await read_form(request, Nothing)
        button_id = _id_in(request)
        stood = await self.buttons.read(who, button_id) is not None
        match await self.buttons.delete(who, button_id):
            case SessionOver():
                return await self.door.sign_in_first(request, BUTTONS)
            case StepUpNeeded():
                return see(CONFIRM, next=BUTTONS)
        # No message if it was deleted already, or is someone else's.
        return see(BUTTONS, said="button_deleted" if stood else "")

    async def _set_paused(self, request: Request, who: SignedIn, *, is_paused: bool) -> Response:
        await read_form(request, Nothing)
        button = await self._one(request, who)
        outcome = await self.buttons.pause(who, button.id, is_paused=is_paused)
        if isinstance(outcome, Faults):
            return await self._show(request, who, button, outcome.by_field)
        # No message if it was so already.
        was_paused = button.paused_at is not None
        said = "button_paused" if is_paused else "button_resumed"
        return await self._done(
            request, button.id, outcome, said="" if was_paused is is_paused else said
        )

    async def _done(
        self, request: Request, button_id: str, outcome: Outcome | StepUpNeeded, *, said: str
    ) -> Response:
        back = ONE.format(button_id=button_id)
        match outcome:
            case SessionOver():
                return await self.door.sign_in_first(request, back)
            case StepUpNeeded():
                return see(CONFIRM, next=back)
            case NotFound():
                raise RequestRefusedError("button_not_found")
        return see(back, said=said)

    async def _saved(
        self, request: Request, who: SignedIn, filled: _Filled, outcome: Outcome | StepUpNeeded
    ) -> Response:
        match outcome:
            case Button(id=button_id):
                said = "button_changed" if filled.button_id else "button_made"
                return see(ONE.format(button_id=button_id), said=said)
            case Faults(by_field):
                return await self._again(request, who, filled, by_field)
            case StepUpNeeded():
                return await self._form(request, who, filled, needs_proof=True)
            case NotFound():
                raise RequestRefusedError("button_not_found")
        return await self.door.sign_in_first(request, filled.path)

    async def _again(
        self, request: Request, who: SignedIn, filled: _Filled, errors: Mapping[str, str]
    ) -> Response:
        """Show a form with all its errors, including those of the rules."""
        form = filled.form
        found = self.buttons.acts.faults(" ".join(form.label.split()), tidied(form.rules))
        named = {name: _WORDS.get(code, code) for name, code in {**found, **errors}.items()}
        return await self._form(request, who, filled, errors=named)

    async def _form(
        self,
        request: Request,
        who: SignedIn,
        filled: _Filled,
        *,
        needs_proof: bool = False,
        errors: Mapping[str, str] | None = None,
    ) -> Response:
        proven = [each.number for each in await self.buttons.destinations(who)]
        # The button's present number was proven, even if it was withdrawn since.
        own = [number] if (number := filled.kept.destination) else []
        page = ButtonFormPage(
            button_id=filled.button_id,
            form=filled.fields,
            destinations=list(dict.fromkeys([*own, *proven])),
            zones=zones(),
            seconds_most=self.buttons.acts.call_seconds_max,
            currency=who.account.currency,
            needs_proof=needs_proof,
            errors=errors or {},
            wrong_lines=filled.form.wrong_lines,
        )
        status = 422 if errors else 403 if needs_proof else 200
        return self.door.show(request, page, status=status)

    async def _show(
        self,
        request: Request,
        who: SignedIn,
        button: Button,
        errors: Mapping[str, str] | None = None,
    ) -> Response:
        days = (await self.buttons.usage(who)).get(button.id, ())
        at, has_credit = self.door.clock(), await self._has_credit(who)
        currency = who.account.currency
        page = ButtonPage(
            button=_row(button, days, who.account, at, has_credit=has_credit),
            running=await self._known(self.buttons.running(button), 0),
            refused=await self._known(self.buttons.refused_today(button), {}),
            title=button.rules.title,
            origin=self.origin,
            origins=button.rules.origins,
            live_key=button.key_of(KeyMode.LIVE),
            test_key=button.key_of(KeyMode.TEST),
            ending=[EndingKey(key.key, key.ends_at) for key in button.keys if key.ends_at],
            chart=_chart(days, at),
            usage=[
                UsageRow(
                    each.day,
                    each.calls,
                    each.answered,
                    each.seconds,
                    cost=format_money(each.micros, currency),
                )
                for each in days
            ],
            once=self.new_once(),
            overlaps=OVERLAP_DAYS,
            said=said_in(request),
            errors=errors or {},
        )
        return self.door.show(request, page, status=422 if errors else 200)

    async def _one(self, request: Request, who: SignedIn) -> Button:
        """Return the button that a path names. Raises RequestRefusedError."""
        button = await self.buttons.read(who, _id_in(request))
        if button is None:
            raise RequestRefusedError("button_not_found")
        return button

    async def _known(self, asked: Awaitable[_T], instead: _T) -> _T:
        """Return a store's answer, or `instead`, for what the page can do without."""
        try:
            return await asked
        except StoreUnavailableError:
            return instead

    async def _has_credit(self, who: SignedIn) -> bool:
        try:
            return await self.credit_of(who.account.id) > 0
        except StoreUnavailableError:
            # While it is unknown, nothing is claimed.
            return True


def _id_in(request: Request) -> str:
    button_id = str(request.path_params["button_id"])
    # PostgreSQL cannot look for text with NUL, and no button has such an id.
    return "" if "\0" in button_id else button_id


def _row(
    button: Button, days: Sequence[DayUsage], account: Account, at: datetime, *, has_credit: bool
) -> ButtonRow:
    rules, currency = button.rules, account.currency
    today = [each for each in days if each.day == at.date()]
    month = [each for each in days if each.day >= at.date().replace(day=1)]
    state = _state(
        button,
        at,
        is_frozen=account.frozen,
        has_credit=has_credit,
        is_day_used=_is_used(today, rules.day_cap_micros),
        is_month_used=_is_used(month, rules.month_cap_micros),
    )
    return ButtonRow(
        id=button.id,
        label=button.label,
        destination=masked(rules.destination),
        state=state,
        opens_at=rules.hours.next_opening(at) if state == "closed" else None,
        today=_spent(today, rules.day_cap_micros, currency),
        month=_spent(month, rules.month_cap_micros, currency),
    )


def _state(
    button: Button,
    at: datetime,
    *,
    is_frozen: bool,
    has_credit: bool,
    is_day_used: bool,
    is_month_used: bool,
) -> str:
    """Return why a button takes no calls, first what its owner must fix; or that it is open."""
    reasons = {
        "paused": button.paused_at is not None,
        "frozen": is_frozen,
        "no_credit": not has_credit,
        "month_used": is_month_used,
        "day_used": is_day_used,
        "closed": not button.rules.hours.is_open(at),
    }
    return next((reason for reason, holds in reasons.items() if holds), "open")


def _is_used(days: Sequence[DayUsage], cap_micros: int | None) -> bool:
    return cap_micros is not None and sum(each.micros for each in days) >= cap_micros


def _spent(days: Sequence[DayUsage], cap_micros: int | None, currency: str) -> BudgetSpent:
    return BudgetSpent(
        calls=sum(each.calls for each in days),
        cost=format_money(sum(each.micros for each in days), currency),
        budget="" if cap_micros is None else format_money(cap_micros, currency),
    )


def _chart(days: Sequence[DayUsage], at: datetime) -> Chart:
    last = at.date()
    first = last - timedelta(days=CHART_DAYS - 1)
    calls = {each.day: each.calls for each in days}
    values = [calls.get(first + timedelta(days=place), 0) for place in range(CHART_DAYS)]
    return Chart(
        CHART_WIDTH,
        CHART_HEIGHT,
        bars=bars(values, width=CHART_WIDTH, height=CHART_HEIGHT),
        first=first,
        last=last,
        most=max(values),
    )


def masked(number: str) -> str:
    """Return a number masked, so that only its owner recognises it."""
    return f"{number[:3]} … {number[-4:]}" if number else ""


@lru_cache(maxsize=1)
def zones() -> Sequence[str]:
    """Return the suggested time zones: those named after cities, and UTC."""
    cities = (name for name in available_timezones() if name.startswith(_REGIONS))
    return ("UTC", *sorted(cities))
