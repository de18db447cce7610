"""The icons that the build draws: PNG of the sizes that the manifest lists, and as icon.svg is."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

GREEN, WHITE = (10, 112, 72, 255), (255, 255, 255, 255)


def pixels_of(png: bytes) -> npt.NDArray[np.uint8]:
    """Return rows of RGBA pixels of a PNG as the build writes it: one IDAT, no filter."""
    width, height = struct.unpack_from(">II", png, 16)
    (length,) = struct.unpack_from(">I", png, 33)
    content = png[41 : 41 + length]
    assert struct.unpack_from(">I", png, 41 + length)[0] == zlib.crc32(png[37 : 41 + length])
    rows = np.frombuffer(zlib.decompress(content), np.uint8).reshape(height, 1 + 4 * width)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 4)


def test_icons_are_what_the_manifest_says(built_pages: Path) -> None:
    listed = json.loads((built_pages / "manifest.webmanifest").read_text())["icons"]
    assert [(icon["sizes"], icon["purpose"]) for icon in listed] == [
        ("192x192", "any"),
        ("512x512", "any"),
        ("512x512", "maskable"),
    ]
    for icon in listed:
        pixels = pixels_of((built_pages.parent / icon["src"]).read_bytes())
        side = len(pixels)
        assert icon["sizes"] == f"{side}x{side}"
        # A system that masks it cuts the corners itself.
        assert pixels[0, 0, 3] == (255 if icon["purpose"] == "maskable" else 0)
        assert tuple(pixels[side // 2, side - 3]) == GREEN
        # In units of icon.svg: in its lower arc's line at (22, 16.9), and between the two ends.
        assert tuple(pixels[at(16.9, side), at(22, side)]) == WHITE
        assert tuple(pixels[at(8, side), at(16, side)]) == GREEN


def at(place: float, side: int) -> int:
    """Return the pixel of a coordinate of the icon's path."""
    return int((5.5 + 0.875 * place) / 32 * side)
