"""May this number be dialled at all: parsing, and the destinations nobody may call.

Knows no account, no price and no store. Whether a destination is priced is the rate deck's word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import phonenumbers
from phonenumbers import PhoneNumberType, shortnumberinfo

from gateway import high_risk
from gateway.errors import RequestRefusedError

WORLD = "001"
"""UN M.49 code that phonenumbers gives numbers of no country, such as +800."""

DIGITS_MIN = 8
"""Fewest digits dialled, country code included: shorter ones are service or emergency codes."""

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
"""Satellite, international network and premium codes of ITU-T E.164: dear, and of no country."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A number that may be dialled if it is priced."""

    number: str
    """E.164 with its plus sign."""
    country: str
    """ISO 3166 alpha-2; empty for numbers of no country."""


def load_numbering_plans() -> None:
    """Load what phonenumbers otherwise loads country by country, at first use."""
    phonenumbers.PhoneMetadata.load_all()
    _is_emergency("00000")


def destination(text: str, opened: Iterable[str] = ()) -> Destination:
    """Return what the text dials. Raises RequestRefusedError with the reason.

    `opened` are the prefixes of high-risk destinations that may be called all the same.
    """
    number = _SEPARATORS.sub("", text.strip().removeprefix("tel:"))
    digits = number.removeprefix("+")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 15:
        raise RequestRefusedError("number_invalid", field="destination")
    if _is_emergency(digits):
        raise RequestRefusedError("number_emergency", field="destination")
    if not number.startswith("+"):
        raise RequestRefusedError("number_invalid", field="destination")
    if len(digits) < DIGITS_MIN:
        raise RequestRefusedError("number_too_short", field="destination")
    dialled = _classified(number)
    if high_risk.closed(digits, frozenset(opened)):
        raise RequestRefusedError("number_high_risk", field="destination")
    return dialled


def _classified(number: str) -> Destination:
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        raise RequestRefusedError("number_invalid", field="destination") from None
    kind = phonenumbers.number_type(parsed)
    # Personal numbers cost their caller extra, but for +1 5xx, which are charged as ordinary ones.
    personal = kind == PhoneNumberType.PERSONAL_NUMBER and parsed.country_code != 1
    barred = kind in _BARRED_TYPES or parsed.country_code in _BARRED_COUNTRY_CODES
    if barred or personal:
        raise RequestRefusedError("number_premium", field="destination")
    if not phonenumbers.is_valid_number(parsed):
        raise RequestRefusedError("number_invalid", field="destination")
    country = phonenumbers.region_code_for_number(parsed) or ""
    return Destination(number, "" if country == WORLD else country)


def _is_emergency(digits: str) -> bool:
    """Whether the digits are an emergency code of any country, with or without its prefix."""
    if len(digits) > 6:
        return False
    if any(shortnumberinfo.is_emergency_number(digits, r) for r in _EMERGENCY_REGIONS):
        return True
    return any(
        shortnumberinfo.is_emergency_number(digits[length:], region)
        for length in (1, 2, 3)
        if digits[:length].isdigit()
        for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(digits[:length]), ())
    )


_EMERGENCY_REGIONS = tuple(sorted(phonenumbers.SUPPORTED_SHORT_REGIONS))
