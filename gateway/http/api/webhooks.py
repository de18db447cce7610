"""Serves `/v1/webhooks`: where events of the account are posted, and what became of them.

All of it needs the scope `webhooks`. A key that has it was made by a person who had just proven who
they are, or by the operator; whoever is signed in proves it before they change an endpoint or look
at its secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.embed.ports import ByKey, Editor
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.bearer import Authenticator
from gateway.http.body import PageAsked, page_asked_for, read_json
from gateway.http.idempotency import needed_idempotency_key
from gateway.http.operation import Once, operation
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.scopes import Scope
from gateway.webhooks.events import endpoint_id, read_types
from gateway.webhooks.ports import (
    LABEL_MAX,
    Attempt,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointForm,
    Endpoints,
    NotDone,
)
from gateway.webhooks.signature import SecretMaker, secret_text
from gateway.webhooks.target import URL_CHARS_MAX, UnfitTargetError, read_target

ONE: Final = "/v1/webhooks/{webhook_id}"
_Url = Annotated[str, msgspec.Meta(max_length=URL_CHARS_MAX)]
_Label = Annotated[str, msgspec.Meta(max_length=LABEL_MAX)]
_Types = Annotated[tuple[str, ...], msgspec.Meta(max_length=64)]
_Done = TypeVar("_Done")


class WebhookView(msgspec.Struct, kw_only=True):
    """An endpoint as its account sees it. Times are RFC 3339 in UTC."""

    id: str
    url: str
    label: str
    types: Sequence[str]
    """Events that it has; none: all."""
    created_at: datetime
    disabled_at: datetime | None
    disabled_why: str
    """A word of `webhooks.ports.Ended`; empty while it is enabled."""
    failing_since: datetime | None
    """Of the first failure since the last success."""
    old_secret_until: datetime | None
    """Until when the secret that was replaced signs too."""


class WebhookSecretView(WebhookView, kw_only=True):
    """An endpoint and what its posts are signed with."""

    secret: str
    """`whsec_` and base64."""


class AttemptView(msgspec.Struct, kw_only=True):
    """What came of one attempt."""

    number: int
    at: datetime
    status: int | None
    """None where there was no answer."""
    ms: int
    reason: str
    """Why it failed; empty for a success."""


class DeliveryView(msgspec.Struct, kw_only=True):
    """One event for one endpoint."""

    id: str
    message_id: str
    """The header `webhook-id`."""
    type: str
    at: datetime
    """When it happened."""
    state: DeliveryState
    next_try_at: datetime | None
    """None once it has ended."""
    ended_at: datetime | None
    failure: str
    """Of the last attempt, or why it was given up."""
    attempts: Sequence[AttemptView] = ()


class WebhookList(msgspec.Struct, kw_only=True):
    """All endpoints of the account."""

    webhooks: Sequence[WebhookView]
    """The newest first."""


class DeliveryPage(msgspec.Struct, kw_only=True):
    """A page of what an endpoint was to have in the last 30 days."""

    deliveries: Sequence[DeliveryView]
    """The newest first."""
    next: str | None
    """What `before` asks for the following page with; null after the last."""


class Replayed(msgspec.Struct, kw_only=True):
    """What is sent again."""

    replayed: int
    """How many events; the oldest, 1,000 at most."""


class WebhookBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/webhooks`."""

    url: _Url
    label: _Label = ""
    types: _Types = ()
    """Events that it is to have; none: all."""


class WebhookChangeBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `PATCH /v1/webhooks/{webhook_id}`; what it leaves out stays."""

    url: _Url | None = None
    label: _Label | None = None
    types: _Types | None = None
    disabled: bool | None = None


class ReplayBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/webhooks/{webhook_id}/replay`."""

    since: Annotated[datetime, msgspec.Meta(tz=True)]
    """Only events that were queued since then."""


