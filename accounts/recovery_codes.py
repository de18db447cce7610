"""Makes and reads recovery codes: ten one-use secrets for a person who has lost the second factor.

Takes random bytes as an argument. The caller stores the digests, and deletes one when it is used.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Final

CODES: Final = 10
CODE_BYTES: Final = 15
"""120 bits. From 112 on a plain digest may be stored (OWASP ASVS 5.0, 6.5.2; NIST SP 800-63B-4,
3.1.2.2), instead of a slow hash, which would have to be tried against ten."""
CHANCE_BYTES: Final = CODES * CODE_BYTES
"""Number of random bytes that ten codes are made of."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, which look like digits, and no U, which makes words."""
_READ_AS = str.maketrans("ILO", "110")
_BITS = 5
_LENGTH = CODE_BYTES * 8 // _BITS
_GROUP = 4
_TYPED_MAX = 128


def make(chance: bytes) -> tuple[str, ...]:
    """Return ten codes of six groups of four, made of CHANCE_BYTES random bytes."""
    if len(chance) != CHANCE_BYTES:
        raise ValueError(f"takes {CHANCE_BYTES} random bytes")
    starts = range(0, CHANCE_BYTES, CODE_BYTES)
    return tuple(_written(chance[start : start + CODE_BYTES]) for start in starts)


def normalise(typed: str) -> str:
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


def digest(typed: str) -> str:
    """Return the digest of a code that is stored, in hexadecimal; empty if it cannot be a code."""
    code = normalise(typed)
    return hashlib.sha256(code.encode()).hexdigest() if code else ""


def _written(chance: bytes) -> str:
    number = int.from_bytes(chance)
    shifts = range(_BITS * (_LENGTH - 1), -1, -_BITS)
    code = "".join(_ALPHABET[number >> shift & 31] for shift in shifts)
    return "-".join(code[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))
