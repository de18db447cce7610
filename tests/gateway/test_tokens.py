"""Design tokens: what the pages, the bundles and the mails have in common."""

from __future__ import annotations

from gateway.colours import CONTRAST_MIN, colour, contrast
from gateway.tokens import DARK, LIGHT, in_pixels

READ_ON = {
    "text": ("ground", "card", "soft", "soft-strong", "alert"),
    "muted": ("ground", "card", "soft"),
    "accent": ("ground", "card"),
    "go": ("card", "soft"),
    "stop": ("card", "alert"),
    "on-go": ("go", "go-strong"),
    "on-stop": ("stop", "stop-strong"),
    "card": ("text",),
}
"""Letters -> the grounds that they stand on."""


def test_both_schemes_have_every_token_and_differ_only_in_colours() -> None:
    assert LIGHT.keys() == DARK.keys()
    same = {name for name, value in LIGHT.items() if DARK[name] == value}
    assert {"sans", "space-1", "radius-s", "letters-m", "target", "quick"} <= same
    assert not same & {*READ_ON, *(ground for grounds in READ_ON.values() for ground in grounds)}


def test_letters_can_be_read_on_every_ground() -> None:
    for scheme in (LIGHT, DARK):
        for letters, grounds in READ_ON.items():
            for ground in grounds:
                ratio = contrast(colour(scheme[letters]), colour(scheme[ground]))
                assert ratio >= CONTRAST_MIN, (letters, ground, ratio)


def test_a_length_that_follows_the_letters_is_told_in_pixels() -> None:
    assert in_pixels("0.875rem") == "14px"
    assert in_pixels("4px 1.5rem") == "4px 24px"
