"""Serves `/v1/webhooks`: the addresses that events of the account are posted to, and how that went.

All of it needs the scope `webhooks`. A key with that scope was created by a person after a step-up,
or by the operator; people who are signed in need a step-up to change an endpoint or see its secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.editors import ByKey, Editor
from gateway.http.access import DeclaredRoute
from gateway.http.bearer import Authenticator
from gateway.http.body import PageAsked, page_asked_for, read_json
from gateway.http.idempotency import needed_idempotency_key, was_done
from gateway.http.operation import Once, operation
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.limits.velocity import refuse, webhook_setting_uses
from gateway.ports import Velocity
from gateway.scopes import Scope
from gateway.webhooks.acts import WebhookActs
from gateway.webhooks.views import (
    DeliveryPage,
    DeliveryView,
    ReplayBody,
    Replayed,
    WebhookBody,
    WebhookChangeBody,
    WebhookList,
    WebhookSecretView,
    WebhookView,
)

ONE: Final = "/v1/webhooks/{webhook_id}"
_DELIVERY: Final = "^dlv_[a-z0-9]{1,24}$"
"""The form of a delivery's id."""


class DeliveriesAsked(PageAsked, kw_only=True):
    """Which part of the deliveries."""

    before: Annotated[str, msgspec.Meta(pattern=_DELIVERY)] | None = None


