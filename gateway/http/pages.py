"""Serves the phone at `/` and `/phone`, live calls at `/live`, files below `/static/`, the SDK.

Everything in the build is read once, at start, so that a request touches no disk and cannot choose
a path. Sets the policies: what the files may do in a browser.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gateway.http.access import DeclaredRoute, public

STATIC_DIR: Final = Path(str(resources.files("gateway.http"))) / "static"
"""Where the build hook puts the built pages."""


def policy(ancestors: str) -> str:
    """Return the Content-Security-Policy of a page that these ancestors may frame.

    It loads and reaches its own origin only, and nothing inline.
    """
    return "; ".join(
        (
            "default-src 'none'",
            # No 'unsafe-inline': the page holds the API key, so injected markup must not run.
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "worker-src 'self'",
            "img-src 'self'",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            f"frame-ancestors {ancestors}",
        )
    )


CONTENT_SECURITY_POLICY = policy("'none'")
"""For our own pages, which are never in a frame."""

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    # Workers need it too if they belong to a frame in an isolated page.
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), screen-wake-lock=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Sent with every file: a worker obeys the policy of its own file, not the page's."""

SDK_HEADERS = {
    **SECURITY_HEADERS,
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
"""Sent with the files of the SDK, which any page may load: a page of another origin gets a module,
and an audio worklet, only with CORS (HTML, 8.1.4.2), and an isolated page only with CORP."""

SDK_PATH = "/sdk/v1"
"""Path of the SDK; an incompatible one would be v2."""

_INDEX = "index.html"
_LIVE = "live.html"
_MANIFEST = "manifest.webmanifest"
_OFFLINE = "offline.js"
"""The service worker: it may only see what lies beside it (Service Workers, 3.4.3)."""
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}

_ENCODINGS = {"br": ".br", "gzip": ".gz"}
"""Content codings the build writes, best first, and the suffix of their files."""

_HASHED = re.compile(r"-[0-9A-Z]{8}\.\w+$")
"""A name that contains the hash of its content, as esbuild writes it."""

NOT_BUILT = (
    "The web pages are not built. Install the package (pip install .), "
    "or run `npm ci && npm run build` in web/, then restart the gateway.\n"
)


Rewrite = Callable[[str], str]
"""Returns a file of these pages with the service's own name."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the build in every coding it has; the empty key is the plain bytes."""

    bodies: dict[str, bytes]
    headers: dict[str, str]

    def respond(self, request: Request, other: Mapping[str, str] | None = None) -> Response:
        """Answer a request; `other` headers replace its own of the same name."""
        headers = {**self.headers, **(other or {})}
        if request.headers.get("if-none-match") == headers["ETag"]:
            # RFC 9110, 15.4.5: a 304 carries ETag, Cache-Control and Vary like the 200.
            return Response(status_code=304, headers=headers)
        coding = _best_coding(request.headers.get("accept-encoding", ""), self.bodies)
        if coding:
            headers["Content-Encoding"] = coding
        return Response(self.bodies[coding], headers=headers)


def routes(
    static_dir: Path,
    rewrite: Rewrite | None = None,
    rewrite_manifest: Rewrite | None = None,
    rewrite_live: Rewrite | None = None,
) -> list[DeclaredRoute]:
    """Return the routes of the pages as built into `static_dir`, after the rewrites.

    If nothing has been built, they answer 503 and say what to do: the API works without pages.
    """
    rewrites = {_INDEX: rewrite, _MANIFEST: rewrite_manifest, _LIVE: rewrite_live}
    assets = _load(static_dir, SECURITY_HEADERS, rewrites)
    sdk = _load(static_dir / "sdk", SDK_HEADERS, {})
    index, live = assets.pop(_INDEX, None), assets.pop(_LIVE, None)

    async def page(request: Request) -> Response:
        return _page(index, request)

    async def live_page(request: Request) -> Response:
        return _page(live, request)

    async def asset(request: Request) -> Response:
        return _named(assets, request.path_params["name"], request)

    async def beside(request: Request) -> Response:
        return _named(assets, request.url.path.removeprefix("/"), request)

    async def sdk_file(request: Request) -> Response:
        return _named(sdk, request.path_params["name"], request)

    return [
        public("/", page),
        public("/phone", page),
        public("/live", live_page),
        public(f"/{_MANIFEST}", beside),
        public(f"/{_OFFLINE}", beside),
        public("/static/{name}", asset),
        public(f"{SDK_PATH}/{{name}}", sdk_file),
    ]


def _page(built: Asset | None, request: Request) -> Response:
    if built is None:
        return PlainTextResponse(NOT_BUILT, 503, SECURITY_HEADERS)
    return built.respond(request)


def _named(assets: dict[str, Asset], name: str, request: Request) -> Response:
    # Names are looked up in memory, never joined to a path, so `..` is harmless.
    found = assets.get(name)
    if found is None:
        raise HTTPException(404)
    return found.respond(request)


def _load(
    static_dir: Path, policies: dict[str, str], rewrites: Mapping[str, Rewrite | None]
) -> dict[str, Asset]:
    """Read every file of a known type; other files in the folder are not served."""
    if not static_dir.is_dir():
        return {}
    files = (path for path in static_dir.iterdir() if path.suffix in _MEDIA_TYPES)
    return {path.name: read(path, policies, rewrites.get(path.name)) for path in files}


def read(path: Path, policies: dict[str, str], rewrite: Rewrite | None = None) -> Asset:
    """Return a file of the build in every coding that it has."""
    built = path.read_bytes()
    plain = built if rewrite is None else rewrite(built.decode()).encode()
    if plain != built:
        return _asset(path, policies, {"": plain, "gzip": gzip.compress(plain, 9, mtime=0)})
    bodies = {"": built}
    for coding, suffix in _ENCODINGS.items():
        compressed = path.with_name(path.name + suffix)
        if compressed.is_file():
            bodies[coding] = compressed.read_bytes()
    return _asset(path, policies, bodies)


def _asset(path: Path, policies: dict[str, str], bodies: dict[str, bytes]) -> Asset:
    # Anything else must be revalidated: cached HTML would refer to files of an older build.
    forever = _HASHED.search(path.name)
    headers = {
        **policies,
        "Content-Type": _MEDIA_TYPES[path.suffix],
        "Cache-Control": "public, max-age=31536000, immutable" if forever else "no-cache",
        # Weak: the same for every coding (RFC 9110 section 8.8.1).
        "ETag": f'W/"{hashlib.sha256(bodies[""]).hexdigest()[:16]}"',
        "Vary": "Accept-Encoding",
    }
    return Asset(bodies, headers)


def _best_coding(accepted: str, bodies: dict[str, bytes]) -> str:
    """Return a content coding that the client accepts, or the empty string for none."""
    for coding in _ENCODINGS:
        # RFC 9110, 12.4.2: a weight of 0 means "not acceptable".
        if coding in bodies and re.search(
            rf"\b{coding}\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", accepted
        ):
            return coding
    return ""
