"""Makes readers of the lists that the carrier publishes: prices, countries, prefixes.

Apart from `adapters`: commands that read a list need none of the carrier's client.
"""

from __future__ import annotations

from gateway.carriers.twilio.reader import TwilioReader, origin_of
from gateway.errors import SettingsError
from gateway.settings import Settings


def build_reader(settings: Settings, api: str, what: str) -> TwilioReader:
    """Return a reader of lists of one of Twilio's APIs. Raises SettingsError."""
    if not (settings.twilio_account_sid and settings.twilio_auth_token):
        raise SettingsError("CALLER_TWILIO_ACCOUNT_SID and CALLER_TWILIO_AUTH_TOKEN are missing.")
    return TwilioReader(
        what,
        base_url=origin_of(settings.carrier_origin, api),
        username=settings.twilio_api_key_sid or settings.twilio_account_sid,
        password=(settings.twilio_api_key_secret or settings.twilio_auth_token).reveal(),
        timeout_s=settings.carrier_timeout_ms / 1000,
    )