@dataclass(frozen=True, slots=True)
class WebhooksApi:
    """Handlers of webhooks."""

    auth: Authenticator
    acts: WebhookActs
    velocity: Velocity

    def routes(self) -> list[DeclaredRoute]:
        """Return the resource's routes."""
        return self.auth.serve(self)

    @operation(
        "GET /v1/webhooks", Scope.WEBHOOKS, WebhookList, gives={"webhook_id": "/webhooks/0/id"}
    )
    async def list_webhooks(self, _request: Request, principal: Principal) -> Response:
        """Return all endpoints of the account, the newest first: there are few."""
        return Json(await self.acts.all_of(principal.account.id))

    @operation(
        f"GET {ONE}",
        Scope.WEBHOOKS,
        WebhookView,
        problems=("webhook_not_found",),
    )
    async def show_webhook(self, request: Request, principal: Principal) -> Response:
        """Return one endpoint."""
        return Json(await self.acts.show(principal.account.id, _id_in(request)))

    @operation(
        f"GET {ONE}/secret",
        Scope.WEBHOOKS,
        WebhookSecretView,
        problems=("webhook_not_found", "webhooks_off"),
        step_up=True,
    )
    async def show_webhook_secret(self, request: Request, principal: Principal) -> Response:
        """Return one endpoint with its secret."""
        return _secret(await self.acts.show_secret(principal.account.id, _id_in(request)))

    @operation(
        "POST /v1/webhooks",
        Scope.WEBHOOKS,
        WebhookSecretView,
        status=201,
        body=WebhookBody,
        problems=(
            "address_unproven",
            "webhook_refused",
            "webhooks_too_many",
            "webhooks_off",
            "webhook_not_found",
        ),
        once=Once.REQUIRED,
        gives={"webhook_id": "/id"},
        step_up=True,
    )
    async def add_webhook(self, request: Request, principal: Principal) -> Response:
        """Add an endpoint; a repeat with the same idempotency key returns the first one.

        If that was deleted, it is not added again for a day.
        """
        once = needed_idempotency_key(request)
        body = await read_json(request, WebhookBody)
        account_id, editor, was_added = principal.account.id, _editor(principal), was_done(request)
        # A repeat adds nothing, so it does not count: it tells a client what was added.
        if not (was_added or await self.acts.has_added(account_id, once)):
            refuse(await self.velocity.hit(webhook_setting_uses(account_id)))
        added = await self.acts.add(
            account_id,
            editor,
            body,
            once=once,
            is_proven=principal.is_proven,
            was_added=was_added,
        )
        return _secret(added, 201)

    @operation(
        f"PATCH {ONE}",
        Scope.WEBHOOKS,
        WebhookView,
        body=WebhookChangeBody,
        problems=("webhook_not_found", "webhook_refused"),
        step_up=True,
    )
    async def change_webhook(self, request: Request, principal: Principal) -> Response:
        """Change an endpoint; enabling it again resets its failures."""
        body = await read_json(request, WebhookChangeBody)
        # Only changes that send events somewhere new count against the limit.
        if body.url is not None or body.disabled is False:
            refuse(await self.velocity.hit(webhook_setting_uses(principal.account.id)))
        return Json(await self.acts.change(*_place(request, principal), body))

    @operation(
        f"DELETE {ONE}",
        Scope.WEBHOOKS,
        problems=("webhook_not_found",),
        step_up=True,
    )
    async def delete_webhook(self, request: Request, principal: Principal) -> Response:
        """Delete an endpoint and everything queued for it."""
        await self.acts.remove(*_place(request, principal))
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
        """Replace the secret; a repeat with the same idempotency key replaces nothing more."""
        once = needed_idempotency_key(request)
        return _secret(await self.acts.turn(*_place(request, principal), once=once))

    @operation(
        f"POST {ONE}/test",
        Scope.WEBHOOKS,
        DeliveryView,
        status=202,
        problems=("webhook_not_found", "webhook_disabled"),
        gives={"delivery_id": "/id"},
    )
    async def test_webhook(self, request: Request, principal: Principal) -> Response:
        """Queue a test event without content; 202, because it has yet to be sent."""
        return Json(await self.acts.test(principal.account.id, _id_in(request)), 202)

    @operation(
        f"GET {ONE}/deliveries",
        Scope.WEBHOOKS,
        DeliveryPage,
        query=DeliveriesAsked,
        problems=("webhook_not_found",),
        gives={"delivery_id": "/deliveries/0/id"},
    )
    async def list_webhook_deliveries(self, request: Request, principal: Principal) -> Response:
        """Return a page of an endpoint's deliveries, newest first, with all attempts."""
        limit, before = page_asked_for(request, _DELIVERY)
        page = await self.acts.deliveries(
            principal.account.id, _id_in(request), limit=limit, before=before
        )
        return Json(page)

    @operation(
        f"POST {ONE}/deliveries/{{delivery_id}}/replay",
        Scope.WEBHOOKS,
        DeliveryView,
        status=202,
        problems=("webhook_not_found", "webhook_disabled"),
    )
    async def replay_webhook_delivery(self, request: Request, principal: Principal) -> Response:
        """Send a delivery again, as the same message."""
        queued = await self.acts.replay(
            principal.account.id, _id_in(request), str(request.path_params["delivery_id"])
        )
        return Json(queued, 202)

    @operation(
        f"POST {ONE}/replay",
        Scope.WEBHOOKS,
        Replayed,
        status=202,
        body=ReplayBody,
        problems=("webhook_not_found", "webhook_disabled"),
    )
    async def replay_webhook_failures(self, request: Request, principal: Principal) -> Response:
        """Send abandoned deliveries again, at most 1,000 at a time."""
        body = await read_json(request, ReplayBody)
        replayed = await self.acts.replay_failed(principal.account.id, _id_in(request), body.since)
        return Json(replayed, 202)


def _secret(view: WebhookSecretView, status: int = 200) -> Response:
    reply = Json(view, status)
    # Nothing between here and the client may keep the secret.
    reply.headers["Cache-Control"] = "no-store"
    return reply


def _place(request: Request, principal: Principal) -> tuple[str, Editor, str]:
    return principal.account.id, _editor(principal), _id_in(request)


def _editor(principal: Principal) -> Editor:
    epoch = principal.credentials_epoch
    return ByKey(principal.account.key_id) if epoch is None else epoch


def _id_in(request: Request) -> str:
    return str(request.path_params["webhook_id"])
