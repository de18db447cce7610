"""Colours: read, and judged by their contrast with the pages' own backgrounds."""

import re
from pathlib import Path

import pytest

from gateway.colours import DARK_GROUNDS, LIGHT_GROUNDS, accents, colour, contrast, faults

STYLE = Path(__file__).parents[2] / "gateway/http/site/tokens.css"


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#ffffff", "#ffffff") == 1
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_the_grounds_are_those_of_the_pages():
    schemes = STYLE.read_text().split("@media")[:2]
    for scheme, grounds in zip(schemes, (LIGHT_GROUNDS, DARK_GROUNDS), strict=True):
        found = dict(re.findall(r"--(\w+): (#\w+);", scheme))
        assert (found["card"], found["ground"]) == grounds


def test_accents_are_two_colours_that_can_be_read():
    assert accents("") == ()
    assert accents("#1557C0, #8ab6ff") == ("#1557c0", "#8ab6ff")


@pytest.mark.parametrize("text", ["#1557c0", "#1557c0,#8ab6ff,#8ab6ff", "blue,red", "#fff,#000"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="must be"):
        accents(text)


def test_what_is_too_faint_is_refused_with_the_figures():
    assert list(faults("#777777", "#8ab6ff")) == [
        "#777777 has a contrast of 4.48:1 with #ffffff of the light pages",
        "#777777 has a contrast of 3.95:1 with #eef1f4 of the light pages",
    ]
    with pytest.raises(ValueError, match=r"4\.48:1 with #ffffff"):
        accents("#777777,#8ab6ff")


def test_no_one_colour_is_both():
    """So two are asked for: on a grey of every lightness one of the schemes is unreadable."""
    greys = [colour("#" + f"{level:02x}" * 3) for level in range(256)]
    best = max(min(contrast(grey, "#ffffff"), contrast(grey, "#171c22")) for grey in greys)
    assert best < 4.2
