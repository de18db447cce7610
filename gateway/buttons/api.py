"""Serves `/v1/buttons`: the buttons of the account, their rules, keys, costs and refused visitors.

Every change of a button needs the scope `buttons`. A key with that scope was created by a person
right after a step-up, or by the operator; a signed-in person needs a step-up before the act itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from billing.errors import MoneyError
from billing.money import parse_money
from gateway.browser import messages as wire
from gateway.browser.reports import money
from gateway.buttons.acts import ButtonForm, NotFound, Outcome, Seed, Whose
from gateway.buttons.own_buttons import USAGE_DAYS, OwnButtons
from gateway.buttons.ports import Button, Buttons, DayUsage
from gateway.editors import ByKey
from gateway.embed.hours import MINUTES_A_DAY
from gateway.embed.hours import OpeningHours as KeptHours
from gateway.embed.refusals import Reason
from gateway.embed.rules import DAY_CAP_DEFAULT, MONTH_CAP_DEFAULT, ButtonRules
from gateway.embed.rules import CallAllowance as KeptAmounts
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.bearer import Authenticator
from gateway.http.body import read_json
from gateway.http.idempotency import needed_idempotency_key
from gateway.http.operation import Once, operation
from gateway.http.outcomes import Faults, SessionOver
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.scopes import Scope

ONE: Final = "/v1/buttons/{button_id}"

_RULES: Final = ("button_rules_wrong", "destination_unproven")

_T = TypeVar("_T")
_Text = Annotated[str, msgspec.Meta(max_length=256)]


class ButtonKeyView(msgspec.Struct, kw_only=True):
    """A publishable key. Times are RFC 3339 in UTC."""

    key: str
    mode: str
    made_at: datetime
    ends_at: datetime | None
    """Only for a live key that was replaced."""


class UsageView(msgspec.Struct, kw_only=True):
    """The calls of one UTC day and their cost, as far as they have ended."""

    day: date
    calls: int
    answered: int
    seconds: int
    cost: wire.Money


# Not the stored types: those ignore fields that a newer version has added.
class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a button is open."""

    zone: str = KeptHours().zone
    """An IANA time zone, such as Europe/Berlin."""
    week: tuple[tuple[tuple[int, int], ...], ...] = (((0, MINUTES_A_DAY),),) * 7
    """The spans of each of the seven days, Monday first: from which to which minute of the day."""
    holidays: tuple[date, ...] = ()
    """Days, in the zone, on which it is closed regardless of the week."""


class Amounts(KeptAmounts, frozen=True, forbid_unknown_fields=True):
    """How many calls may begin, within an hour and within a day."""


class ButtonView(msgspec.Struct, kw_only=True):
    """A button as its account sees it."""

    id: str
    label: str
    title: str
    destination: str
    """E.164; empty if the account's back end names each call's."""
    origins: Sequence[str]
    hours: Hours
    seconds_max: int
    calls_at_once: int
    amounts: Amounts
    day_cap: wire.Money | None
    month_cap: wire.Money | None
    keys: Sequence[ButtonKeyView]
    made_at: datetime
    paused_at: datetime | None
    usage: Sequence[UsageView]
    """The days with calls among the last 31, the newest first."""


class OneButtonView(ButtonView, kw_only=True):
    """A single button."""

    live_calls: int
    """On all nodes."""
    refused_today: Mapping[Reason, int]
    """Reason -> visitors who were refused on this UTC day."""


class ButtonList(msgspec.Struct, kw_only=True):
    """All buttons of the account."""

    buttons: Sequence[ButtonView]
    """The newest first."""


class DestinationView(msgspec.Struct, kw_only=True):
    """A number that the account has proven."""

    number: str
    proven_at: datetime


class DestinationList(msgspec.Struct, kw_only=True):
    """The numbers that the account has proven."""

    destinations: Sequence[DestinationView]
    """The newest first."""


class PausedButton(msgspec.Struct, kw_only=True):
    """A button that takes no calls until its number is proven again."""

    id: str
    label: str


class PausedButtons(msgspec.Struct, kw_only=True):
    """The buttons that called a number that was withdrawn."""

    paused_buttons: Sequence[PausedButton]


class ButtonBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/buttons` and `PUT /v1/buttons/{button_id}`: the whole button."""

    label: _Text
    title: _Text
    destination: _Text = ""
    """A proven number, in E.164; empty: the account's back end names each call's."""
    origins: tuple[_Text, ...] = ()
    hours: Hours = Hours()
    seconds_max: int = ButtonRules(title="").seconds_max
    calls_at_once: int = ButtonRules(title="").calls_at_once
    amounts: Amounts = Amounts()
    day_cap: str | msgspec.UnsetType | None = msgspec.UNSET
    """In the account's currency, such as "5.00"; null for none, and 5 if neither cap is given."""
    month_cap: str | msgspec.UnsetType | None = msgspec.UNSET
    """The same for a month; 50 if neither cap is given."""

    def form(self) -> ButtonForm:
        """Return it as a form. Raises RequestRefusedError."""
        day, month = self.day_cap, self.month_cap
        if day is msgspec.UNSET and month is msgspec.UNSET:
            day, month = str(DAY_CAP_DEFAULT), str(MONTH_CAP_DEFAULT)
        rules = ButtonRules(
            title=self.title,
            origins=self.origins,
            destination=self.destination,
            hours=_as(KeptHours, self.hours),
            seconds_max=self.seconds_max,
            calls_at_once=self.calls_at_once,
            amounts=_as(KeptAmounts, self.amounts),
            day_cap_micros=_micros(day, "day_cap"),
            month_cap_micros=_micros(month, "month_cap"),
        )
        return ButtonForm(self.label, rules)


class TurnBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/buttons/{button_id}/turn`."""

    overlap_days: int = 1
    """How long the replaced key stays valid: 0, 1, 7 or 30 days."""


class NumberBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/destinations/take-back`. Numbers stay out of URLs."""

    number: _Text


