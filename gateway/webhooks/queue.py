"""Queues webhook events outside of any transaction.

It never blocks. For events that a transaction has already queued it is a second attempt; for those
that write no row it is the only one.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from billing.clock import Clock, utc_now
from gateway.post.patience import DELAYS_S, Patience
from gateway.webhooks.events import EVENT_TYPES, QueuedEvent, event_id

_ID_BYTES = 16

log = structlog.get_logger(__name__)


class EventOutbox(Protocol):
    """Where events wait. Raises StoreUnavailableError."""

    async def queue(self, event: QueuedEvent) -> None:
        """Queue an event for all endpoints that want it."""


class WebhookQueue:
    """The events that one process still has to queue."""

    def __init__(
        self,
        outbox: EventOutbox,
        *,
        delays_s: tuple[float, ...] = DELAYS_S,
        clock: Clock = utc_now,
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._patience = Patience(delays_s)
        self.leave = self._patience.leave
        self.stop = self._patience.stop

    def notify(self, name: str, data: Mapping[str, Any]) -> None:
        """Queue an event soon, if it is one that webhooks report."""
        if name not in EVENT_TYPES:
            return
        # A fact with a reference has one id, no matter how often and by whom it is reported.
        reference = str(data.get("reference", "")) or secrets.token_hex(_ID_BYTES)
        told = QueuedEvent(
            str(data["account_id"]),
            event_id(name, reference),
            name,
            self._clock(),
            data=data,
        )

        def tell(error: Exception) -> None:
            log.warning("event not queued", event_id=told.event_id, failure=type(error).__name__)

        if not self._patience.begin(lambda: self._outbox.queue(told), tell):
            log.warning("event not queued, too many wait", event_id=told.event_id)