@dataclass(frozen=True, slots=True)
class WebhooksApi:
    """Handlers of webhooks."""

    auth: Authenticator
    endpoints: Endpoints
    maker: SecretMaker
    private_hosts: Sequence[str]
    """Hosts inside a network that the operator allows."""

    def routes(self) -> list[DeclaredRoute]:
        """Return the resource's routes."""
        return self.auth.serve(self)

    @operation("GET /v1/webhooks", Scope.WEBHOOKS, WebhookList)
    async def list_webhooks(self, _request: Request, principal: Principal) -> Response:
        """Return all endpoints of the account, the newest first: there are few."""
        found = await self.endpoints.of_account(principal.account.id)
        return Json(WebhookList(webhooks=[WebhookView(**_fields(each)) for each in found]))

    @operation(
        f"GET {ONE}",
        Scope.WEBHOOKS,
        WebhookView,
        problems=("webhook_not_found",),
    )
    async def show_webhook(self, request: Request, principal: Principal) -> Response:
        """Return one endpoint."""
        return Json(WebhookView(**_fields(await self._find(request, principal))))

    @operation(
        f"GET {ONE}/secret",
        Scope.WEBHOOKS,
        WebhookSecretView,
        problems=("webhook_not_found", "webhooks_off"),
        step_up=True,
    )
    async def show_webhook_secret(self, request: Request, principal: Principal) -> Response:
        """Return one endpoint with its secret."""
        return self._with_secret(await self._find(request, principal))

    @operation(
        "POST /v1/webhooks",
        Scope.WEBHOOKS,
        WebhookSecretView,
        status=201,
        body=WebhookBody,
        problems=("address_unproven", "webhook_refused", "webhooks_too_many", "webhooks_off"),
        once=Once.REQUIRED,
        step_up=True,
    )
    async def add_webhook(self, request: Request, principal: Principal) -> Response:
        """Add an endpoint; the same idempotency key again adds none, and shows the first."""
        once = needed_idempotency_key(request)
        body = await read_json(request, WebhookBody)
        if not principal.is_proven:
            raise RequestRefusedError("address_unproven")
        form = self._form(body.url, body.label, body.types)
        account_id = principal.account.id
        new = endpoint_id(account_id, once)
        seed = seed_of(self.maker, new, "add", once)
        added = await self.endpoints.add(account_id, _editor(principal), new, form, seed)
        return self._with_secret(_done(added), 201)

    @operation(
        f"PATCH {ONE}",
        Scope.WEBHOOKS,
        WebhookView,
        body=WebhookChangeBody,
        problems=("webhook_not_found", "webhook_refused"),
        step_up=True,
    )
    async def change_webhook(self, request: Request, principal: Principal) -> Response:
        """Change an endpoint; one that is enabled again starts without its failures."""
        body = await read_json(request, WebhookChangeBody)
        form = self._form(body.url, body.label, body.types, is_disabled=body.disabled)
        changed = await self.endpoints.change(*_place(request, principal), form)
        return Json(WebhookView(**_fields(_done(changed))))

    @operation(
        f"DELETE {ONE}",
        Scope.WEBHOOKS,
        problems=("webhook_not_found",),
        step_up=True,
    )
    async def delete_webhook(self, request: Request, principal: Principal) -> Response:
        """Delete an endpoint with all that waits for it."""
        refused = await self.endpoints.remove(*_place(request, principal))
        if refused is not None:
            _done(refused)
        return Response(status_code=204)

    @operation(
        f"POST {ONE}/rotate",
        Scope.WEBHOOKS,
        WebhookSecretView,
        problems=("webhook_not_found", "webhooks_off"),
        once=Once.REQUIRED,
        step_up=True,
    )
    async def turn_webhook_secret(self, request: Request, principal: Principal) -> Response:
        """Replace the secret; the same idempotency key again replaces nothing more."""
        once = needed_idempotency_key(request)
        account_id, editor, known = _place(request, principal)
        turned = await self.endpoints.turn(
            account_id, editor, known, seed_of(self.maker, known, "turn", once)
        )
        return self._with_secret(_done(turned))

    @operation(
        f"POST {ONE}/test",
        Scope.WEBHOOKS,
        DeliveryView,
        status=202,
        problems=("webhook_not_found", "webhook_disabled"),
    )
    async def test_webhook(self, request: Request, principal: Principal) -> Response:
        """Queue an event that tells nothing; 202, because it has yet to be sent."""
        queued = await self.endpoints.test(principal.account.id, _id_in(request))
        return Json(_delivery_view(_done(queued), ()), 202)

    @operation(
        f"GET {ONE}/deliveries",
        Scope.WEBHOOKS,
        DeliveryPage,
        query=PageAsked,
        problems=("webhook_not_found",),
    )
    async def list_webhook_deliveries(self, request: Request, principal: Principal) -> Response:
        """Return a page of what an endpoint was to have, newest first, with all attempts."""
        limit, before = page_asked_for(request)
        endpoint = await self._find(request, principal)
        found = await self.endpoints.deliveries(
            principal.account.id, endpoint.id, limit=limit, before=before
        )
        following = found[-1][0].id if len(found) == limit else None
        views = [_delivery_view(each, attempts) for each, attempts in found]
        return Json(DeliveryPage(deliveries=views, next=following))

    @operation(
        f"POST {ONE}/deliveries/{{delivery_id}}/replay",
        Scope.WEBHOOKS,
        DeliveryView,
        status=202,
        problems=("webhook_not_found", "webhook_disabled"),
    )
    async def replay_webhook_delivery(self, request: Request, principal: Principal) -> Response:
        """Send a delivery again, as the same message."""
        queued = await self.endpoints.replay(
            principal.account.id, _id_in(request), _id_in(request, "delivery_id")
        )
        return Json(_delivery_view(_done(queued), ()), 202)

    @operation(
        f"POST {ONE}/replay",
        Scope.WEBHOOKS,
        Replayed,
        status=202,
        body=ReplayBody,
        problems=("webhook_not_found", "webhook_disabled"),
    )
    async def replay_webhook_failures(self, request: Request, principal: Principal) -> Response:
        """Send those again that were given up; at most `ports.REPLAYED_MAX` at a time."""
        body = await read_json(request, ReplayBody)
        count = await self.endpoints.replay_failed(
            principal.account.id, _id_in(request), body.since
        )
        return Json(Replayed(replayed=_done(count)), 202)

    def _form(
        self,
        url: str | None,
        label: str | None,
        types: Sequence[str] | None,
        *,
        is_disabled: bool | None = None,
    ) -> EndpointForm:
        """Return what a body says. Raises RequestRefusedError."""
        if url is not None:
            try:
                read_target(url, self.private_hosts)
            except UnfitTargetError as unfit:
                raise RequestRefusedError(
                    "webhook_refused", field="url", reason=unfit.why
                ) from None
        # PostgreSQL cannot store NUL in text.
        if label is not None and not label.isprintable():
            raise RequestRefusedError("bad_request", field="label")
        try:
            chosen = None if types is None else read_types(types)
        except ValueError:
            raise RequestRefusedError("bad_request", field="types") from None
        return EndpointForm(url, label, chosen, is_disabled)

    async def _find(self, request: Request, principal: Principal) -> Endpoint:
        found = await self.endpoints.find(principal.account.id, _id_in(request))
        return _done(NotDone.NOT_FOUND if found is None else found)

    def _with_secret(self, endpoint: Endpoint, status: int = 200) -> Response:
        try:
            secret = self.maker.secret(endpoint.id, endpoint.seeds[0])
        except LookupError:
            raise RequestRefusedError("webhooks_off") from None
        shown = WebhookSecretView(**_fields(endpoint), secret=secret_text(secret))
        reply = Json(shown, status)
        reply.headers["Cache-Control"] = "no-store"
        return reply


