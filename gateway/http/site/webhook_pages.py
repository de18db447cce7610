"""Declares the pages of webhooks; each dataclass is all that its template is given.

Holds shapes only; knows no request and no store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar


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


OfWebhooks = WebhooksPage | NewWebhookPage | WebhookSecretPage
