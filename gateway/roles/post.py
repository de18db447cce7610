"""Composes outgoing messages: events to programs, mails to holders."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.post.mail import mail_server
from gateway.post.mail_queue import MailQueue
from gateway.roles.mail import open_queue
from gateway.settings import Settings
from gateway.stores.opened import Stores
from gateway.webhooks.queue import WebhookQueue
from gateway.webhooks.spool import open_spool

LEAVE_S_MAX: Final = 10.0
"""How long a command waits for its messages to be queued: a few attempts for each event."""


@dataclass(frozen=True, slots=True)
class Post:
    """Events and mails; sending either returns at once and queues it."""

    events: WebhookQueue
    mails: MailQueue

    def notify(self, name: str, data: Mapping[str, Any]) -> None:
        """Notify programs and the account holder of an event."""
        self.events.notify(name, data)
        self.mails.notify(name, data)

    async def leave(self) -> list[str]:
        """Wait at most `LEAVE_S_MAX` until all is in SQL; return a sentence for what is not.

        The worker sends it from there.
        """
        events, mails = await asyncio.gather(
            self.events.leave(LEAVE_S_MAX), self.mails.leave(LEAVE_S_MAX)
        )
        left = [] if events else ["SQL has not taken all events."]
        return left if mails else [*left, "SQL has not taken all mails."]


def open_post(settings: Settings, stores: Stores) -> Post:
    """Return both, not started yet. Raises SettingsError that names what is wrong."""
    # Refused where a person sees it, and not only in the drainer, which sends.
    mail_server(settings)
    return Post(WebhookQueue(open_spool(settings, stores.engine)), open_queue(stores.engine))
