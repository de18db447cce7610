"""Reads the settings of Twilio's account: where its API is, and what proves who asks."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from gateway.errors import SettingsError
from gateway.settings import Settings

REGION_EDGES: Final = {"us1": "ashburn", "ie1": "dublin", "au1": "sydney"}
"""Twilio's regions that have media streams, and the edge where each is."""
_NEEDED: Final = ("twilio_account_sid", "twilio_auth_token", "caller_id")


def require(settings: Settings) -> None:
    """Raise SettingsError naming what is missing of the account."""
    for name in _NEEDED:
        if not getattr(settings, name):
            raise SettingsError(f"CALLER_{name.upper()} is missing; `caller demo` needs none.")


def is_genuine(settings: Settings) -> bool:
    """Return whether the service is Twilio itself, and no simulator of it."""
    return (urlsplit(settings.carrier_url).hostname or "").endswith(".twilio.com")


def api_origin(settings: Settings) -> str:
    """Return the origin of the REST API, at the configured region and edge.

    Twilio accepts a region and an edge only together ("Using the Twilio REST API in a non-US
    Region").
    """
    if not (settings.twilio_region or settings.twilio_edge):
        return settings.carrier_url
    region = settings.twilio_region or "us1"
    return f"https://api.{settings.twilio_edge or REGION_EDGES[region]}.{region}.twilio.com"


def credentials(settings: Settings) -> tuple[str, str]:
    """Return user name and password for REST: the API key, or else the account's auth token."""
    return (
        settings.twilio_api_key_sid or settings.twilio_account_sid,
        (settings.twilio_api_key_secret or settings.twilio_auth_token).reveal(),
    )
