"""Describes a person's second factor: an authenticator app, and recovery codes in case it is lost.

`totp` checks the app's codes. Recovery codes are ten one-use secrets, made of random bytes that the
caller passes; it stores their digests, and deletes one when it is used.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

CODES_LEFT_FEW: Final = 2
"""With this many unused recovery codes or fewer, a person is asked to make new ones."""


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """A second factor as it is stored."""

    secret: bytes = field(repr=False)
    """The secret shared with the app, from which both make the codes."""
    last_step: int
    """Time step of the last used code (RFC 6238, 5.2)."""
    added_at: datetime
    codes_left: int
    """Number of unused recovery codes."""


RECOVERY_CODES: Final = 10
CODE_BYTES: Final = 15
"""120 bits. From 112 on a plain digest may be stored (OWASP ASVS 5.0, 6.5.2; NIST SP 800-63B-4,
3.1.2.2), instead of a slow hash, which would have to be tried against ten."""
CHANCE_BYTES: Final = RECOVERY_CODES * CODE_BYTES
"""Number of random bytes that ten codes are made of."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, which look like digits, and no U, which makes words."""
_READ_AS = str.maketrans("ILO", "110")
_BITS = 5
_LENGTH = CODE_BYTES * 8 // _BITS
_GROUP = 4
_TYPED_MAX = 128


def make_codes(chance: bytes) -> tuple[str, ...]:
    """Return ten codes of six groups of four, made of CHANCE_BYTES random bytes."""
    if len(chance) != CHANCE_BYTES:
        raise ValueError(f"takes {CHANCE_BYTES} random bytes")
    starts = range(0, CHANCE_BYTES, CODE_BYTES)
    return tuple(_code_of(chance[start : start + CODE_BYTES]) for start in starts)


def normalise_code(typed: str) -> str:
    """Return a typed code as 24 characters without separators; empty if it cannot be a code.

    Case, spaces and dashes do not matter; O is read as 0, and I and L as 1.
    """
    if len(typed) > _TYPED_MAX:
        return ""
    text = unicodedata.normalize("NFKC", typed).upper().translate(_READ_AS)
    code = "".join(
        each for each in text if not each.isspace() and unicodedata.category(each) != "Pd"
    )
    return code if len(code) == _LENGTH and set(code) <= set(_ALPHABET) else ""


def code_digest(typed: str) -> str:
    """Return the digest of a code that is stored, in hexadecimal; empty if it cannot be a code."""
    code = normalise_code(typed)
    return hashlib.sha256(code.encode()).hexdigest() if code else ""


def _code_of(chance: bytes) -> str:
    number = int.from_bytes(chance)
    shifts = range(_BITS * (_LENGTH - 1), -1, -_BITS)
    code = "".join(_ALPHABET[number >> shift & 31] for shift in shifts)
    return "-".join(code[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))
