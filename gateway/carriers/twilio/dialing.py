"""Reads from Twilio which ranges it considers high risk: Voice Dialing Permissions API (v1).

The API lists the prefixes of special services by country; for the ranges of toll fraud it only says
whether they are open (https://www.twilio.com/docs/voice/api/dialingpermissions-country-resource).
Never writes. Does not know our own list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from gateway.carriers.twilio.reader import Meta, TwilioReader

HIGH_RISK_LIST = "list of high-risk prefixes"
COUNTRIES_MAX = 400
PREFIXES_PER_COUNTRY_MAX = 5_000
"""Far more than any numbering plan has, far fewer than an endless list would send."""

_COUNTRIES = "/v1/DialingPermissions/Countries"
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}", re.ASCII)
_SHOWN_CHARACTERS_MAX = 40


class Country(msgspec.Struct, frozen=True):
    """A country, and which of its numbers Twilio permits this account to call."""

    iso_code: str
    """ISO 3166 alpha-2."""
    country_codes: tuple[str, ...] | None = None
    """What its numbers begin with, such as `+371`."""
    high_risk_special_numbers_enabled: bool | None = None
    high_risk_tollfraud_numbers_enabled: bool | None = None
    low_risk_numbers_enabled: bool | None = None
    """All its other numbers."""


class _PermissionsPage(msgspec.Struct):
    content: list[Country]
    meta: Meta


class _Prefix(msgspec.Struct):
    prefix: str


class _PrefixesPage(msgspec.Struct):
    content: list[_Prefix]
    meta: Meta


class TwilioDialing:
    """The dialling permissions of a Twilio account."""

    def __init__(self, reader: TwilioReader) -> None:
        """Take the reader of the Voice API."""
        self._reader = reader

    async def countries(self) -> Sequence[Country]:
        """Return all countries, in Twilio's order. Raises CarrierError."""
        found: list[Country] = []
        async for page in self._reader.pages(f"{_COUNTRIES}?PageSize=1000", _PermissionsPage):
            found += page.content
            if len(found) > COUNTRIES_MAX:
                raise self._reader.nonsense()
        # An empty list is no answer either: what is left out of the list would be open.
        if not found or not all(_COUNTRY.fullmatch(country.iso_code) for country in found):
            raise self._reader.nonsense()
        return found

    async def prefixes(self, country: Country) -> Sequence[str]:
        """Return a country's special-service prefixes as digits. Raises CarrierError.

        One unreadable prefix fails the whole list: leaving it out would open it. So does a prefix
        of another country, all of whose numbers would be closed.
        """
        iso_code = country.iso_code
        # With no readable code none of the prefixes can be proven to be the country's: `startswith`
        # of an empty tuple is False, and the list is refused.
        own = tuple(code for code in country.country_codes or () if _PREFIX.fullmatch(code))
        target = f"{_COUNTRIES}/{iso_code}/HighRiskSpecialPrefixes?PageSize=1000"
        found: list[str] = []
        async for page in self._reader.pages(target, _PrefixesPage):
            for listed in page.content:
                if not _PREFIX.fullmatch(listed.prefix):
                    shown = listed.prefix[:_SHOWN_CHARACTERS_MAX]
                    raise self._reader.nonsense(f"{iso_code} lists {shown!r}, which is no prefix.")
                if not listed.prefix.startswith(own):
                    codes = ", ".join(own) or "unknown"
                    raise self._reader.nonsense(
                        f"{iso_code} lists {listed.prefix}, and its country code is {codes}."
                    )
                found.append(listed.prefix[1:])
            # Looked at page by page, before the next one is asked for.
            if len(found) > PREFIXES_PER_COUNTRY_MAX:
                raise self._reader.nonsense()
        return found
