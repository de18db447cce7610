"""Shapes of webhooks as the API and operators' commands take and show them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec

from gateway.webhooks.ports import LABEL_MAX, Attempt, Delivery, DeliveryState, Endpoint
from gateway.webhooks.target import URL_CHARS_MAX

_Url = Annotated[str, msgspec.Meta(max_length=URL_CHARS_MAX)]
_Label = Annotated[str, msgspec.Meta(max_length=LABEL_MAX)]
_Types = Annotated[tuple[str, ...], msgspec.Meta(max_length=64)]


class WebhookView(msgspec.Struct, kw_only=True):
    """An endpoint as its account sees it. Times are RFC 3339 in UTC."""

    id: str
    url: str
    label: str
    types: Sequence[str]
    """Events that it receives; empty for all."""
    created_at: datetime
    disabled_at: datetime | None
    disabled_why: str
    """`by_owner`, `by_operator`, `gone` (it answered 410), `failing` (it took nothing for days) or
    `taken_back` (the account's holder did not set it up); empty while it is enabled."""
    failing_since: datetime | None
    """The first failure since the last success."""
    old_secret_until: datetime | None
    """Until when the replaced secret signs too."""


class WebhookSecretView(WebhookView, kw_only=True):
    """An endpoint with the secret that signs its posts."""

    secret: str
    """`whsec_` and base64."""


class AttemptView(msgspec.Struct, kw_only=True):
    """The result of one attempt."""

    number: int
    at: datetime
    status: int | None
    """Null if there was no answer."""
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
    """Null once it has ended."""
    ended_at: datetime | None
    failure: str
    """Why the last attempt failed, or why it was given up."""
    attempts: Sequence[AttemptView] = ()


class WebhookList(msgspec.Struct, kw_only=True):
    """All endpoints of the account."""

    webhooks: Sequence[WebhookView]
    """The newest first."""


class DeliveryPage(msgspec.Struct, kw_only=True):
    """A page of an endpoint's deliveries of the last 30 days."""

    deliveries: Sequence[DeliveryView]
    """The newest first."""
    next: str | None
    """The value of `before` for the next page; null after the last."""


class Replayed(msgspec.Struct, kw_only=True):
    """What is sent again."""

    replayed: int
    """How many events; the oldest, 1,000 at most."""


class WebhookBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/webhooks`."""

    url: _Url
    label: _Label = ""
    types: _Types = ()
    """Events that it should receive; empty for all."""


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


def webhook_view(endpoint: Endpoint) -> WebhookView:
    """Return an endpoint as it is shown."""
    return WebhookView(**_fields(endpoint))


def webhook_secret_view(endpoint: Endpoint, secret: str) -> WebhookSecretView:
    """Return an endpoint as it is shown with its secret."""
    return WebhookSecretView(**_fields(endpoint), secret=secret)


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


def delivery_view(delivery: Delivery, attempts: Sequence[Attempt] = ()) -> DeliveryView:
    """Return a delivery as it is shown, with these attempts."""
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
