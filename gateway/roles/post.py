"""Composes what leaves the gateway: events for the operator's program, mails to holders.

Knows no event's meaning.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.post.mail_queue import MailQueue
from gateway.post.webhooks import EventPoster
from gateway.roles.mail import mail_server, open_queue
from gateway.roles.storage import Stores
from gateway.settings import Settings

LEAVE_S_MAX: Final = 10.0
"""How long a command waits for what it has to tell: a few attempts at each event."""


@dataclass(frozen=True, slots=True)
class Post:
    """Events and mails; both return at once: events are posted, and mails queued, behind them."""

    events: EventPoster
    mails: MailQueue

    def notify(self, name: str, data: Mapping[str, Any]) -> None:
        """Tell the operator's program and the account holder of an event."""
        self.events.notify(name, data)
        self.mails.notify(name, data)

    async def leave(self) -> list[str]:
        """Wait until all has left, at most `LEAVE_S_MAX`; return a sentence for what has not.

        Mails have left when they are in the outbox.
        """
        events, mails = await asyncio.gather(
            self.events.leave(LEAVE_S_MAX), self.mails.leave(LEAVE_S_MAX)
        )
        left = [] if events else ["CALLER_EVENTS_URL has not taken all events."]
        return left if mails else [*left, "SQL has not taken all mails."]


def open_post(settings: Settings, stores: Stores) -> Post:
    """Return both, not started yet. Raises SettingsError that names what is wrong."""
    # Refused where a person sees it, and not by the drainer alone, which sends.
    mail_server(settings)
    events = EventPoster(settings.events_url, settings.events_secret)
    return Post(events, open_queue(stores.engine))
