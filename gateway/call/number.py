"""Parses a dialled number and refuses destinations that may never be called.

Whether a destination has a price is decided by the rate deck.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import phonenumbers
from phonenumbers import PhoneNumberType

from gateway.call.high_risk import SHIPPED, ClosedList
from gateway.errors import RequestRefusedError

WORLD = "001"
"""UN M.49 code that phonenumbers returns for numbers without a country, such as +800."""

DIGITS_MIN = 8
"""Fewest digits dialled, country code included: shorter ones are service or emergency codes."""

TEXT_CHARACTERS_MAX = 64
"""Longest text that is parsed: 15 digits with any reasonable separators."""

_EMERGENCY_DIGITS_MAX = 6
_COUNTRY_CODE_DIGITS_MAX = 3

_SEPARATORS = re.compile(r"[\s().\-/\u00a0\u2010-\u2015]")
"""Visual separators of RFC 3966, and the dashes and spaces that people paste."""

_BARRED_TYPES = frozenset(
    {
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.UAN,
        PhoneNumberType.PAGER,
        PhoneNumberType.VOICEMAIL,
    }
)

_BARRED_COUNTRY_CODES = frozenset({870, 878, 881, 882, 883, 888, 979})
"""Satellite, international network and premium codes of ITU-T E.164: expensive, and without a
country."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A number that may be dialled if it has a price."""

    number: str
    """E.164 with its plus sign."""
    country: str
    """ISO 3166 alpha-2; empty for numbers without a country."""


def load_numbering_plans() -> None:
    """Load at start what phonenumbers otherwise loads for each country on first use."""
    phonenumbers.PhoneMetadata.load_all()
    for country_code in (None, *range(1000)):
        _emergency_codes(country_code)


def countries() -> frozenset[str]:
    """Return the countries that have numbers, ISO 3166 alpha-2."""
    return frozenset(phonenumbers.SUPPORTED_REGIONS)


def destination(text: str, closed: ClosedList = SHIPPED) -> Destination:
    """Return the destination that a text dials. Raises RequestRefusedError with the reason.

    Premium and satellite numbers stay refused, even if the operator opens their prefixes.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        raise RequestRefusedError("number_invalid", field="destination")
    number = _SEPARATORS.sub("", text.strip().removeprefix("tel:"))
    digits = number.removeprefix("+")
    # E.164 has at most fifteen digits. `isdigit` alone accepts digits of every script.
    if not digits.isascii() or not digits.isdigit() or len(digits) > 15:
        raise RequestRefusedError("number_invalid", field="destination")
    # Checked before the plus sign is required, so that "112" is refused for the right reason.
    if _is_emergency(digits):
        raise RequestRefusedError("number_emergency", field="destination")
    if not number.startswith("+"):
        raise RequestRefusedError("number_invalid", field="destination")
    if len(digits) < DIGITS_MIN:
        raise RequestRefusedError("number_too_short", field="destination")
    dialled = _classified(number)
    if closed.closes(digits):
        raise RequestRefusedError("number_high_risk", field="destination")
    return dialled


def _classified(number: str) -> Destination:
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        raise RequestRefusedError("number_invalid", field="destination") from None
    kind = phonenumbers.number_type(parsed)
    # Personal numbers cost the caller extra, except +1 5xx, which is charged as ordinary.
    personal = kind == PhoneNumberType.PERSONAL_NUMBER and parsed.country_code != 1
    barred = kind in _BARRED_TYPES or parsed.country_code in _BARRED_COUNTRY_CODES
    if barred or personal:
        raise RequestRefusedError("number_premium", field="destination")

    if not phonenumbers.is_valid_number(parsed):
        raise RequestRefusedError("number_invalid", field="destination")
    country = phonenumbers.region_code_for_number(parsed) or ""
    return Destination(number, "" if country == WORLD else country)


def _is_emergency(digits: str) -> bool:
    """Return whether the digits are any country's emergency code, with or without its prefix."""
    if len(digits) > _EMERGENCY_DIGITS_MAX:
        return False
    return _emergency_codes(None).fullmatch(digits) is not None or any(
        _emergency_codes(int(digits[:length])).fullmatch(digits[length:])
        for length in range(1, min(_COUNTRY_CODE_DIGITS_MAX, len(digits)) + 1)
    )


@functools.cache
def _emergency_codes(country_code: int | None) -> re.Pattern[str]:
    """Return a pattern of the emergency codes of one country code; of all for None.

    The library would be asked about each of 240 regions in turn, which takes a millisecond that
    anyone could make us spend; one compiled pattern does not.
    """
    regions = sorted(
        phonenumbers.SUPPORTED_SHORT_REGIONS
        if country_code is None
        else phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(country_code, ())
    )
    plans = [phonenumbers.PhoneMetadata.short_metadata_for_region(region) for region in regions]
    codes = {plan.emergency.national_number_pattern for plan in plans if plan and plan.emergency}
    return re.compile("|".join(f"(?:{code})" for code in sorted(filter(None, codes))) or "(?!)")