@dataclass(frozen=True, slots=True)
class ButtonsApi:
    """Handlers of buttons, and of the numbers that they may call."""

    auth: Authenticator
    buttons: OwnButtons
    secret: str
    """The secret that programs' keys are derived from, with their idempotency key; all nodes share
    it."""

    def routes(self) -> list[DeclaredRoute]:
        """Return the resource's routes."""
        return self.auth.serve(self)

    @operation(
        "GET /v1/buttons",
        Scope.ACCOUNT,
        ButtonList,
        gives={"button_id": "/buttons/0/id", "key": "/buttons/0/keys/0/key"},
    )
    async def list_buttons(self, _request: Request, principal: Principal) -> Response:
        """Return all buttons of the account, the newest first: there are few.

        `usage` has a line for each UTC day of the last 31 with calls.
        """
        account = principal.account
        found = await self._store.of_account(account.id)
        usage = await self._store.usage(account.id, since=self._since) if found else {}
        views = [
            ButtonView(**_fields(each, usage.get(each.id, ()), account.currency)) for each in found
        ]
        return Json(ButtonList(buttons=views))

    @operation(f"GET {ONE}", Scope.ACCOUNT, OneButtonView, problems=("button_not_found",))
    async def show_button(self, request: Request, principal: Principal) -> Response:
        """Return one button.

        With its live calls on all nodes, and how many visitors did not get through on this UTC day.
        """
        found = await self._store.read(principal.account.id, _id_in(request))
        return await self._shown(principal, NotFound() if found is None else found)

    @operation(
        "POST /v1/buttons",
        Scope.BUTTONS,
        OneButtonView,
        status=201,
        body=ButtonBody,
        problems=("button_not_found", *_RULES, "buttons_too_many"),
        once=Once.REQUIRED,
        gives={"button_id": "/id", "key": "/keys/0/key"},
        step_up=True,
    )
    async def make_button(self, request: Request, principal: Principal) -> Response:
        """Create a button; repeating the idempotency key creates none, and returns the first.

        Label and title are required; if neither cap is given, it may spend 5 a day and 50 a month.
        `destination` is a proven number, or left out: then your back end names each call's. An
        account has 20 at most. A button that was deleted since is not created again.
        """
        seed = self._seed(request, principal)
        form = (await read_json(request, ButtonBody)).form()
        made = await self.buttons.acts.make(_whose(principal), form, seed)
        return await self._shown(principal, made, 201)

    @operation(
        f"PUT {ONE}",
        Scope.BUTTONS,
        OneButtonView,
        body=ButtonBody,
        problems=("button_not_found", *_RULES),
        step_up=True,
    )
    async def change_button(self, request: Request, principal: Principal) -> Response:
        """Replace the name and rules of a button; what the body omits is set as in a new one."""
        form = (await read_json(request, ButtonBody)).form()
        changed = await self.buttons.acts.change(_whose(principal), _id_in(request), form)
        return await self._shown(principal, changed)

    # As on the pages, without a step-up: someone who sees a button being abused can stop it at
    # once.
    @operation(
        f"POST {ONE}/pause",
        Scope.BUTTONS,
        OneButtonView,
        problems=("button_not_found",),
        before_terms=True,
    )
    async def pause_button(self, request: Request, principal: Principal) -> Response:
        """Pause a button.

        Running calls are not ended.
        """
        return await self._set_paused(request, principal, is_paused=True)

    @operation(
        f"POST {ONE}/resume",
        Scope.BUTTONS,
        OneButtonView,
        problems=("button_not_found", *_RULES),
        step_up=True,
    )
    async def resume_button(self, request: Request, principal: Principal) -> Response:
        """Let a button take calls again."""
        return await self._set_paused(request, principal, is_paused=False)

    @operation(
        f"POST {ONE}/end-calls",
        Scope.BUTTONS,
        OneButtonView,
        status=202,
        problems=("button_not_found",),
        before_terms=True,
    )
    async def end_button_calls(self, request: Request, principal: Principal) -> Response:
        """End the running calls of a button; 202, because their nodes have yet to end them.

        They end within two seconds, on all nodes, and their visitors see that the button was
        closed.
        """
        ended = await self.buttons.acts.end_calls(_whose(principal), _id_in(request))
        return await self._shown(principal, ended, 202)

    @operation(
        f"POST {ONE}/turn",
        Scope.BUTTONS,
        OneButtonView,
        body=TurnBody,
        problems=("button_not_found", "button_rules_wrong", "button_keys_too_many"),
        once=Once.REQUIRED,
        step_up=True,
    )
    async def turn_button_key(self, request: Request, principal: Principal) -> Response:
        """Replace the live key of a button; repeating the idempotency key replaces nothing more.

        The previous key stays valid for 0, 1, 7 or 30 days.
        """
        seed = self._seed(request, principal)
        body = await read_json(request, TurnBody)
        turned = await self.buttons.acts.turn(
            _whose(principal), _id_in(request), overlap_days=body.overlap_days, seed=seed
        )
        return await self._shown(principal, turned)

    @operation(f"DELETE {ONE}", Scope.BUTTONS, step_up=True)
    async def delete_button(self, request: Request, principal: Principal) -> Response:
        """Delete a button for good and end its calls; does nothing if it is gone already."""
        outcome = await self.buttons.acts.delete(_whose(principal), _id_in(request))
        if isinstance(outcome, SessionOver):
            raise RequestRefusedError("unauthorized")
        return Response(status_code=204)

    @operation("GET /v1/destinations", Scope.BUTTONS, DestinationList)
    async def list_destinations(self, _request: Request, principal: Principal) -> Response:
        """Return the numbers that the account has proven, the newest first."""
        found = await self._store.destinations(principal.account.id)
        numbers = [DestinationView(number=each.number, proven_at=each.proven_at) for each in found]
        return Json(DestinationList(destinations=numbers))

    @operation(
        "POST /v1/destinations/take-back",
        Scope.BUTTONS,
        PausedButtons,
        body=NumberBody,
        problems=("destination_not_found",),
        step_up=True,
    )
    async def take_back_destination(self, request: Request, principal: Principal) -> Response:
        """Withdraw a proven number; its buttons are paused, and their calls end.

        They take no calls until it is proven again.
        """
        body = await read_json(request, NumberBody)
        if "\0" in body.number:
            raise RequestRefusedError("destination_not_found", field="number")
        taken = await self.buttons.acts.take_back(_whose(principal), body.number)
        if isinstance(taken, SessionOver):
            raise RequestRefusedError("unauthorized")
        if not taken.was_proven and not taken.buttons:
            raise RequestRefusedError("destination_not_found", field="number")
        paused = [PausedButton(id=each.id, label=each.label) for each in taken.buttons]
        return Json(PausedButtons(paused_buttons=paused))

    async def _set_paused(
        self, request: Request, principal: Principal, *, is_paused: bool
    ) -> Response:
        outcome = await self.buttons.acts.pause(
            _whose(principal), _id_in(request), is_paused=is_paused
        )
        return await self._shown(principal, outcome)

    async def _shown(self, principal: Principal, outcome: Outcome, status: int = 200) -> Response:
        """Return the button after the act. Raises RequestRefusedError if the act failed."""
        match outcome:
            case NotFound():
                raise RequestRefusedError("button_not_found")
            case SessionOver():
                raise RequestRefusedError("unauthorized")
            case Faults(by_field):
                raise _refusal_of(by_field)
        account = principal.account
        usage = await self._store.usage(account.id, since=self._since)
        fields = _fields(outcome, usage.get(outcome.id, ()), account.currency)
        return Json(
            OneButtonView(
                **fields,
                live_calls=await self.buttons.running(outcome),
                refused_today=await self.buttons.refused_today(outcome),
            ),
            status,
        )

    def _seed(self, request: Request, principal: Principal) -> Seed:
        """Return the seed of an act that creates something. Raises RequestRefusedError."""
        key = needed_idempotency_key(request)
        return Seed(self.secret, f"{principal.account.id}\0{request.url.path}\0{key}")

    @property
    def _store(self) -> Buttons:
        return self.buttons.acts.store

    @property
    def _since(self) -> date:
        return (self.buttons.acts.clock() - timedelta(days=USAGE_DAYS - 1)).date()