def _done(outcome: _Done | NotDone) -> _Done:
    """Return what was done. Raises RequestRefusedError for what was not."""
    match outcome:
        case NotDone.SESSION_OVER:
            raise RequestRefusedError("unauthorized")
        case NotDone.NOT_FOUND:
            raise RequestRefusedError("webhook_not_found")
        case NotDone.TOO_MANY:
            raise RequestRefusedError("webhooks_too_many")
        case NotDone.IS_DISABLED:
            raise RequestRefusedError("webhook_disabled")
    return outcome


def _place(request: Request, principal: Principal) -> tuple[str, Editor, str]:
    return principal.account.id, _editor(principal), _id_in(request)


def _editor(principal: Principal) -> Editor:
    epoch = principal.credentials_epoch
    return ByKey(principal.account.key_id) if epoch is None else epoch


def _id_in(request: Request, name: str = "webhook_id") -> str:
    return known_id(str(request.path_params[name]))


def known_id(text: str) -> str:
    """Return an id as it can be looked for."""
    # PostgreSQL cannot look for text with NUL, and nothing has such an id.
    return "" if "\0" in text else text


def seed_of(maker: SecretMaker, *facts: str) -> str:
    """Return the seed of a secret: of which endpoint, made by which act, with which key.

    Raises RequestRefusedError where no secret can be made.
    """
    if not maker.can_make:
        raise RequestRefusedError("webhooks_off")
    return maker.seed(*facts)


def _fields(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "label": endpoint.label,
        "types": endpoint.types,
        "created_at": endpoint.created_at,
        "disabled_at": endpoint.disabled_at,
        "disabled_why": endpoint.disabled_why,
        "failing_since": endpoint.failing_since,
        "old_secret_until": endpoint.old_until,
    }


def _delivery_view(delivery: Delivery, attempts: Sequence[Attempt]) -> DeliveryView:
    is_queued = delivery.state is DeliveryState.QUEUED
    return DeliveryView(
        id=delivery.id,
        message_id=delivery.event_id,
        type=delivery.type,
        at=delivery.at,
        state=delivery.state,
        next_try_at=delivery.next_try_at if is_queued else None,
        ended_at=delivery.ended_at,
        failure=delivery.failure,
        attempts=[
            AttemptView(
                number=each.number,
                at=each.at,
                status=each.status,
                ms=each.ms,
                reason=each.reason,
            )
            for each in attempts
        ],
    )
