"""Judges phone numbers as the carrier does: validity, display form, country.

Knows Twilio's magic test numbers and no call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import phonenumbers

from simulators.carrier import errors
from simulators.carrier.errors import Refusal

# At least eight digits: emergency and other short numbers are never dialled.
_E164: Final = re.compile(r"\+[1-9][0-9]{7,14}")

# Twilio's test credentials, https://www.twilio.com/docs/iam/test-credentials
MAGIC_TO: Final[dict[str, Refusal]] = {
    "+15005550001": errors.TO_NO_NUMBER,
    "+15005550002": errors.TO_UNROUTABLE,
    "+15005550003": errors.TO_NOT_PERMITTED,
    "+15005550004": errors.TO_BLOCKED,
}
MAGIC_FROM_INVALID: Final = "+15005550001"
MAGIC_FROM_VALID: Final = "+15005550006"


def refusal_to(number: str) -> Refusal | None:
    """Return why this number cannot be called, or None."""
    if not number:
        return errors.TO_MISSING
    # Looked up before the form is judged: the magic numbers are well formed.
    if (magic := MAGIC_TO.get(number)) is not None:
        return magic
    return None if is_dialable(number) else errors.TO_INVALID


def refusal_from(number: str, owned: frozenset[str]) -> Refusal | None:
    """Return why this number cannot be the caller, or None."""
    if not number:
        return errors.FROM_MISSING
    if number in owned:
        return None
    # 21212 is for what cannot be a number, 21210 for a number of somebody else.
    if number == MAGIC_FROM_INVALID or not _E164.fullmatch(number):
        return errors.FROM_INVALID
    return errors.FROM_NOT_OWNED


def refusal_on_trial(to: str, from_: str, assigned: Mapping[str, str]) -> Refusal | None:
    """Return why a trial account cannot place this call, or None.

    `assigned` has the verified recipients, and the number that each is called from.
    """
    if to not in assigned:
        return errors.TO_NOT_VERIFIED
    if not assigned[to]:
        return errors.TO_NOT_CONFIRMED
    return None if from_ == assigned[to] else errors.FROM_NOT_ASSIGNED


def is_dialable(number: str) -> bool:
    """Return whether the number is E.164 and of a length its country uses."""
    if not _E164.fullmatch(number):
        return False
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_possible_number(parsed)


def country(number: str) -> str:
    """Return the ISO 3166 code of the number's country, or an empty string."""
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return ""
    # A number that is in no national plan still has a country code, whose first region stands for
    # it.
    regions = phonenumbers.region_codes_for_country_code(parsed.country_code or 0)
    return phonenumbers.region_code_for_number(parsed) or next(iter(regions), "")


def formatted(number: str) -> str:
    """Return the number as Twilio displays it: `(500) 555-1000`, or E.164 outside +1."""
    if len(number) == 12 and number.startswith("+1"):
        return f"({number[2:5]}) {number[5:8]}-{number[8:]}"
    return number
