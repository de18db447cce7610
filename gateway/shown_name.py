"""Checks names that people give their things: can others read them as intended? Pure."""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from typing import Final

_JOINERS: Final = frozenset("\u200c\u200d")
"""Persian and the scripts of India need them, and emoji are composed with the second one (Unicode
Standard, 23.2). They are invisible, and do not change the direction of writing."""
_BLANKS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that are invisible: fillers of Hangul, and Braille without a dot."""


class NameFault(StrEnum):
    """What is wrong with a name."""

    NEEDED = "needed"
    """It is empty, or invisible."""
    HIDDEN = "hidden"
    """It has invisible characters, such as one that changes the direction of writing."""
    LONG = "long"


def fault_of(name: str, longest: int) -> NameFault | None:
    """Return what is wrong with a name of at most `longest` characters; None if nothing is."""
    if not all(each.isprintable() or each in _JOINERS for each in name):
        return NameFault.HIDDEN
    if not any(map(_is_seen, name)):
        return NameFault.NEEDED
    return NameFault.LONG if len(name) > longest else None


def _is_seen(character: str) -> bool:
    # Combining marks belong to what they follow; the rest of these are blanks and controls.
    return unicodedata.category(character)[0] not in "MZC" and character not in _BLANKS
