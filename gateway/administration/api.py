"""Serves `/v1/admin`: what an operator's key, and no other, may do with any account.

Searches are bodies, because proxies log addresses.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from billing.errors import MoneyError
from billing.money import AMOUNT_PATTERN, parse_money
from gateway.administration.acts import Administration
from gateway.administration.ports import FOUND_MAX, QUERY_MIN, AccountState, FoundAccount, Line
from gateway.browser import messages as wire
from gateway.browser.reports import money
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.admin_routes import (
    ACCOUNT,
    ADMIN,
    ActRequest,
    AdminRoutes,
    Reason,
    account_in,
    order_of,
)
from gateway.http.body import NumberedPage, number_before, read_json
from gateway.http.operation import operation
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.limits.fraud import Allowance
from gateway.operators import NODES, Order
from gateway.scopes import Scope


class SearchRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/admin/search`."""

    text: Annotated[str, msgspec.Meta(min_length=QUERY_MIN, max_length=254)]
    """Part of an account's id or of an address."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=FOUND_MAX)] = 20
    after: Annotated[str, msgspec.Meta(max_length=64)] = ""


class CreditRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `…/credit`."""

    amount: Annotated[
        str, msgspec.Meta(max_length=32, pattern=f"^{AMOUNT_PATTERN}$", examples=["10.00"])
    ]
    """Such as `10.00`; below zero takes credit back."""
    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    """Booked once."""
    reason: Reason


class AllowRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `…/allow`."""

    rule: Allowance
    until: Annotated[datetime, msgspec.Meta(tz=True)]
    reason: Reason


class DisallowRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `…/disallow`."""

    rule: Allowance
    reason: Reason


class FoundView(msgspec.Struct, kw_only=True):
    """An account as a search shows it. Times are RFC 3339 in UTC."""

    id: str
    email: str
    has_holder: bool
    frozen: bool
    locked: bool
    deleted: bool
    created_at: datetime


class RefusalsView(msgspec.Struct, kw_only=True):
    """How often a rule refused calls within an hour."""

    hour: datetime
    rule: str
    count: int


class StateView(FoundView, kw_only=True):
    """The state of an account."""

    balance: wire.Money
    """From the book: it does not include calls that are not booked yet."""
    freezes: list[str]
    keys: int
    address_confirmed: bool
    second_factor: bool
    sessions: int
    devices: int
    last_sign_in_at: datetime | None
    locked_at: datetime | None
    countries: list[str]
    lifted: dict[str, datetime]
    refusals: list[RefusalsView]


class FoundPage(msgspec.Struct, kw_only=True):
    """A page of the accounts that were found."""

    accounts: list[FoundView]
    next: str | None
    """Pass it as `after` to get the next page; null after the last."""


class Booked(msgspec.Struct, kw_only=True):
    """Whether credit was booked now."""

    booked: bool
    """False if this reference was booked before."""


class LogLineView(msgspec.Struct, kw_only=True):
    """A line of the audit log."""

    number: int
    at: datetime
    act: str
    actor: str
    operator: str
    reason: str


class LogPage(msgspec.Struct, kw_only=True):
    """A page of the audit log of an account, newest first."""

    lines: list[LogLineView]
    next: str | None
    """Pass it as `before` to get the next page; null after the last."""


