"""Serves `/v1/buttons`: the buttons of the account, their rules, keys, and what they have cost.

Reads only: whom a button calls and what it may spend is changed by a person, on pages that ask who
they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from billing.clock import Clock
from gateway.browser import messages as wire
from gateway.browser.reports import money
from gateway.embed.hours import Hours
from gateway.embed.ports import Button, Buttons, DayUsage
from gateway.embed.rules import Amounts
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.bearer import Authenticator
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.people.buttons import USAGE_DAYS
from gateway.scopes import Scope


class KeyView(msgspec.Struct, kw_only=True):
    """A publishable key. Times are RFC 3339 in UTC."""

    key: str
    mode: str
    made_at: datetime
    ends_at: datetime | None
    """Of a live key that was replaced."""


class UsageView(msgspec.Struct, kw_only=True):
    """What the calls of one UTC day came to, as far as they have ended."""

    day: date
    calls: int
    answered: int
    seconds: int
    cost: wire.Money


class ButtonView(msgspec.Struct, kw_only=True):
    """A button as its account sees it."""

    id: str
    label: str
    title: str
    destination: str
    """E.164; empty where each call's is named by the account's back end."""
    origins: Sequence[str]
    hours: Hours
    seconds_max: int
    calls_at_once: int
    amounts: Amounts
    day_cap: wire.Money | None
    month_cap: wire.Money | None
    keys: Sequence[KeyView]
    made_at: datetime
    paused_at: datetime | None
    usage: Sequence[UsageView]
    """The days with calls in the last `USAGE_DAYS`, the newest first."""


@dataclass(frozen=True, slots=True)
class ButtonsApi:
    """Handlers of buttons."""

    auth: Authenticator
    buttons: Buttons
    clock: Clock

    def routes(self) -> list[DeclaredRoute]:
        """Return the resource's routes."""
        return [
            self.auth.route("/v1/buttons", self.list_buttons, Scope.ACCOUNT),
            self.auth.route("/v1/buttons/{button_id}", self.show_button, Scope.ACCOUNT),
        ]

    async def list_buttons(self, _request: Request, principal: Principal) -> Response:
        """Return all buttons of the account, the newest first: there are few."""
        account = principal.account
        found = await self.buttons.of_account(account.id)
        usage = await self.buttons.usage(account.id, since=self._since) if found else {}
        views = [_view(each, usage.get(each.id, ()), account.currency) for each in found]
        return Json({"buttons": views})

    async def show_button(self, request: Request, principal: Principal) -> Response:
        """Return one button."""
        account, button_id = principal.account, str(request.path_params["button_id"])
        # PostgreSQL cannot look for text with NUL, and no button has such an id.
        found = None if "\0" in button_id else await self.buttons.read(account.id, button_id)
        if found is None:
            raise RequestRefusedError("button_not_found")
        usage = await self.buttons.usage(account.id, since=self._since)
        return Json(_view(found, usage.get(button_id, ()), account.currency))

    @property
    def _since(self) -> date:
        return (self.clock() - timedelta(days=USAGE_DAYS - 1)).date()


def _view(button: Button, usage: Sequence[DayUsage], currency: str) -> ButtonView:
    rules = button.rules
    day, month = rules.day_cap_micros, rules.month_cap_micros
    return ButtonView(
        id=button.id,
        label=button.label,
        title=rules.title,
        destination=rules.destination,
        origins=rules.origins,
        hours=rules.hours,
        seconds_max=rules.seconds_max,
        calls_at_once=rules.calls_at_once,
        amounts=rules.amounts,
        day_cap=None if day is None else money(day, currency),
        month_cap=None if month is None else money(month, currency),
        keys=[
            KeyView(key=each.key, mode=each.mode, made_at=each.made_at, ends_at=each.ends_at)
            for each in button.keys
        ],
        made_at=button.made_at,
        paused_at=button.paused_at,
        usage=[
            UsageView(
                day=each.day,
                calls=each.calls,
                answered=each.answered,
                seconds=each.seconds,
                cost=money(each.micros, currency),
            )
            for each in usage
        ],
    )
