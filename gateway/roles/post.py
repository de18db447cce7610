"""Composes what leaves the gateway: events for the operator's program, mails to holders.

Knows no event's meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.post.mail import Mails
from gateway.post.webhooks import EventPoster
from gateway.roles import storage
from gateway.roles.storage import Stores
from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Post:
    """Events and mails; both return at once and deliver in the background."""

    events: EventPoster
    mails: Mails

    def notify(self, name: str, data: Mapping[str, Any]) -> None:
        """Tell the operator's program and the account holder of an event."""
        self.events.notify(name, data)
        self.mails.notify(name, data)


def open_post(settings: Settings, stores: Stores) -> Post:
    """Return both, not started yet. Raises SettingsError that names what is wrong."""
    events = EventPoster(settings.events_url, settings.events_secret)
    return Post(events, storage.open_mails(settings, stores))
