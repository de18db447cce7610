"""Whose service it is: logos by their content."""

import pytest

from gateway.http.site.branding import LOGO_BYTES_MAX, Branding, LogoError, read_logo

SVG = b"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1 1'></svg>"
PNG = b"\x89PNG\r\n\x1a\n rest"


def test_a_logo_is_named_after_its_content():
    svg, png = read_logo(SVG), read_logo(PNG)
    assert (svg.media_type, png.media_type) == ("image/svg+xml", "image/png")
    assert svg.name.endswith(".svg")
    assert png.name.endswith(".png")
    assert read_logo(SVG + b"\n").name != svg.name


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "neither"),
        (b"GIF89a", "neither"),
        (b"<html/>", "neither"),
        (b"<svg/>", "neither"),
        (b"<!DOCTYPE svg>" + SVG, "neither"),
        (b"<?xml version='1.0'?><!doctype x [<!ENTITY a 'b'>]>" + SVG, "neither"),
        (SVG[:-3], "neither"),
        (SVG + b"\0", "neither"),
        ("<svg".encode("utf-16"), "neither"),
        (PNG + bytes(LOGO_BYTES_MAX), "has more than"),
    ],
)
def test_anything_else_is_refused(content, why):
    with pytest.raises(LogoError, match=why):
        read_logo(content)


def test_a_logo_that_could_run_says_what_to_do():
    active = SVG.replace(b"></svg>", b"><script>1</script></svg>")
    with pytest.raises(LogoError, match=r"<script>.*; export it as a plain SVG, or as PNG"):
        read_logo(active)


def test_without_colours_the_style_is_ours():
    assert Branding("Calls").style == b""
