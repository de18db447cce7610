"""Serves `/v1/admin`: what an operator's key does with anybody's account, and nothing else does.

Searches are bodies, because proxies log addresses. Knows no store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from billing.errors import MoneyError
from billing.money import parse_money
from gateway.browser import messages as wire
from gateway.browser.reports import money
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.bearer import Authenticator
from gateway.http.body import number_before, read_json
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.http.velocity import address_of
from gateway.limits.fraud import Allowance
from gateway.operators import (
    FOUND_MAX,
    QUERY_MIN,
    REASON_MAX,
    AccountState,
    FoundAccount,
    Line,
    Order,
)
from gateway.people.administration import Administration
from gateway.scopes import Scope

ADMIN: Final = "/v1/admin"
ACCOUNT: Final = f"{ADMIN}/accounts/{{account_id}}"

_Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=REASON_MAX)]


class SearchRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/admin/search`."""

    text: Annotated[str, msgspec.Meta(min_length=QUERY_MIN, max_length=254)]
    """Part of an account's id or of an address."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=FOUND_MAX)] = 20
    after: Annotated[str, msgspec.Meta(max_length=64)] = ""


class ActRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of an act that needs a reason alone."""

    reason: _Reason


class CreditRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `…/credit`."""

    amount: Annotated[str, msgspec.Meta(max_length=32)]
    """Such as `10.00`; below zero takes credit back."""
    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    """Booked once."""
    reason: _Reason


class AllowRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `…/allow`."""

    rule: Allowance
    until: Annotated[datetime, msgspec.Meta(tz=True)]
    reason: _Reason


class DisallowRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `…/disallow`."""

    rule: Allowance
    reason: _Reason


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
    """An account as it stands."""

    balance: wire.Money
    """Of the book: calls that are not booked yet are not in it."""
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


class LineView(msgspec.Struct, kw_only=True):
    """A line of the audit log."""

    number: int
    at: datetime
    act: str
    actor: str
    operator: str
    reason: str


_Act = Callable[[str, Order], Awaitable[None]]
Handler = Callable[[Request, Principal], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class AdminApi:
    """Handlers of what operators do."""

    auth: Authenticator
    administration: Administration
    networks: Collection[str]
    """From where operators' keys are accepted; empty: from anywhere."""

    def routes(self) -> list[DeclaredRoute]:
        """Return the resources' routes."""
        admin = self.administration
        return [
            self._route(f"{ADMIN}/search", self.search, "POST"),
            self._route(ACCOUNT, self.show),
            self._route(f"{ACCOUNT}/log", self.show_log),
            self._route(f"{ACCOUNT}/credit", self.credit, "POST"),
            self._route(f"{ACCOUNT}/allow", self.allow, "POST"),
            self._route(f"{ACCOUNT}/disallow", self.disallow, "POST"),
            self._act("freeze", lambda name, order: admin.freeze(name, order, frozen=True)),
            self._act("unfreeze", lambda name, order: admin.freeze(name, order, frozen=False)),
            self._act("lock", admin.lock),
            self._act("unlock", admin.unlock),
            self._act("sign-out", admin.sign_out),
            self._act("reset-second-factor", admin.reset_second_factor),
        ]

    async def search(self, request: Request, _principal: Principal) -> Response:
        """Return accounts by a part of their id or address."""
        body = await read_json(request, SearchRequest)
        found = await self.administration.book.find(
            body.text, limit=body.limit + 1, after=body.after
        )
        shown = found[: body.limit]
        following = shown[-1].id if len(found) > body.limit else None
        return Json({"accounts": [FoundView(**_found(each)) for each in shown], "next": following})

    async def show(self, request: Request, _principal: Principal) -> Response:
        """Return how an account stands."""
        state = await self.administration.book.state(account_in(request))
        sessions = await self.administration.sessions_of(state)
        return Json(_state(state, len(sessions)))

    async def show_log(self, request: Request, _principal: Principal) -> Response:
        """Return a page of what was done with an account, the newest first."""
        limit, before = number_before(request)
        lines = await self.administration.book.lines(
            account_in(request), limit=limit + 1, before=before
        )
        following = str(lines[limit - 1].number) if len(lines) > limit else None
        return Json({"lines": [_line(each) for each in lines[:limit]], "next": following})

    async def credit(self, request: Request, principal: Principal) -> Response:
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
        return Json({"booked": is_new})

    async def allow(self, request: Request, principal: Principal) -> Response:
        """Lift a rule of admission until a moment."""
        body = await read_json(request, AllowRequest)
        order = order_of(principal, body.reason)
        try:
            await self.administration.lift(account_in(request), body.rule, body.until, order)
        except ValueError:
            raise RequestRefusedError("bad_request", field="until") from None
        return Response(status_code=204)

    async def disallow(self, request: Request, principal: Principal) -> Response:
        """Let a rule of admission hold again."""
        body = await read_json(request, DisallowRequest)
        order = order_of(principal, body.reason)
        await self.administration.restore(account_in(request), body.rule, order)
        return Response(status_code=204)

    def _act(self, name: str, act: _Act) -> DeclaredRoute:
        """Return the route of an act that needs a reason alone."""

        async def handler(request: Request, principal: Principal) -> Response:
            body = await read_json(request, ActRequest)
            await act(account_in(request), order_of(principal, body.reason))
            return Response(status_code=204)

        return self._route(f"{ACCOUNT}/{name}", handler, "POST")

    def _route(self, path: str, handler: Handler, method: str = "GET") -> DeclaredRoute:
        return AdminRoutes(self.auth, self.networks).route(path, handler, method)


