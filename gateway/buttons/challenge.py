"""Decides how hard a challenge is, what it names, and which solutions can be right.

A challenge is ALTCHA's: find the number whose SHA-256 together with the salt is given. It makes
bots' calls cost something, and stops no one for good. Pure: the secret and the time come from the
caller.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final
from urllib.parse import parse_qs

import msgspec

LIFETIME_S: Final = 120
"""How long one may take to solve: for a slow phone, and a person who has to allow the
microphone."""
NUMBERS_MIN: Final = 20_000
"""The most numbers to try while few challenges are requested; a browser does it within 0.2 s."""
NUMBERS_MAX: Final = 1_280_000
"""The most under a flood: some seconds on a phone."""
CALM: Final = 30
"""Challenges of one key within a minute, in one network or range, up to which they stay easy."""
SOLUTION_CHARS_MAX: Final = 2_048

_PARAMETERS: Final = ("expires", "key", "visitor")


class Solution(msgspec.Struct, frozen=True):
    """What ALTCHA's clients send back."""

    algorithm: str
    challenge: Annotated[str, msgspec.Meta(max_length=128)]
    # A number, not text: text could extend into the salt, and override the time at which the
    # challenge expires (CVE-2025-68113).
    number: Annotated[int, msgspec.Meta(ge=0, le=NUMBERS_MAX)]
    salt: Annotated[str, msgspec.Meta(max_length=512)]
    signature: Annotated[str, msgspec.Meta(max_length=128)]


def numbers_of(recent: int) -> int:
    """Return the most numbers that the solver of a challenge has to try.

    `recent` is how many challenges of the key were given in the visitor's network or range within
    the last minute: each doubling beyond `CALM` doubles the work.
    """
    numbers = NUMBERS_MIN
    while recent > CALM and numbers < NUMBERS_MAX:
        numbers, recent = 2 * numbers, recent // 2
    return min(numbers, NUMBERS_MAX)


def read_solution(text: str) -> Solution | None:
    """Return the solution in ALTCHA's payload, JSON in base64; None for anything else."""
    if len(text) > SOLUTION_CHARS_MAX:
        return None
    try:
        return msgspec.json.decode(base64.b64decode(text, validate=True), type=Solution)
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
        return None


def parameters(*, expires_s: int, key: str, visitor: str) -> dict[str, str]:
    """Return what a challenge names; it is signed together with the number."""
    return dict(zip(_PARAMETERS, (str(expires_s), key, visitor), strict=True))


def is_for(solution: Solution, *, key: str, visitors: tuple[str, ...], now_s: int) -> bool:
    """Return whether a solution with a valid signature names this key and one of these visitors.

    Around midnight a visitor has two names, the previous day's and today's.
    """
    named = parse_qs(solution.salt.partition("?")[2], keep_blank_values=True)
    # Each exactly once: of two different values, parsers would disagree on which one counts.
    values = {name: named.get(name, []) for name in _PARAMETERS}
    if solution.algorithm != "SHA-256" or any(len(found) != 1 for found in values.values()):
        return False
    (expires,), (named_key,), (visitor,) = values.values()
    is_fresh = expires.isascii() and expires.isdigit() and now_s <= int(expires[:12])
    return is_fresh and named_key == key and visitor in visitors
