"""Judges what people call their things: whether others can read it as it was meant.

Pure; knows no page.
"""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from typing import Final

_JOINERS: Final = frozenset("\u200c\u200d")
"""Persian and the scripts of India are written with them, and emoji are made up by the second
(Unicode Standard, 23.2). They show nothing, and turn nothing round."""
_BLANKS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that show nothing: fillers of Hangul, and Braille without a dot."""


class NameFault(StrEnum):
    """What is wrong with a name."""

    NEEDED = "needed"
    """It is empty, or shows nothing."""
    HIDDEN = "hidden"
    """It has characters that nobody sees, such as one that turns the direction of writing."""
    LONG = "long"


def fault_of(name: str, longest: int) -> NameFault | None:
    """Return what is wrong with a name of at most so many characters; None where nothing is."""
    if not all(each.isprintable() or each in _JOINERS for each in name):
        return NameFault.HIDDEN
    if not any(map(_is_seen, name)):
        return NameFault.NEEDED
    return NameFault.LONG if len(name) > longest else None


def _is_seen(character: str) -> bool:
    # Marks go onto what they follow; the others of these are blanks and controls.
    return unicodedata.category(character)[0] not in "MZC" and character not in _BLANKS
