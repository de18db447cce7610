"""Checks whether a colour is readable on the backgrounds of the pages. Pure arithmetic."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.tokens import DARK, LIGHT

CONTRAST_MIN: Final = 4.5
"""Of text on its background: WCAG 2.2, 1.4.3 (AA)."""
LIGHT_GROUNDS: Final = (LIGHT["card"], LIGHT["ground"])
"""Backgrounds of links, and around them, in the light scheme of the pages."""
DARK_GROUNDS: Final = (DARK["card"], DARK["ground"])
"""The same in its dark scheme."""

_COLOUR: Final = re.compile(r"#[0-9a-f]{6}", re.ASCII)


def colour(text: str) -> str:
    """Return a colour as `#rrggbb` in lower case. Raises ValueError for anything else."""
    value = text.lower()
    if not _COLOUR.fullmatch(value):
        raise ValueError("must be colours such as #1557c0")
    return value


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def faults(light: str, dark: str) -> Sequence[str]:
    """Return what is wrong with the accent of each scheme, with the figures."""
    pairs = [(light, "light", ground) for ground in LIGHT_GROUNDS]
    pairs += [(dark, "dark", ground) for ground in DARK_GROUNDS]
    return [
        f"{accent} has a contrast of {ratio:.2f}:1 with {ground} of the {scheme} pages"
        for accent, scheme, ground in pairs
        if (ratio := contrast(accent, ground)) < CONTRAST_MIN
    ]


def accents(value: str) -> tuple[str, ...]:
    """Return the accents of the light and of the dark pages; none for an empty text.

    One colour cannot be both: against white and against near black it has at most 4.1:1. Raises
    ValueError, with the figures where one is too faint.
    """
    if not value.strip():
        return ()
    found = tuple(colour(part.strip()) for part in value.split(","))
    if len(found) != 2:
        raise ValueError("must be two colours: for light and for dark pages")
    if wrong := faults(*found):
        raise ValueError(f"must have contrasts of at least {CONTRAST_MIN}:1: " + "; ".join(wrong))
    return found


def _luminance(value: str) -> float:
    """Return the relative luminance (WCAG 2.2)."""
    red, green, blue = (_linear(int(value[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    # sRGB (IEC 61966-2-1), with WCAG's threshold.
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
