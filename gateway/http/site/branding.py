"""Defines the service's branding: its name, who runs it, its logo and its colours.

Judges a logo by its content.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from gateway.http.site.svg import fault_of, is_svg

LOGO_BYTES_MAX: Final = 64 * 1024
OURS: Final = "Caller"
"""The service's name if the operator sets none."""
_PNG: Final = b"\x89PNG\r\n\x1a\n"


class LogoError(ValueError):
    """A logo that cannot be served; the message says why."""


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture beside the name."""

    content: bytes
    media_type: str
    name: str
    """Name of its file, with the hash of its content."""


@dataclass(frozen=True, slots=True)
class Branding:
    """The branding of one service."""

    service: str
    contact: str = ""
    """Mail address for questions; empty for none."""
    operator: str = ""
    """The company or person who runs it; empty for none."""
    address: str = ""
    """Their postal address; empty for none."""
    logo: Logo | None = None
    accents: tuple[str, ...] = ()
    """Colours of links in light and in dark pages; empty for ours."""

    @property
    def style(self) -> bytes:
        """Return what is added to the style sheet."""
        if not self.accents:
            return b""
        light, dark = self.accents
        return (
            f"\n:root {{ --accent: {light}; }}\n"
            f"@media (prefers-color-scheme: dark) {{ :root {{ --accent: {dark}; }} }}\n"
        ).encode()


def read_logo(content: bytes) -> Logo:
    """Return a logo.

    Raises LogoError if it is too large, neither PNG nor SVG, or does more than show a picture.
    """
    if len(content) > LOGO_BYTES_MAX:
        raise LogoError(f"has more than {LOGO_BYTES_MAX} bytes")
    digest = hashlib.sha256(content).hexdigest()[:8]
    if content.startswith(_PNG):
        return Logo(content, "image/png", f"logo-{digest}.png")
    if is_svg(content):
        if fault := fault_of(content):
            raise LogoError(f"{fault}; export it as a plain SVG, or as PNG")
        return Logo(content, "image/svg+xml", f"logo-{digest}.svg")
    raise LogoError("is neither PNG nor SVG")
