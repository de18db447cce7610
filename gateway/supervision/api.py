"""Serves grants to supervise live calls, and what accounts allow, to operators and to holders.

A grant opens a media socket at the node that has the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.call.supervision import GRANT_S, SILENT_REASON_MAX, Grant, Mode, Rule, readable
from gateway.calls.media_address import media_url
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.admin_routes import ACCOUNT, ActRequest, AdminRoutes, Reason, account_in, order_of
from gateway.http.bearer import Authenticator
from gateway.http.body import read_json
from gateway.http.call_finder import CALLS, CallFinder
from gateway.http.operation import operation
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.limits.velocity import grant_uses, refuse
from gateway.operators import REASON_MAX, Order
from gateway.ports import LiveCall, Velocity
from gateway.scopes import Scope
from gateway.settings import Settings

Most = Literal["off", "listen", "whisper", "barge", "take-over"]
OWN_REASON: Final = "of the account itself"
"""For an account that gives no reason: it owes none for its own calls."""


class GrantRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/live-calls/{id}/supervision`."""

    reason: Annotated[str, msgspec.Meta(max_length=REASON_MAX)] = ""
    """Why, for the audit log; the account owes none for its own calls."""


class GrantView(msgspec.Struct, kw_only=True):
    """A grant: the token begins one media socket, as a call token begins a call."""

    token: str
    expires_in_seconds: int
    media_url: str
    call_id: str
    most: Mode
    """The most that the account allows; lesser modes are included."""
    announced: bool
    """Whether both parties hear a tone."""


class RuleRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /v1/admin/accounts/{id}/supervision`."""

    most: Most
    silent_reason: Annotated[str, msgspec.Meta(max_length=SILENT_REASON_MAX)] = ""
    """Why supervisors are not announced by a tone; without a reason they are."""
    reason: Reason


class RuleView(msgspec.Struct, kw_only=True):
    """What supervisors may do in the calls of an account."""

    most: Most
    announced: bool
    silent_reason: str


class Rules(Protocol):
    """What accounts allow. Raises StoreUnavailableError."""

    async def rule(self, account_id: str) -> Rule:
        """Return what an account allows; nothing for an unknown one."""

    async def known_rule(self, account_id: str) -> Rule:
        """Return what an account allows. Raises LookupError: no such account."""

    async def order(self, account_id: str, rule: Rule, order: Order) -> bool:
        """Let an operator set it; False if a person decides. Raises LookupError."""


class NewGrants(Protocol):
    """Stores grants until they are used. Raises StoreUnavailableError."""

    async def issue(self, grant: Grant) -> str:
        """Return the token of a grant."""


@dataclass(frozen=True, slots=True)
class GrantDesk:
    """Gives grants for live calls on any node."""

    settings: Settings
    finder: CallFinder
    rules: Rules
    grants: NewGrants
    velocity: Velocity

    async def give(self, call: LiveCall, grant: Grant) -> Response:
        """Return a grant if the call is live and its account allows it.

        Raises RequestRefusedError.
        """
        if call.ended_at is not None:
            raise RequestRefusedError("call_ended")
        if call.answered_at is None:
            raise RequestRefusedError("call_not_answered")
        rule = await self.rules.rule(grant.account_id)
        if rule.most is None:
            raise RequestRefusedError("supervision_refused")
        refuse(await self.velocity.hit(grant_uses(grant.key_id or grant.account_id)))
        token = await self.grants.issue(grant)
        view = GrantView(
            token=token,
            expires_in_seconds=GRANT_S,
            media_url=media_url(self.settings, call.opened.node, grant.origin),
            call_id=grant.call_id,
            most=rule.most,
            announced=rule.announces,
        )
        return Json(view, 201)


_REFUSALS: Final = (
    "call_not_found",
    "call_not_answered",
    "call_ended",
    "node_silent",
    "supervision_refused",
)


@dataclass(frozen=True, slots=True)
class OwnSupervisionApi:
    """Handler of grants for the requesting account's own calls."""

    auth: Authenticator
    desk: GrantDesk

    def routes(self) -> list[DeclaredRoute]:
        """Return the resource's route."""
        return self.auth.serve(self)

    @operation(
        "POST /v1/live-calls/{call_id}/supervision",
        Scope.SUPERVISE,
        GrantView,
        status=201,
        body=GrantRequest,
        problems=_REFUSALS,
    )
    async def supervise_call(self, request: Request, principal: Principal) -> Response:
        """Return the token that lets a supervisor into a live call of the account, once.

        It is valid for a minute. The supervisor listens at first; docs/api.md has the messages.
        """
        body = await read_json(request, GrantRequest)
        reason = readable(body.reason)
        if body.reason and not reason:
            raise RequestRefusedError("bad_request", field="reason")
        call = await self.desk.finder.find(request, principal.account.id)
        who = principal.signed_in
        grant = Grant(
            call_id=call.opened.call_id,
            account_id=call.opened.account_id,
            reason=reason or OWN_REASON,
            key_id=principal.account.key_id,
            credentials_epoch=principal.credentials_epoch,
            device_id="" if who is None else who.session.device_id,
            session_began_at=None if who is None else who.session.began_at,
            origin=request.headers.get("origin", ""),
        )
        return await self.desk.give(call, grant)


@dataclass(frozen=True, slots=True)
class FleetSupervisionApi:
    """Handlers of grants for all accounts' calls, and of the rules of accounts."""

    routing: AdminRoutes
    desk: GrantDesk

    def routes(self) -> list[DeclaredRoute]:
        """Return the resources' routes."""
        return self.routing.serve(self)

    @operation(
        f"POST {CALLS}/{{call_id}}/supervision",
        Scope.ADMIN,
        GrantView,
        status=201,
        body=ActRequest,
        problems=_REFUSALS,
    )
    async def supervise_any_call(self, request: Request, principal: Principal) -> Response:
        """Return the token that lets a supervisor into any live call, once.

        It needs a reason, which the audit log of the call's account keeps with what they do there.
        """
        body = await read_json(request, ActRequest)
        order = order_of(principal, body.reason)
        call = await self.desk.finder.find(request)
        grant = Grant(
            call_id=call.opened.call_id,
            account_id=call.opened.account_id,
            reason=order.reason,
            operator=order.operator,
            key_id=principal.account.key_id,
            origin=request.headers.get("origin", ""),
        )
        return await self.desk.give(call, grant)

    @operation(f"GET {ACCOUNT}/supervision", Scope.ADMIN, RuleView)
    async def show_supervision(self, request: Request, _principal: Principal) -> Response:
        """Return what supervisors may do in the calls of an account."""
        return Json(_view(await self.desk.rules.known_rule(account_in(request))))

    @operation(
        f"PUT {ACCOUNT}/supervision",
        Scope.ADMIN,
        RuleView,
        body=RuleRequest,
        problems=("account_not_found", "holder_decides"),
    )
    async def set_supervision(self, request: Request, principal: Principal) -> Response:
        """Set what supervisors may do in the calls of an account that belongs to no person."""
        body = await read_json(request, RuleRequest)
        order = order_of(principal, body.reason)
        silent_reason = readable(body.silent_reason)
        if body.silent_reason and not silent_reason:
            raise RequestRefusedError("bad_request", field="silent_reason")
        rule = Rule() if body.most == "off" else Rule(Mode(body.most), silent_reason)
        if not await self.desk.rules.order(account_in(request), rule, order):
            raise RequestRefusedError("holder_decides")
        return Json(_view(rule))


def _view(rule: Rule) -> RuleView:
    most: Most = "off" if rule.most is None else rule.most.value
    return RuleView(most=most, announced=rule.announces, silent_reason=rule.silent_reason)
