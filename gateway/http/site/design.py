"""Serves `/design`: every element of our pages, of the phone and of the button, in every state.

For those who work on them; only a demo has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.http.access import DeclaredRoute
from gateway.http.pages import policy
from gateway.http.site.design_pages import DesignPage, SpecimenPage
from gateway.http.site.door import Door, language_of
from gateway.http.site.rendering import CONTENT_SECURITY_POLICY

DESIGN: Final = "/design"
_BUILT: Final = "design.json"
"""What the build has made for these pages."""
_HEADERS: Final = {
    "Content-Security-Policy": f"{CONTENT_SECURITY_POLICY}; script-src 'self'; frame-src 'self'"
}
_SPECIMEN_HEADERS: Final = {
    "Content-Security-Policy": policy("'self'"),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}


class Built(msgspec.Struct):
    """Files of a build, by what they are for."""

    script: str
    phone: list[str]
    frame: list[str]
    icon: str


@dataclass(frozen=True, slots=True)
class DesignPages:
    """Handlers of the pages."""

    door: Door
    static_dir: Path
    button: str = ""
    """Publishable key of a button; empty for none."""

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        page = self.door.page
        return [
            page(DESIGN, self.show),
            page(f"{DESIGN}/phone", self.show_phone),
            page(f"{DESIGN}/frame", self.show_frame),
        ]

    async def show(self, request: Request) -> Response:
        """Show all elements."""
        page = DesignPage(_address(self._built().script), self.button)
        return self.door.pages.render(page, language_of(request), headers=_HEADERS)

    async def show_phone(self, request: Request) -> Response:
        """Show one element of the phone."""
        return self._specimen(request, "phone", lambda built: built.phone)

    async def show_frame(self, request: Request) -> Response:
        """Show one state of the button's frame."""
        return self._specimen(request, "frame", lambda built: built.frame)

    def _specimen(
        self, request: Request, kind: str, styles_of: Callable[[Built], list[str]]
    ) -> Response:
        built = self._built()
        styles = [_address(name) for name in styles_of(built)]
        page = SpecimenPage(kind, _address(built.script), styles, _address(built.icon))
        headers: Mapping[str, str] = _SPECIMEN_HEADERS
        return self.door.pages.render(page, language_of(request), headers=headers)

    def _built(self) -> Built:
        try:
            return msgspec.json.decode((self.static_dir / _BUILT).read_bytes(), type=Built)
        except FileNotFoundError:
            # The pages are not built: `/` says so, and what to do.
            raise HTTPException(404) from None


def _address(name: str) -> str:
    return f"/static/{name}"
