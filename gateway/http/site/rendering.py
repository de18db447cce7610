"""Renders pages as HTML; templates and words are read once, at start.

Every text is autoescaped, and a name that a template's page does not have is an error.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from types import CodeType
from typing import Final

from jinja2 import BytecodeCache, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import escape
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gateway.http.access import DeclaredRoute, public
from gateway.http.site.branding import Branding
from gateway.http.site.countries import country_name
from gateway.http.site.forms import OWNER, SENT, SENT_BYTES
from gateway.http.site.pages import Page, PasskeyPage
from gateway.http.site.phone import in_name_of, manifest_of, with_welcome
from gateway.http.site.words import WORDS
from gateway.words.data_map import label_in, words_in

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""No script at all, so injected markup could run nothing."""
SCRIPT_POLICY: Final = "; ".join(
    (CONTENT_SECURITY_POLICY, "script-src 'self'", "connect-src 'self'")
)
"""For the pages that support passkeys: one file of ours, which contacts no one else."""

HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(), camera=(), geolocation=()",
    # Not `no-referrer`, which would make forms send `Origin: null` (Fetch, 3.2). Only the origin,
    # without a path, so that the secret of a link goes nowhere.
    "Referrer-Policy": "strict-origin",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}

SCRIPT_HEADERS: Final = {**HEADERS, "Content-Security-Policy": SCRIPT_POLICY}

_ASSET_HEADERS: Final = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    # An SVG logo that is opened by itself is a document of ours: it may do nothing.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}


_FORM: Final = re.compile('<form method="post"[^>]*>')
"""No attribute contains the last character of it, because autoescaping replaces it."""
_REPEATED: Final = re.compile('action="/sign-(in|out)')
"""Forms that sign in or out, of which every submission counts."""


@dataclass(frozen=True, slots=True)
class _Asset:
    content: bytes
    media_type: str


class Pages:
    """Renders the pages of one deployment."""

    def __init__(self, branding: Branding, packages: Sequence[str] = ()) -> None:
        """Take templates from these packages too, each from its folder `templates`."""
        self._assets: dict[str, _Asset] = {}
        self._branding = branding
        self._phone_style = self._add_asset("phone.css", "text/css", branding.style)
        style = self._add_asset("style.css", "text/css", branding.style, before="tokens.css")
        script = self._add_asset("passkeys.js", "text/javascript")
        icon = self._add_asset("icon.svg", "image/svg+xml")
        if logo := branding.logo:
            self._assets[logo.name] = _Asset(logo.content, logo.media_type)
            icon = f"/site/{logo.name}"
        self._environments = {
            language: environment(
                language,
                words,
                packages,
                service=branding.service,
                contact=branding.contact,
                operator=branding.operator,
                address=branding.address,
                logo=icon if logo else "",
                icon=icon,
                style=style,
                script=script,
            )
            for language, words in WORDS.items()
        }

    def render(
        self,
        page: Page,
        language: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        owner: str = "",
        is_signed_in: bool | None = False,
    ) -> Response:
        """Return a page in one of our languages; its forms name the account that they are for.

        `is_signed_in` is None if that is unknown.
        """
        template = self._environments[language].get_template(page.template)
        context = {each.name: getattr(page, each.name) for each in fields(page)}
        has_script = isinstance(page, PasskeyPage) and page.passkey_host
        own = SCRIPT_HEADERS if has_script else HEADERS
        html = template.render(context, is_signed_in=is_signed_in)
        whose = f'<input type="hidden" name="{OWNER}" value="{escape(owner)}">' if owner else ""
        html = _FORM.sub(lambda form: form[0] + whose + _one_time(form[0]), html)
        return HTMLResponse(html, status, {**own, **(headers or {})})

    def phone_page(self, html: str) -> str:
        """Return the phone page with this service's branding."""
        return with_welcome(self.live_page(html), "welcome")

    def live_page(self, html: str) -> str:
        """Return the page of live calls with this service's branding."""
        style = self._phone_style.lstrip("/")
        return in_name_of(self._branding, html, logo=self._logo, style=style)

    def phone_manifest(self, manifest: str) -> str:
        """Return the phone's manifest with this service's branding."""
        return manifest_of(self._branding, manifest, logo=self._logo)

    @property
    def _logo(self) -> str:
        """URL of the logo as the phone page refers to it."""
        return f"site/{self._branding.logo.name}" if self._branding.logo else ""

    def routes(self) -> list[DeclaredRoute]:
        """Return the route of the files that pages load."""
        return [public("/site/{name}", self._asset)]

    async def _asset(self, request: Request) -> Response:
        # Names are looked up in memory, never joined to a path, so `..` is harmless.
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            raise HTTPException(404)
        return Response(asset.content, headers=_ASSET_HEADERS, media_type=asset.media_type)

    def _add_asset(self, name: str, media_type: str, more: bytes = b"", *, before: str = "") -> str:
        """Read files of the package; return their URL, which changes with their content."""
        folder = resources.files("gateway.http.site")
        parts = [folder.joinpath(each).read_bytes() for each in (before, name) if each]
        content = b"\n".join(parts) + more
        stem, _, suffix = name.partition(".")
        hashed = f"{stem}-{hashlib.sha256(content).hexdigest()[:8]}.{suffix}"
        self._assets[hashed] = _Asset(content, media_type)
        return f"/site/{hashed}"


def _one_time(form: str) -> str:
    """Return the field by which a repeat of a form is recognised."""
    if _REPEATED.search(form):
        return ""
    return f'<input type="hidden" name="{SENT}" value="{secrets.token_hex(SENT_BYTES)}">'


class _Compiled(BytecodeCache):
    """Caches compiled templates for all languages: words come in when they are rendered.

    It holds one entry per template of the package, which never changes while a process runs.
    """

    def __init__(self) -> None:
        self._codes: dict[str, CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Load a compiled template, if cached."""
        bucket.code = self._codes.get(bucket.key)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Cache a compiled template."""
        self._codes[bucket.key] = bucket.code


_COMPILED: Final = _Compiled()


def environment(
    language: str, words: Mapping[str, str], packages: Sequence[str] = (), **constants: str
) -> Environment:
    """Return the environment that renders the templates of one language.

    `t` returns the words of a key, with values put in by name; `country_name` the name of a code;
    `field_name` that of a column of the data map, as the label of a row.
    """
    made = Environment(
        loader=ChoiceLoader([PackageLoader(each) for each in ("gateway.http.site", *packages)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=_COMPILED,
    )

    def t(key: str, **values: object) -> str:
        # Formatted before it is escaped: words have no markup, so nothing needs to be marked safe.
        return words[key].format(**values) if values else words[key]

    def name_of(code: str) -> str:
        return country_name(code, language)

    fields = words_in(language)
    made.globals.update(
        constants,
        t=t,
        language=language,
        country_name=name_of,
        field_name=lambda column: label_in(fields, column),
    )
    return made
