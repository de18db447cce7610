"""Serves `/v1/admin/data-requests`: what people asked for about their data, and what is due.

The pages fill this register themselves; an operator adds what comes by letter.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from accounts.data_request import NOTE_MAX, DataRequest, Right
from billing.clock import Clock
from gateway.administration.ports import Register
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.admin_routes import ACCOUNT, ADMIN, AdminRoutes, account_in, operator_of
from gateway.http.body import NumberedPage, number_before, read_json
from gateway.http.operation import operation
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.scopes import Scope

DATA_REQUESTS: Final = f"{ADMIN}/data-requests"
_STATES: Final = {"": False, "all": False, "open": True}
_NUMBER_DIGITS_MAX: Final = 18


class DataRequestBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST …/{account_id}/data-requests`."""

    right: Right


class DoneBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST …/data-requests/{number}/done`."""

    note: Annotated[str, msgspec.Meta(max_length=NOTE_MAX)] = ""
    """What was done; no name and no address."""


class DataRequestView(msgspec.Struct, kw_only=True):
    """A request and its status. Times are RFC 3339 in UTC."""

    number: int
    account_id: str
    right: str
    """A right of the GDPR: `access`, `correction`, `deletion`, `restriction`, `export`,
    `objection`."""
    asked_at: datetime
    due_at: datetime
    """A month later: when it must be answered (GDPR, article 12(3))."""
    late: bool
    done_at: datetime | None
    done_by: str | None
    """`holder`, `operator` or `service`."""
    note: str


class DataRequestPage(msgspec.Struct, kw_only=True):
    """A page of the register."""

    requests: list[DataRequestView]
    next: str | None
    """Pass it as `before` to get the next page; null after the last."""


class DataRequestsAsked(NumberedPage, kw_only=True):
    """Which requests to list."""

    state: Literal["", "all", "open"] = ""
    """`open`: only those, the first due at the top; otherwise all, the newest first."""
    account: Annotated[str, msgspec.Meta(pattern=r"^[^\u0000]*$")] = ""
    """Id of the account; empty for all."""


@dataclass(frozen=True, slots=True)
class DataRequestsApi:
    """Handlers of the register."""

    routing: AdminRoutes
    register: Register
    clock: Clock

    def routes(self) -> list[DeclaredRoute]:
        """Return the resource's routes."""
        return self.routing.serve(self)

    @operation(
        f"GET {DATA_REQUESTS}",
        Scope.ADMIN,
        DataRequestPage,
        query=DataRequestsAsked,
        gives={"number": "/requests/0/number"},
    )
    async def list_data_requests(self, request: Request, _principal: Principal) -> Response:
        """Return a page of requests: the newest first, or those that are open, the first due."""
        limit, before = number_before(request)
        state = request.query_params.get("state", "")
        if state not in _STATES:
            raise RequestRefusedError("bad_request", field="state")
        account_id = request.query_params.get("account", "")
        # PostgreSQL cannot store NUL in text: the driver's error would become a 500.
        if "\0" in account_id:
            raise RequestRefusedError("bad_request", field="account")
        found = await self.register.page(
            account_id=account_id, is_open=_STATES[state], limit=limit + 1, before=before
        )
        at = self.clock()
        following = str(found[limit - 1].id) if len(found) > limit else None
        requests = [_view(each, at) for each in found[:limit]]
        return Json(DataRequestPage(requests=requests, next=following))

    @operation(f"POST {ACCOUNT}/data-requests", Scope.ADMIN, body=DataRequestBody)
    async def add_data_request(self, request: Request, principal: Principal) -> Response:
        """Add a request that came by mail or letter; nothing if the same one is already open.

        It is due within a month.
        """
        body = await read_json(request, DataRequestBody)
        await self.register.ask(account_in(request), body.right, operator_of(principal))
        return Response(status_code=204)

    @operation(
        f"POST {DATA_REQUESTS}/{{number}}/done",
        Scope.ADMIN,
        body=DoneBody,
        problems=("data_request_not_open",),
    )
    async def close_data_request(self, request: Request, principal: Principal) -> Response:
        """Note that a request is answered.

        The note is one line of 200 characters at most, and must not name anyone.
        """
        body = await read_json(request, DoneBody)
        if body.note and not body.note.isprintable():
            raise RequestRefusedError("bad_request", field="note")
        text = request.path_params["number"]
        is_number = text.isascii() and text.isdigit() and len(text) <= _NUMBER_DIGITS_MAX
        operator = operator_of(principal)
        if not (is_number and await self.register.close(int(text), body.note, operator)):
            raise RequestRefusedError("data_request_not_open")
        return Response(status_code=204)


def _view(request: DataRequest, at: datetime) -> DataRequestView:
    return DataRequestView(
        number=request.id,
        account_id=request.account_id,
        right=request.right.value,
        asked_at=request.asked_at,
        due_at=request.due_at,
        late=request.is_late(at),
        done_at=request.done_at,
        done_by=None if request.done_by is None else request.done_by.value,
        note=request.note,
    )
