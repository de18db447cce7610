"""Serves what other pages load of a button: the loader's script, the frame, and our own page.

Everything is read once, at start. A frame's policy lists the pages that may show it, by its
button's origins.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gateway.buttons.admission import Visit
from gateway.buttons.door import ButtonDoor
from gateway.http.access import DeclaredRoute, public
from gateway.http.pages import NOT_BUILT, SECURITY_HEADERS, Asset, policy, read
from gateway.settings import Settings

LOADER: Final = "loader.js"
FRAME: Final = "frame.html"
"""Names of the files in the build."""
_VERSION_CHARS: Final = 8

_ACROSS: Final = {
    # Other sites load it, including isolated ones (HTML, 7.1.4), and may pin its hash, which
    # browsers only compare for CORS requests (SRI, 3.4).
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
_LOADER_HEADERS: Final = {**_ACROSS, "Cache-Control": "public, max-age=300"}
_FRAME_HEADERS: Final = {
    **SECURITY_HEADERS,
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Permissions-Policy": "microphone=(self), autoplay=(self), speaker-selection=(self),"
    " camera=(), geolocation=(), display-capture=(), payment=()",
    # It differs by button: only the browser's own cache may keep it.
    "Cache-Control": "private, no-cache",
}


@dataclass(frozen=True, slots=True)
class EmbedFiles:
    """Handlers of the files."""

    settings: Settings
    door: ButtonDoor
    files: Mapping[str, Asset]
    """The build's files by name; none if nothing has been built."""

    def routes(self) -> list[DeclaredRoute]:
        """Return their routes; those of scripts first, whose names could be mistaken for a key."""
        loader = self.files.get(LOADER)
        scripts = [public("/embed/v1.js", self.script)]
        if loader is not None:
            # For pages that pin its hash: the content under this name never changes.
            version = hashlib.sha256(loader.bodies[""]).hexdigest()[:_VERSION_CHARS]
            scripts.append(public(f"/embed/v{version}.js", self.fixed_script))
        route = self.door.page
        return [
            *scripts,
            route("/embed/{key}", self.frame, self.frame_of_none),
            route("/c/{key}", self.page, self.page_of_none),
            route("/c/{key}/qr.svg", self.code),
        ]

    async def script(self, request: Request) -> Response:
        """Serve the newest loader."""
        return self._script(request, _LOADER_HEADERS)

    async def fixed_script(self, request: Request) -> Response:
        """Serve the loader of this build."""
        forever = {"Cache-Control": "public, max-age=31536000, immutable"}
        return self._script(request, {**_ACROSS, **forever})

    async def frame(self, request: Request, visit: Visit) -> Response:
        """Serve the frame to the pages that the button lists, and to our own."""
        return self._page(request, "'self'", *visit.button.rules.origins)

    async def frame_of_none(self, request: Request) -> Response:
        """Serve the frame to any page whose button is gone: it says so."""
        return self._page(request, "*")

    async def page_of_none(self, request: Request) -> Response:
        """Serve the same as a page of our own."""
        return self._page(request, "'none'")

    async def page(self, request: Request, _visit: Visit) -> Response:
        """Serve the frame as a page of our own, for hosts that block frames."""
        return self._page(request, "'none'")

    async def code(self, request: Request, _visit: Visit) -> Response:
        """Serve the URL of that page as a QR code."""
        key = request.path_params["key"]
        headers = {
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Cache-Control": "public, max-age=300",
        }
        svg = _qr(f"{self.settings.origin}/c/{key}")
        return Response(svg, headers=headers, media_type="image/svg+xml")

    def _script(self, request: Request, headers: Mapping[str, str]) -> Response:
        loader = self.files.get(LOADER)
        if loader is None:
            return PlainTextResponse(NOT_BUILT, 503, SECURITY_HEADERS)
        return loader.respond(request, headers)

    def _page(self, request: Request, *ancestors: str) -> Response:
        headers = {**_FRAME_HEADERS, "Content-Security-Policy": policy(" ".join(ancestors))}
        frame = self.files.get(FRAME)
        if frame is None:
            return PlainTextResponse(NOT_BUILT, 503, headers)
        return frame.respond(request, headers)


def files_in(static_dir: Path) -> Mapping[str, Asset]:
    """Return the files of a build that are served here; none if nothing has been built."""
    found = (static_dir / name for name in (LOADER, FRAME))
    return {path.name: read(path, SECURITY_HEADERS) for path in found if path.is_file()}


def _qr(text: str) -> bytes:
    # Imported here: few processes ever draw one.
    import segno  # noqa: PLC0415

    picture = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        picture, kind="svg", border=4, dark="#000", light="#fff", xmldecl=False
    )
    return picture.getvalue()
