"""Reads the design tokens, for mails, which no style sheet reaches, and for contrast checks.

They are in `tokens.css` beside the pages, which are served it as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from typing import Final

_ROOT_PX: Final = 16
"""Pixels per rem, unless a reader has set another font size."""
_DECLARATION: Final = re.compile(r"--([\w-]+):\s*([^;]+);")
_REM: Final = re.compile(r"([\d.]+)rem\b")


def _read() -> tuple[Mapping[str, str], Mapping[str, str]]:
    text = resources.files("gateway").joinpath("http/site/tokens.css").read_text("utf-8")
    light, _, dark = text.partition("@media")
    of_light = dict(_DECLARATION.findall(light))
    return of_light, of_light | dict(_DECLARATION.findall(dark))


LIGHT, DARK = _read()
"""Name, such as `go` -> its value in CSS, of each scheme."""


def in_pixels(value: str) -> str:
    """Return a CSS value with pixels in place of rem, which not every mail program supports."""
    return _REM.sub(lambda found: f"{float(found[1]) * _ROOT_PX:g}px", value)
