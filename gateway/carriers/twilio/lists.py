"""Makes readers of the lists that the carrier publishes: prices, countries, prefixes.

Commands that read a list need none of the carrier's client.
"""

from __future__ import annotations

from gateway.carriers.twilio.configuration import api_origin, credentials
from gateway.carriers.twilio.reader import TwilioReader, origin_of
from gateway.errors import SettingsError
from gateway.settings import Settings


def build_reader(settings: Settings, api: str, what: str) -> TwilioReader:
    """Return a reader of lists of one of Twilio's APIs. Raises SettingsError."""
    if not (settings.twilio_account_sid and settings.twilio_auth_token):
        raise SettingsError("CALLER_TWILIO_ACCOUNT_SID and CALLER_TWILIO_AUTH_TOKEN are missing.")
    username, password = credentials(settings)
    return TwilioReader(
        what,
        base_url=origin_of(api_origin(settings), api),
        username=username,
        password=password,
        timeout_s=settings.carrier_timeout_ms / 1000,
    )
