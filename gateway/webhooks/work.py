"""Composes the sending of webhooks, which the worker does; every other process only queues them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from billing.cdr import CallRecord
from gateway.app import Services
from gateway.calls.call_view import ended_view
from gateway.errors import SettingsError
from gateway.heartbeat.periodic_task import PeriodicTask
from gateway.settings import Settings
from gateway.stores.secret_keys import secret_keys
from gateway.webhooks import sender
from gateway.webhooks.events import CALL_ENDED, body_of
from gateway.webhooks.ports import OPERATOR, Delivery, Endpoint
from gateway.webhooks.sender import DeliveryTidying, EndpointTarget, ReceiverAnswer, WebhookSender
from gateway.webhooks.signature import SecretMaker, read_secret
from gateway.webhooks.spool import open_spool
from gateway.webhooks.target import Target, read_target

if TYPE_CHECKING:
    from gateway.webhooks.poster import HttpPoster

_CHANCES: Final = 1_000_000


class Locator:
    """Looks up where endpoints are and what signs for them; the operator's is in the settings."""

    def __init__(self, settings: Settings, maker: SecretMaker) -> None:
        """Raises SettingsError for a malformed secret."""
        self._private_hosts = settings.webhook_private_hosts
        self._maker = maker
        self._operator: EndpointTarget | None = None
        if settings.events_url:
            url = settings.events_url.reveal()
            # Trusted at any address, because the operator has set it.
            target = Target(url, (urlsplit(url).hostname or "").rstrip("."), is_trusted=True)
            try:
                self._operator = EndpointTarget(
                    target, [read_secret(settings.events_secret.reveal())]
                )
            except ValueError as error:
                raise SettingsError(f"CALLER_EVENTS_SECRET: {error}.") from None

    def locate(self, endpoint: Endpoint) -> EndpointTarget:
        """Return where an endpoint is. Raises UnfitTargetError, LookupError."""
        if endpoint.id == OPERATOR:
            if self._operator is None:
                raise LookupError("another process's settings name it")
            return self._operator
        target = read_target(endpoint.url, self._private_hosts)
        return EndpointTarget(
            target, [self._maker.secret(endpoint.id, seed) for seed in endpoint.seeds]
        )


class LatePoster:
    """An `HttpPoster` that is created on first use: a drainer without webhooks stays smaller."""

    def __init__(self) -> None:
        self._poster: HttpPoster | None = None

    async def post(self, target: Target, headers: dict[str, str], body: bytes) -> ReceiverAnswer:
        """Post once; never raises except when cancelled."""
        if self._poster is None:
            from gateway.webhooks.poster import HttpPoster  # noqa: PLC0415

            self._poster = HttpPoster()
        return await self._poster.post(target, headers, body)

    async def close(self) -> None:
        """Close all connections."""
        if self._poster is not None:
            await self._poster.close()


class WebhookWork:
    """Sends webhooks, and deletes what was sent long ago."""

    def __init__(self, services: Services) -> None:
        """Raises SettingsError for a malformed secret, or a key that cannot be read."""
        settings = services.settings
        self._records = services.stores.records
        self._spool = open_spool(settings, services.stores.engine)
        self._poster = LatePoster()
        locator = Locator(settings, SecretMaker(secret_keys(settings)))
        self._has_set_operator = False
        self._sender = WebhookSender(
            self._spool,
            self._poster,
            locator.locate,
            self._write,
            chance=lambda: secrets.randbelow(_CHANCES) / _CHANCES,
        )
        self._tasks = [
            PeriodicTask("send webhooks", self._round, sender.INTERVAL_S),
            PeriodicTask(
                "tidy webhooks", DeliveryTidying(self._spool.tidy).round, sender.TIDY_INTERVAL_S
            ),
        ]

    def start(self) -> None:
        """Start on the running loop."""
        for task in self._tasks:
            task.start()

    async def stop(self) -> None:
        """Stop; what has not been sent stays in the spool."""
        for task in self._tasks:
            await task.stop()
        await self._sender.leave()
        await self._poster.close()

    async def _round(self) -> None:
        if not self._has_set_operator:
            await self._spool.set_operator()
            self._has_set_operator = True
        await self._sender.round()

    async def _write(self, delivery: Delivery) -> bytes:
        """Return the body to post. Raises LookupError, ValueError, StoreUnavailableError."""
        if delivery.type != CALL_ENDED:
            return body_of(delivery.type, delivery.at, delivery.data)
        record = await self._record(delivery)
        if record is None or record.closed is None:
            raise LookupError("a call that is forgotten")
        return body_of(delivery.type, delivery.at, ended_view(record, record.closed))

    async def _record(self, delivery: Delivery) -> CallRecord | None:
        if delivery.account_id is None:
            return None
        return await self._records.get(delivery.account_id, delivery.call_id)
