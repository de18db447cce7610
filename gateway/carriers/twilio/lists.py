"""Reads the lists that Twilio publishes for an account: prices, and high-risk prefixes.

Commands that read a list need none of the carrier's client.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from gateway.carriers.port import HighRiskList, PriceList
from gateway.carriers.twilio.configuration import api_origin, credentials
from gateway.carriers.twilio.dialing import HIGH_RISK_LIST, Country, TwilioDialing
from gateway.carriers.twilio.pricing import PRICE_LIST, TwilioPricing
from gateway.carriers.twilio.reader import TwilioReader, origin_of
from gateway.errors import SettingsError
from gateway.settings import Settings

_NAMED_MAX: Final = 20
"""Countries named in a warning; beyond that their count is enough."""


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


@asynccontextmanager
async def open_price_list(settings: Settings) -> AsyncIterator[PriceList]:
    """Open the account's price list. Raises SettingsError."""
    async with build_reader(settings, "pricing", PRICE_LIST) as reader:
        yield TwilioPricing(reader)


@asynccontextmanager
async def open_high_risk_list(settings: Settings) -> AsyncIterator[HighRiskList]:
    """Open Twilio's list of high-risk special services. Raises SettingsError."""
    async with build_reader(settings, "voice", HIGH_RISK_LIST) as reader:
        yield TwilioHighRisk(TwilioDialing(reader))


class TwilioHighRisk:
    """The prefixes of special services; Twilio does not publish those of toll fraud."""

    def __init__(self, dialing: TwilioDialing) -> None:
        """Take the account's dialling permissions."""
        self._dialing = dialing
        self._countries: dict[str, Country] = {}

    async def countries(self) -> Sequence[str]:
        """Return all countries, in Twilio's order. Raises CarrierError."""
        self._countries = {each.iso_code: each for each in await self._dialing.countries()}
        return list(self._countries)

    async def prefixes(self, iso_country: str) -> Sequence[str]:
        """Return the special-service prefixes of a country as digits. Raises CarrierError."""
        return await self._dialing.prefixes(self._countries[iso_country])

    def warning(self) -> str:
        """Return where the account may call ranges of toll fraud; empty if nowhere."""
        # Twilio only tells whether an account may call these ranges, not what they are.
        opened = [
            code
            for code, each in self._countries.items()
            if each.high_risk_tollfraud_numbers_enabled
        ]
        if not opened:
            return ""
        named = ", ".join(opened[:_NAMED_MAX]) + (", …" if len(opened) > _NAMED_MAX else "")
        return (
            "Twilio's ranges of toll fraud, which it does not publish, may be called in"
            f" {len(opened)} countries ({named}). Close them in Twilio's console (Voice, Geographic"
            " Permissions)."
        )
