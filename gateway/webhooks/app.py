"""Declares webhooks as an app. Each part imports what it returns, when a process takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gateway.app import App, PersonalRows, Services, WebServices, Work

if TYPE_CHECKING:
    from gateway.http.access import DeclaredRoute
    from gateway.http.site.door import Door
    from gateway.webhooks.endpoint_store import SqlWebhookEndpoints
    from gateway.webhooks.signature import SecretMaker


def _apis() -> Mapping[str, Sequence[type]]:
    from gateway.webhooks.api import WebhooksApi

    return {"Webhooks": (WebhooksApi,)}


def _routes(services: WebServices) -> Sequence[DeclaredRoute]:
    from gateway.webhooks.acts import WebhookActs
    from gateway.webhooks.api import WebhooksApi

    endpoints, maker = _endpoints(services)
    acts = WebhookActs(endpoints, maker, services.settings.webhook_private_hosts)
    return WebhooksApi(services.auth, acts, services.velocity).routes()


def _page_types() -> Sequence[type]:
    from gateway.webhooks.pages import PAGES

    return PAGES


def _page_routes(services: WebServices, door: Door) -> Sequence[DeclaredRoute]:
    from gateway.webhooks.pages import WebhookPages

    endpoints, maker = _endpoints(services)
    hosts = services.settings.webhook_private_hosts
    return WebhookPages(door, endpoints, maker, hosts).routes()


def _endpoints(services: Services) -> tuple[SqlWebhookEndpoints, SecretMaker]:
    """Return where endpoints are stored, and what derives their secrets."""
    from gateway.stores.secret_keys import secret_keys
    from gateway.webhooks.endpoint_store import SqlWebhookEndpoints
    from gateway.webhooks.signature import SecretMaker

    return SqlWebhookEndpoints(services.stores.engine), SecretMaker(secret_keys(services.settings))


def _work(services: Services) -> Work:
    from gateway.webhooks.work import WebhookWork

    return WebhookWork(services)


def _personal_rows() -> PersonalRows:
    from gateway.webhooks.tables import PERSONAL_ROWS

    return PERSONAL_ROWS


WEBHOOKS: Final = App(
    name="webhooks",
    apis=_apis,
    routes=_routes,
    page_types=_page_types,
    page_routes=_page_routes,
    work=_work,
    web_work=None,
    personal_rows=_personal_rows,
)