@dataclass(frozen=True, slots=True)
class AdminRoutes:
    """What every route of operators has in common."""

    auth: Authenticator
    networks: Collection[str]
    """From where operators' keys are accepted; empty: from anywhere."""

    def route(self, path: str, handler: Handler, method: str = "GET") -> DeclaredRoute:
        """Return a route for keys of scope admin, where LookupError is that there is no account."""

        async def guarded(request: Request, principal: Principal) -> Response:
            self.check_network(request)
            try:
                return await handler(request, principal)
            except LookupError as error:
                # Subclasses of LookupError, but these would be bugs.
                if isinstance(error, KeyError | IndexError):
                    raise
                raise RequestRefusedError("account_not_found") from None

        return self.auth.route(path, guarded, Scope.ADMIN, method=method)

    def check_network(self, request: Request) -> None:
        """Refuse a key of scope admin from elsewhere: it may have been stolen."""
        if not self.networks:
            return
        try:
            address = ip_address(address_of(request))
        except ValueError:
            raise RequestRefusedError("network_refused") from None
        plain = getattr(address, "ipv4_mapped", None) or address
        if not any(plain in ip_network(each) for each in self.networks):
            raise RequestRefusedError("network_refused")


def account_in(request: Request) -> str:
    """Return the account that a path names. Raises RequestRefusedError."""
    account_id: str = request.path_params["account_id"]
    # PostgreSQL cannot store NUL in text: the driver's error would become a 500.
    if "\0" in account_id:
        raise RequestRefusedError("account_not_found")
    return account_id


def operator_of(principal: Principal) -> str:
    """Return what the audit log calls whoever acts with a key of scope admin."""
    # The key's id: whose it is its label says, which may change.
    return f"key {principal.account.key_id}"


def order_of(principal: Principal, reason: str) -> Order:
    """Return who acts and why. Raises RequestRefusedError for a reason that cannot be kept."""
    try:
        return Order(operator_of(principal), reason)
    except ValueError:
        raise RequestRefusedError("bad_request", field="reason") from None


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


def _line(line: Line) -> LineView:
    return LineView(
        number=line.number,
        at=line.at,
        act=line.act.value,
        actor=line.actor.value,
        operator=line.operator,
        reason=line.reason,
    )
