"""Serves `/account/webhooks`, where holders set up the webhooks of their account."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.sessions import SignedIn
from gateway.http.site.door import ACCOUNT, Door, said_in, see
from gateway.http.site.forms import Line, Lines, new_once, read_form
from gateway.limits.velocity import refuse, webhook_setting_uses
from gateway.shown_name import NameFault, fault_of
from gateway.webhooks.acts import known_id, seed_of
from gateway.webhooks.events import endpoint_id
from gateway.webhooks.ports import (
    LABEL_MAX,
    Endpoint,
    EndpointForm,
    Endpoints,
    NotDone,
    called,
)
from gateway.webhooks.signature import SecretMaker, secret_text
from gateway.webhooks.target import UnfitTargetError, read_target

WEBHOOKS: Final = f"{ACCOUNT}/webhooks"
NEW: Final = f"{WEBHOOKS}/new"
SHOWN: Final = 5
"""Events of each endpoint that are shown; the API has them all."""
_LABEL_FAULTS: Final = {
    NameFault.NEEDED: "characters_hidden",
    NameFault.HIDDEN: "characters_hidden",
    NameFault.LONG: "webhook_label",
}
_ONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One of the last events of an endpoint."""

    type: str
    at: datetime
    state: str
    """Key of a word under `webhook_state.`."""
    failure: str


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """An endpoint in the list."""

    id: str
    name: str
    """Its label, or its host."""
    url: str
    is_disabled: bool
    disabled_why: str
    """Key of a word under `webhook_ended.`; empty while it is enabled."""
    is_failing: bool
    deliveries: Sequence[DeliveryRow]


@dataclass(frozen=True, slots=True)
class WebhooksPage:
    """The endpoints of an account."""

    template: ClassVar[str] = "webhooks.html"
    webhooks: Sequence[WebhookRow]
    said: str = ""


@dataclass(frozen=True, slots=True)
class NewWebhookPage:
    """The form that adds an endpoint."""

    template: ClassVar[str] = "new_webhook.html"
    once: str
    url: str = ""
    label: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WebhookSecretPage:
    """The secret of an endpoint, after it was added or its secret replaced."""

    template: ClassVar[str] = "webhook_secret.html"
    name: str
    secret: str = field(repr=False)
    is_disabled: bool = False


PAGES: Final = (WebhooksPage, NewWebhookPage, WebhookSecretPage)
"""The context of each page."""


class NewWebhookFields(msgspec.Struct):
    """The form that adds a webhook."""

    once: Line = ""
    """Created with the form, so that the same form sent twice adds one endpoint."""
    url: Lines = ""
    label: Line = ""


class WebhookFields(msgspec.Struct):
    """A button that does something with a webhook."""

    webhook_id: Line = ""


