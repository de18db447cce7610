"""Writes pages as HTML: templates and words are read once, at start. Knows no request.

Every text goes through autoescaping, and a name that a template's page does not have is an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from importlib import resources
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gateway.http.access import DeclaredRoute, public
from gateway.http.site.countries import country_name
from gateway.http.site.pages import Page
from gateway.http.site.words import WORDS

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""No script at all: there is nothing that injected markup could run."""

HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(), camera=(), geolocation=()",
    # Not `no-referrer`, by which forms would say `Origin: null` (Fetch, 3.2): no path, so that the
    # secret of a link goes nowhere, but the origin.
    "Referrer-Policy": "strict-origin",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}

_FOREVER: Final = "public, max-age=31536000, immutable"


class Pages:
    """Renders the pages of one deployment."""

    def __init__(self, service: str, contact: str) -> None:
        """Take the operator's name for the service, and an address for questions."""
        self._style = resources.files("gateway.http.site").joinpath("style.css").read_bytes()
        self._style_name = f"style-{hashlib.sha256(self._style).hexdigest()[:8]}.css"
        self._environments = {
            language: environment(
                language,
                words,
                service=service,
                contact=contact,
                style=f"/site/{self._style_name}",
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
    ) -> Response:
        """Return a page in one of our languages."""
        template = self._environments[language].get_template(page.template)
        context = {each.name: getattr(page, each.name) for each in fields(page)}
        return HTMLResponse(template.render(context), status, {**HEADERS, **(headers or {})})

    def routes(self) -> list[DeclaredRoute]:
        """Return the route of the style sheet."""
        return [public("/site/{name}", self._asset)]

    async def _asset(self, request: Request) -> Response:
        if request.path_params["name"] != self._style_name:
            raise HTTPException(404)
        headers = {"Cache-Control": _FOREVER, "X-Content-Type-Options": "nosniff"}
        return Response(self._style, headers=headers, media_type="text/css")


def environment(language: str, words: Mapping[str, str], **constants: str) -> Environment:
    """Return what the templates of one language are rendered by.

    `t` returns the words of a key, with values put in by name; `country_name` the name of a code.
    """
    made = Environment(
        loader=PackageLoader("gateway.http.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )

    def t(key: str, **values: object) -> str:
        # Formatted before it is escaped: words have no markup, so that nothing needs to be safe.
        return words[key].format(**values) if values else words[key]

    def name_of(code: str) -> str:
        return country_name(code, language)

    made.globals.update(constants, t=t, language=language, country_name=name_of)
    return made
