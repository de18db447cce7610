"""Defines publishable keys: the public text in a site's page that names a button.

Pure: takes the random bytes as an argument.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

KEY_CHARS: Final = 24
"""After the prefix, of 62 characters: 142 bits, so that no one finds a button by guessing."""

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY: Final = re.compile(rf"pk_(live|test)_[0-9A-Za-z]{{{KEY_CHARS}}}", re.ASCII)
BYTES: Final = 32
"""Random bytes that a key is made of."""


class KeyMode(StrEnum):
    """What a key reaches; the value is part of its text."""

    LIVE = "live"
    """Its button's phone, at its owner's cost."""
    TEST = "test"
    """The gateway's own echo, which costs nothing."""


def publishable_key(mode: KeyMode, chance: bytes) -> str:
    """Return the key derived from `BYTES` random bytes; the same bytes give the same key."""
    # Dividing one large number is uneven by less than 2^-100.
    number = int.from_bytes(chance[:BYTES], "big")
    text = ""
    for _ in range(KEY_CHARS):
        number, place = divmod(number, len(_ALPHABET))
        text += _ALPHABET[place]
    return f"pk_{mode}_{text}"


def mode_of(key: str) -> KeyMode | None:
    """Return the mode of a publishable key; None if the text is not one."""
    found = _KEY.fullmatch(key)
    return None if found is None else KeyMode(found[1])