_Act = Callable[[str, Order], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AdminApi:
    """Handlers of operators' acts."""

    routing: AdminRoutes
    administration: Administration

    def routes(self) -> list[DeclaredRoute]:
        """Return the resources' routes."""
        return self.routing.serve(self)

    @operation(
        f"POST {ADMIN}/search",
        Scope.ADMIN,
        FoundPage,
        body=SearchRequest,
        gives={"account_id": "/accounts/0/id"},
    )
    async def search_accounts(self, request: Request, _principal: Principal) -> Response:
        """Return accounts by a part of their id or address.

        A body, because proxies log addresses.
        """
        body = await read_json(request, SearchRequest)
        found = await self.administration.book.find(
            body.text, limit=body.limit + 1, after=body.after
        )
        shown = found[: body.limit]
        following = shown[-1].id if len(found) > body.limit else None
        accounts = [FoundView(**_found(each)) for each in shown]
        return Json(FoundPage(accounts=accounts, next=following))

    @operation(f"GET {ACCOUNT}", Scope.ADMIN, StateView)
    async def show_any_account(self, request: Request, _principal: Principal) -> Response:
        """Return the state of an account.

        Its state and why it is frozen, credit, sessions, second factor (yes or no), last sign-in,
        lifted rules, refused calls by hour.
        """
        state = await self.administration.book.state(account_in(request))
        sessions = await self.administration.sessions_of(state)
        return Json(_state(state, len(sessions)))

    @operation(f"GET {ACCOUNT}/log", Scope.ADMIN, LogPage, query=NumberedPage)
    async def list_log(self, request: Request, _principal: Principal) -> Response:
        """Return a page of the acts on an account, the newest first."""
        limit, before = number_before(request)
        account_id, book = account_in(request), self.administration.book
        lines = await book.lines(account_id, limit=limit + 1, before=before)
        # Lines outlive the account; an account that never existed has none. Raises LookupError.
        if not lines and account_id != NODES:
            await book.state(account_id)
        following = str(lines[limit - 1].number) if len(lines) > limit else None
        return Json(LogPage(lines=[_line(each) for each in lines[:limit]], next=following))

    @operation(
        f"POST {ACCOUNT}/credit",
        Scope.ADMIN,
        Booked,
        body=CreditRequest,
        problems=("balance_too_low", "credit_reference_reused"),
    )
    async def credit_account(self, request: Request, principal: Principal) -> Response:
        """Give or take back credit, once per reference."""
        body = await read_json(request, CreditRequest)
        try:
            micros = parse_money(body.amount)
        except MoneyError:
            micros = 0
        if not micros:
            raise RequestRefusedError("bad_request", field="amount")
        order = order_of(principal, body.reason)
        is_new = await self.administration.credit(
            account_in(request), micros, body.reference, order
        )
        return Json(Booked(booked=is_new))

    @operation(f"POST {ACCOUNT}/allow", Scope.ADMIN, body=AllowRequest)
    async def allow(self, request: Request, principal: Principal) -> Response:
        """Lift a rule of admission until a moment.

        For a year at most.
        """
        body = await read_json(request, AllowRequest)
        order = order_of(principal, body.reason)
        try:
            await self.administration.lift(account_in(request), body.rule, body.until, order)
        except ValueError:
            raise RequestRefusedError("bad_request", field="until") from None
        return Response(status_code=204)

    @operation(f"POST {ACCOUNT}/disallow", Scope.ADMIN, body=DisallowRequest)
    async def disallow(self, request: Request, principal: Principal) -> Response:
        """Restore a rule of admission."""
        body = await read_json(request, DisallowRequest)
        order = order_of(principal, body.reason)
        await self.administration.restore(account_in(request), body.rule, order)
        return Response(status_code=204)

    @operation(f"POST {ACCOUNT}/freeze", Scope.ADMIN, body=ActRequest)
    async def freeze(self, request: Request, principal: Principal) -> Response:
        """Freeze an account; its live calls end."""
        return await self._act(request, principal, partial(self.administration.freeze, frozen=True))

    @operation(f"POST {ACCOUNT}/unfreeze", Scope.ADMIN, body=ActRequest)
    async def unfreeze(self, request: Request, principal: Principal) -> Response:
        """Lift an operator's freeze."""
        act = partial(self.administration.freeze, frozen=False)
        return await self._act(request, principal, act)

    @operation(f"POST {ACCOUNT}/lock", Scope.ADMIN, body=ActRequest)
    async def lock(self, request: Request, principal: Principal) -> Response:
        """Lock an account: its holder is signed out and mailed a link for another password."""
        return await self._act(request, principal, self.administration.lock)

    @operation(f"POST {ACCOUNT}/unlock", Scope.ADMIN, body=ActRequest)
    async def unlock(self, request: Request, principal: Principal) -> Response:
        """Unlock an account."""
        return await self._act(request, principal, self.administration.unlock)

    @operation(f"POST {ACCOUNT}/sign-out", Scope.ADMIN, body=ActRequest)
    async def sign_out(self, request: Request, principal: Principal) -> Response:
        """Sign the holder of an account out everywhere."""
        return await self._act(request, principal, self.administration.sign_out)

    @operation(f"POST {ACCOUNT}/reset-second-factor", Scope.ADMIN, body=ActRequest)
    async def reset_second_factor(self, request: Request, principal: Principal) -> Response:
        """Remove the second factor and passkeys of a person who has lost them.

        The password stays.
        """
        return await self._act(request, principal, self.administration.reset_second_factor)

    async def _act(self, request: Request, principal: Principal, act: _Act) -> Response:
        """Perform an act that needs only a reason."""
        body = await read_json(request, ActRequest)
        await act(account_in(request), order_of(principal, body.reason))
        return Response(status_code=204)


def _found(found: FoundAccount) -> dict[str, Any]:
    return {
        "id": found.id,
        "email": found.email,
        "has_holder": found.has_holder,
        "frozen": found.frozen,
        "locked": found.locked,
        "deleted": found.deleted,
        "created_at": found.created_at,
    }


def _state(state: AccountState, sessions: int) -> StateView:
    return StateView(
        **_found(state.found),
        balance=money(state.balance_micros, state.currency),
        freezes=list(state.freezes),
        keys=state.keys,
        address_confirmed=state.is_proven,
        second_factor=state.has_second_factor,
        sessions=sessions,
        devices=state.devices,
        last_sign_in_at=state.last_sign_in_at,
        locked_at=state.locked_at,
        countries=list(state.opened),
        lifted={rule.value: until for rule, until in state.lifted.items()},
        refusals=[
            RefusalsView(hour=each.hour, rule=each.rule, count=each.count)
            for each in state.refusals
        ],
    )


def _line(line: Line) -> LogLineView:
    return LogLineView(
        number=line.number,
        at=line.at,
        act=line.act.value,
        actor=line.actor.value,
        operator=line.operator,
        reason=line.reason,
    )