@dataclass(frozen=True, slots=True)
class WebhookPages:
    """Handlers of the pages of webhooks."""

    door: Door
    endpoints: Endpoints
    maker: SecretMaker
    private_hosts: Sequence[str]

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        own = self.door.own
        return [
            own(WEBHOOKS, self.list_webhooks),
            own(NEW, self.show_form, step_up=True),
            own(NEW, self.add, method="POST", step_up=True),
            own(f"{WEBHOOKS}/turn", self.turn, method="POST", step_up=True, page=WEBHOOKS),
            own(f"{WEBHOOKS}/enable", self.enable, method="POST", step_up=True, page=WEBHOOKS),
            own(f"{WEBHOOKS}/remove", self.remove, method="POST", step_up=True, page=WEBHOOKS),
            # A test event contains nothing, so it needs no fresh proof.
            own(f"{WEBHOOKS}/test", self.test, method="POST", page=WEBHOOKS),
        ]

    async def list_webhooks(self, request: Request, who: SignedIn) -> Response:
        """List the endpoints, each with its last deliveries."""
        found = await self.endpoints.of_account(who.account.id)
        rows = [await self._row(each) for each in found]
        return self.door.show(request, WebhooksPage(rows, said_in(request)))

    async def show_form(self, request: Request, _who: SignedIn) -> Response:
        """Show the form that adds an endpoint."""
        return self.door.show(request, NewWebhookPage(new_once()))

    async def add(self, request: Request, who: SignedIn) -> Response:
        """Add an endpoint for all events, and show its secret; a repeat of the form adds none."""
        fields = await read_form(request, NewWebhookFields)
        if not _ONCE.fullmatch(fields.once):
            raise RequestRefusedError("bad_request", field="once")
        url, label = fields.url.strip(), fields.label.strip()
        try:
            read_target(url, self.private_hosts)
        except UnfitTargetError:
            return self._again(request, fields, {"url": "webhook_refused"})
        # Without a label it is named after its host.
        fault = fault_of(label, LABEL_MAX) if label else None
        if fault is not None:
            return self._again(request, fields, {"label": _LABEL_FAULTS[fault]})
        if not who.holder.is_proven:
            raise RequestRefusedError("address_unproven")
        account_id = who.account.id
        new = endpoint_id(account_id, fields.once)
        if await self.endpoints.find(account_id, new) is None:
            refuse(await self.door.velocity.hit(webhook_setting_uses(account_id)))
        added = await self.endpoints.add(
            account_id,
            who.session.credentials_epoch,
            new,
            EndpointForm(url, label),
            seed_of(self.maker, new, "add", fields.once),
            since=who.session.began_at,
        )
        if added is NotDone.TOO_MANY:
            return self._again(request, fields, {"url": "webhooks_too_many"})
        return await self._secret_of(request, added, NEW)

    async def turn(self, request: Request, who: SignedIn) -> Response:
        """Replace the secret of an endpoint, and show the new one."""
        fields = await read_form(request, WebhookFields)
        known = known_id(fields.webhook_id)
        seed = seed_of(self.maker, known, "turn", new_once())
        epoch = who.session.credentials_epoch
        turned = await self.endpoints.turn(who.account.id, epoch, known, seed)
        return await self._secret_of(request, turned, WEBHOOKS)

    async def enable(self, request: Request, who: SignedIn) -> Response:
        """Enable an endpoint again, no matter why it was disabled."""
        fields = await read_form(request, WebhookFields)
        refuse(await self.door.velocity.hit(webhook_setting_uses(who.account.id)))
        changed = await self.endpoints.change(
            who.account.id,
            who.session.credentials_epoch,
            known_id(fields.webhook_id),
            EndpointForm(is_disabled=False),
            since=who.session.began_at,
        )
        if changed is NotDone.SESSION_OVER:
            return await self.door.sign_in_first(request, WEBHOOKS)
        return see(WEBHOOKS, said="" if isinstance(changed, NotDone) else "webhook_enabled")

    async def remove(self, request: Request, who: SignedIn) -> Response:
        """Delete an endpoint and everything queued for it."""
        fields = await read_form(request, WebhookFields)
        epoch = who.session.credentials_epoch
        refused = await self.endpoints.remove(who.account.id, epoch, known_id(fields.webhook_id))
        if refused is NotDone.SESSION_OVER:
            return await self.door.sign_in_first(request, WEBHOOKS)
        # No message about one that was already removed, or is not theirs.
        return see(WEBHOOKS, said="" if refused else "webhook_removed")

    async def test(self, request: Request, who: SignedIn) -> Response:
        """Send a test event to an endpoint."""
        fields = await read_form(request, WebhookFields)
        queued = await self.endpoints.test(who.account.id, known_id(fields.webhook_id))
        return see(WEBHOOKS, said="" if isinstance(queued, NotDone) else "webhook_tested")

    def _again(
        self, request: Request, fields: NewWebhookFields, errors: dict[str, str]
    ) -> Response:
        page = NewWebhookPage(fields.once, fields.url, fields.label, errors)
        return self.door.show(request, page, status=422)

    async def _secret_of(
        self, request: Request, outcome: Endpoint | NotDone, page: str
    ) -> Response:
        if isinstance(outcome, NotDone):
            if outcome is NotDone.SESSION_OVER:
                return await self.door.sign_in_first(request, page)
            return see(WEBHOOKS)
        secret = secret_text(self.maker.secret(outcome.id, outcome.seeds[0]))
        # Shown without a redirect, for which the secret would have to be stored.
        is_disabled = outcome.disabled_at is not None
        shown = WebhookSecretPage(_name_of(outcome), secret, is_disabled=is_disabled)
        return self.door.show(request, shown)

    async def _row(self, endpoint: Endpoint) -> WebhookRow:
        assert endpoint.account_id is not None, "it is an account's"
        sent = await self.endpoints.deliveries(
            endpoint.account_id, endpoint.id, limit=SHOWN, before=None
        )
        return WebhookRow(
            endpoint.id,
            _name_of(endpoint),
            endpoint.url,
            is_disabled=endpoint.disabled_at is not None,
            disabled_why=endpoint.disabled_why,
            is_failing=endpoint.failing_since is not None,
            deliveries=[
                DeliveryRow(each.type, each.at, each.state.value, each.failure) for each, _ in sent
            ],
        )


def _name_of(endpoint: Endpoint) -> str:
    return called(endpoint.label, endpoint.url) or endpoint.id
