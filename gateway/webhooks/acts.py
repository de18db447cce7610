"""Operations on the webhooks of an account, shared by the API and the operator's commands.

Callers have already authenticated and authorised the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from gateway.editors import Editor
from gateway.errors import RequestRefusedError
from gateway.operators import Order
from gateway.shown_name import fault_of
from gateway.webhooks.events import endpoint_id, read_types
from gateway.webhooks.ports import LABEL_MAX, Endpoint, EndpointForm, Endpoints, NotDone
from gateway.webhooks.signature import SecretMaker, secret_text
from gateway.webhooks.target import UnfitTargetError, read_target
from gateway.webhooks.views import (
    DeliveryPage,
    DeliveryView,
    Replayed,
    WebhookBody,
    WebhookChangeBody,
    WebhookList,
    WebhookSecretView,
    WebhookView,
    delivery_view,
    webhook_secret_view,
    webhook_view,
)

_Done = TypeVar("_Done")


@dataclass(frozen=True, slots=True)
class WebhookActs:
    """Adds, changes and tests endpoints; methods raise RequestRefusedError, StoreUnavailableError.

    `once` is an idempotency key: the same operation with the same key is done once.
    """

    endpoints: Endpoints
    maker: SecretMaker
    private_hosts: Sequence[str]
    """Hosts inside a network that the operator allows."""

    async def all_of(self, account_id: str) -> WebhookList:
        """Return all endpoints of an account, the newest first: there are few."""
        found = await self.endpoints.of_account(account_id)
        return WebhookList(webhooks=[webhook_view(each) for each in found])

    async def show(self, account_id: str, webhook_id: str) -> WebhookView:
        """Return one endpoint."""
        return webhook_view(await self._find(account_id, webhook_id))

    async def show_secret(self, account_id: str, webhook_id: str) -> WebhookSecretView:
        """Return one endpoint with its secret."""
        return self._with_secret(await self._find(account_id, webhook_id))

    async def add(
        self,
        account_id: str,
        editor: Editor,
        body: WebhookBody,
        *,
        once: str,
        is_proven: bool,
        was_added: bool = False,
    ) -> WebhookSecretView:
        """Add an endpoint to an account, whose holder must have proven their address.

        An endpoint that `was_added` before is only shown, and not found if it was removed since:
        adding it again would bring back a secret that was taken out of use.
        """
        if not is_proven:
            raise RequestRefusedError("address_unproven")
        form = self._form(body.url, body.label, body.types)
        new = endpoint_id(account_id, once)
        if was_added:
            return await self.show_secret(account_id, new)
        seed = seed_of(self.maker, new, "add", once)
        return self._with_secret(
            _done(await self.endpoints.add(account_id, editor, new, form, seed))
        )

    async def has_added(self, account_id: str, once: str) -> bool:
        """Return whether this request has added an endpoint that still exists."""
        return await self.endpoints.find(account_id, endpoint_id(account_id, once)) is not None

    async def change(
        self, account_id: str, editor: Editor, webhook_id: str, body: WebhookChangeBody
    ) -> WebhookView:
        """Change an endpoint; enabling it again resets its failures."""
        form = self._form(body.url, body.label, body.types, is_disabled=body.disabled)
        changed = await self.endpoints.change(account_id, editor, known_id(webhook_id), form)
        return webhook_view(_done(changed))

    async def turn(
        self, account_id: str, editor: Editor, webhook_id: str, *, once: str
    ) -> WebhookSecretView:
        """Replace the secret."""
        known = known_id(webhook_id)
        seed = seed_of(self.maker, known, "turn", once)
        return self._with_secret(_done(await self.endpoints.turn(account_id, editor, known, seed)))

    async def require(self, account_id: str, webhook_id: str) -> None:
        """Refuse an id that is not an endpoint of the account."""
        await self._find(account_id, webhook_id)

    async def remove(self, account_id: str, editor: Editor, webhook_id: str) -> None:
        """Delete an endpoint and everything queued for it."""
        _done(await self.endpoints.remove(account_id, editor, known_id(webhook_id)))

    async def test(
        self, account_id: str, webhook_id: str, order: Order | None = None
    ) -> DeliveryView:
        """Queue a test event without content; an operator gives an order."""
        queued = await self.endpoints.test(account_id, known_id(webhook_id), order)
        return delivery_view(_done(queued))

    async def deliveries(
        self, account_id: str, webhook_id: str, *, limit: int, before: str | None
    ) -> DeliveryPage:
        """Return a page of an endpoint's deliveries, newest first, with all attempts."""
        endpoint = await self._find(account_id, webhook_id)
        found = await self.endpoints.deliveries(account_id, endpoint.id, limit=limit, before=before)
        following = found[-1][0].id if len(found) == limit else None
        views = [delivery_view(each, attempts) for each, attempts in found]
        return DeliveryPage(deliveries=views, next=following)

    async def replay(
        self, account_id: str, webhook_id: str, delivery_id: str, order: Order | None = None
    ) -> DeliveryView:
        """Send a delivery again, as the same message; an operator gives an order."""
        queued = await self.endpoints.replay(
            account_id, known_id(webhook_id), known_id(delivery_id), order
        )
        return delivery_view(_done(queued))

    async def replay_failed(
        self, account_id: str, webhook_id: str, since: datetime, order: Order | None = None
    ) -> Replayed:
        """Send abandoned deliveries again, at most `ports.REPLAYED_MAX`."""
        count = await self.endpoints.replay_failed(account_id, known_id(webhook_id), since, order)
        return Replayed(replayed=_done(count))

    def _form(
        self,
        url: str | None,
        label: str | None,
        types: Sequence[str] | None,
        *,
        is_disabled: bool | None = None,
    ) -> EndpointForm:
        """Return the validated settings of an endpoint. Raises RequestRefusedError."""
        if url is not None:
            try:
                read_target(url, self.private_hosts)
            except UnfitTargetError as unfit:
                raise RequestRefusedError(
                    "webhook_refused", field="url", reason=unfit.why
                ) from None
        if label and fault_of(label, LABEL_MAX) is not None:
            raise RequestRefusedError("bad_request", field="label")
        try:
            chosen = None if types is None else read_types(types)
        except ValueError:
            raise RequestRefusedError("bad_request", field="types") from None
        return EndpointForm(url, label, chosen, is_disabled)

    async def _find(self, account_id: str, webhook_id: str) -> Endpoint:
        found = await self.endpoints.find(account_id, known_id(webhook_id))
        return _done(NotDone.NOT_FOUND if found is None else found)

    def _with_secret(self, endpoint: Endpoint) -> WebhookSecretView:
        try:
            secret = self.maker.secret(endpoint.id, endpoint.seeds[0])
        except LookupError:
            raise RequestRefusedError("webhooks_off") from None
        return webhook_secret_view(endpoint, secret_text(secret))


def known_id(text: str) -> str:
    """Return an id that the database can look up."""
    # PostgreSQL cannot look for text with NUL, and nothing has such an id.
    return "" if "\0" in text else text


def seed_of(maker: SecretMaker, *facts: str) -> str:
    """Return the seed of a secret, which follows from the endpoint, the operation and its key.

    Raises RequestRefusedError if no secret can be made.
    """
    if not maker.can_make:
        raise RequestRefusedError("webhooks_off")
    return maker.seed(*facts)


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
