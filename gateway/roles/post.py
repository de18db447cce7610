"""Composes what leaves the gateway: events for programs, mails to holders.

Knows no event's meaning.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.post.mail_queue import MailQueue
from gateway.roles.mail import mail_server, open_queue
from gateway.roles.storage import Stores
from gateway.settings import Settings
from gateway.webhooks.queue import WebhookQueue
from gateway.webhooks.spool import open_spool

LEAVE_S_MAX: Final = 10.0
"""How long a command waits for what it has to tell: a few attempts at each event."""


@dataclass(frozen=True, slots=True)
class Post:
    """Events and mails; both return at once, and are queued behind them."""

    events: WebhookQueue
    mails: MailQueue

    def notify(self, name: str, data: Mapping[str, Any]) -> None:
        """Tell programs and the account holder of an event."""
        self.events.notify(name, data)
        self.mails.notify(name, data)

    async def leave(self) -> list[str]:
        """Wait until all is in SQL, at most `LEAVE_S_MAX`; return a sentence for what is not.

        The worker sends it from there.
        """
        events, mails = await asyncio.gather(
            self.events.leave(LEAVE_S_MAX), self.mails.leave(LEAVE_S_MAX)
        )
        left = [] if events else ["SQL has not taken all events."]
        return left if mails else [*left, "SQL has not taken all mails."]


def open_post(settings: Settings, stores: Stores) -> Post:
    """Return both, not started yet. Raises SettingsError that names what is wrong."""
    # Refused where a person sees it, and not by the drainer alone, which sends.
    mail_server(settings)
    return Post(WebhookQueue(open_spool(settings, stores.engine)), open_queue(stores.engine))
