"""Serves `/v1/admin/alarms`: the active alarms, and operators' orders about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.admin_routes import ADMIN, AdminRoutes, Reason, order_of
from gateway.http.body import read_json
from gateway.http.operation import operation
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.scopes import Scope
from gateway.watching.alarm_desk import AlarmOrder, AlarmStore
from gateway.watching.alarm_view import AlarmView, alarm_views
from gateway.watching.alarms import BY_NAME

ALARMS: Final = f"{ADMIN}/alarms"
NAME_MAX: Final = 300
SILENCE_MINUTES_MAX: Final = 7 * 24 * 60
"""A silence that no one reviews becomes the rule."""

_Name = Annotated[str, msgspec.Meta(min_length=3, max_length=NAME_MAX)]


class AcknowledgeRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `…/acknowledge`."""

    name: _Name
    reason: Reason


class SilenceRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `…/silence`."""

    name: _Name
    minutes: Annotated[int, msgspec.Meta(ge=1, le=SILENCE_MINUTES_MAX)]
    reason: Reason


class UnsilenceRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `…/unsilence`."""

    name: _Name


class SilencedView(msgspec.Struct, kw_only=True):
    """What is silenced, whether active or not."""

    name: str
    by: str
    reason: str
    until: datetime | None


class Alarms(msgspec.Struct, kw_only=True):
    """The active alarms, and what is silenced."""

    alarms: list[AlarmView]
    silenced: list[SilencedView]


class Orders(AlarmStore, Protocol):
    """Also accepts orders."""

    async def order(self, order: AlarmOrder) -> None:
        """Store an operator's order. Raises LookupError if there are too many."""


@dataclass(frozen=True, slots=True)
class AlarmsApi:
    """Handlers of alarms."""

    routing: AdminRoutes
    store: Orders
    clock_s: Callable[[], float]

    def routes(self) -> list[DeclaredRoute]:
        """Return the resource's routes."""
        return self.routing.serve(self)

    @operation(f"GET {ALARMS}", Scope.ADMIN, Alarms)
    async def list_alarms(self, _request: Request, _principal: Principal) -> Response:
        """Return the active alarms, and what is silenced."""
        alarms, orders = await self.store.read()
        now_s = self.clock_s()
        silenced = [
            _silenced(order)
            for order in orders.values()
            if order.kind == "silenced" and order.holds(now_s)
        ]
        views = alarm_views(alarms or (), orders, now_s)
        return Json(Alarms(alarms=views, silenced=silenced))

    @operation(
        f"POST {ALARMS}/acknowledge",
        Scope.ADMIN,
        body=AcknowledgeRequest,
        problems=("alarm_not_found", "too_many_silences"),
    )
    async def acknowledge_alarm(self, request: Request, principal: Principal) -> Response:
        """Note that someone is working on an active alarm.

        It is not sent again.
        """
        body = await read_json(request, AcknowledgeRequest)
        alarms, _ = await self.store.read()
        if all(alarm.name != body.name for alarm in alarms or ()):
            raise RequestRefusedError("alarm_not_found")
        await self._give(principal, body.name, body.reason, None)
        return Response(status_code=204)

    @operation(
        f"POST {ALARMS}/silence",
        Scope.ADMIN,
        body=SilenceRequest,
        problems=("alarm_not_found", "too_many_silences"),
    )
    async def silence_alarm(self, request: Request, principal: Principal) -> Response:
        """Send no notifications of an alarm for a while, whether it is active or not.

        A week at most. It may be one that is not active yet, such as `node_lost:n2` before a
        repair.
        """
        body = await read_json(request, SilenceRequest)
        rule, _, _ = body.name.partition(":")
        # If no alarm can have the name, no one would ever see that it is silenced.
        if rule not in BY_NAME or ":" not in body.name or not body.name.isprintable():
            raise RequestRefusedError("alarm_not_found")
        await self._give(principal, body.name, body.reason, body.minutes)
        return Response(status_code=204)

    @operation(f"POST {ALARMS}/unsilence", Scope.ADMIN, body=UnsilenceRequest)
    async def unsilence_alarm(self, request: Request, _principal: Principal) -> Response:
        """Withdraw the order about an alarm."""
        body = await read_json(request, UnsilenceRequest)
        await self.store.forget([body.name])
        return Response(status_code=204)

    async def _give(
        self, principal: Principal, name: str, reason: str, minutes: int | None
    ) -> None:
        said = order_of(principal, reason)
        now_s = self.clock_s()
        order = AlarmOrder(
            name=name,
            kind="acknowledged" if minutes is None else "silenced",
            until_s=None if minutes is None else now_s + minutes * 60,
            by=said.operator,
            reason=said.reason,
            at_s=now_s,
        )
        try:
            await self.store.order(order)
        except LookupError:
            raise RequestRefusedError("too_many_silences") from None


def _silenced(order: AlarmOrder) -> SilencedView:
    until = None if order.until_s is None else datetime.fromtimestamp(order.until_s, UTC)
    return SilencedView(name=order.name, by=order.by, reason=order.reason, until=until)