def _whose(principal: Principal) -> Whose:
    account, epoch = principal.account, principal.credentials_epoch
    editor = ByKey(account.key_id) if epoch is None else epoch
    return Whose(account.id, editor, principal.is_proven)


def _refusal_of(by_field: Mapping[str, str]) -> RequestRefusedError:
    """Return the first fault as a refusal."""
    field, word = min(by_field.items())
    match word:
        case "buttons_too_many":
            return RequestRefusedError("buttons_too_many")
        case "button_keys_too_many":
            return RequestRefusedError("button_keys_too_many")
        case "destination_unproven":
            return RequestRefusedError("destination_unproven", field=field)
    return RequestRefusedError("button_rules_wrong", field=field, reason=word)


def _id_in(request: Request) -> str:
    button_id = str(request.path_params["button_id"])
    # PostgreSQL cannot look for text with NUL, and no button has such an id.
    return "" if "\0" in button_id else button_id


def _micros(text: str | msgspec.UnsetType | None, field: str) -> int | None:
    if text is None or text is msgspec.UNSET:
        return None
    try:
        return parse_money(text)
    except MoneyError:
        raise RequestRefusedError("button_rules_wrong", field=field, reason="cap_range") from None


def _as(kind: type[_T], rule: msgspec.Struct) -> _T:
    """Return a rule as another type with the same fields: the stored one, or the API's."""
    return msgspec.convert(msgspec.to_builtins(rule), kind)


def _fields(button: Button, usage: Sequence[DayUsage], currency: str) -> dict[str, Any]:
    rules = button.rules
    day, month = rules.day_cap_micros, rules.month_cap_micros
    return {
        "id": button.id,
        "label": button.label,
        "title": rules.title,
        "destination": rules.destination,
        "origins": rules.origins,
        "hours": _as(Hours, rules.hours),
        "seconds_max": rules.seconds_max,
        "calls_at_once": rules.calls_at_once,
        "amounts": _as(Amounts, rules.amounts),
        "day_cap": None if day is None else money(day, currency),
        "month_cap": None if month is None else money(month, currency),
        "keys": [
            ButtonKeyView(key=each.key, mode=each.mode, made_at=each.made_at, ends_at=each.ends_at)
            for each in button.keys
        ],
        "made_at": button.made_at,
        "paused_at": button.paused_at,
        "usage": [
            UsageView(
                day=each.day,
                calls=each.calls,
                answered=each.answered,
                seconds=each.seconds,
                cost=money(each.micros, currency),
            )
            for each in usage
        ],
    }
