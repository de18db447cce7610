"""Serves `/said`: what calls have said, for people, such as codes that a call speaks.

Nobody hears a simulated phone, so that what is spoken there is read here.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.carrier.exchange import Exchange
from simulators.documents import Documents

PATH: Final = "/said"
SHOWN_MAX: Final = 50
NOTICE: Final = "Simulated phone network: nobody is called"
_STYLE: Final = """
main { max-width: 44rem; margin: 0 auto; padding: 1.5rem 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; line-height: 1.3; margin: 0 0 1rem; }
a { color: light-dark(#1f4fd8, #9db8ff); display: inline-block; padding: .625rem 0; }
dt { font-weight: 600; border-top: 1px solid light-dark(#d1d5db, #3f4550); padding-top: .75rem; }
dd { margin: 0 0 .75rem; }
:focus-visible { outline: 3px solid light-dark(#1f4fd8, #9db8ff); outline-offset: 2px; }
"""
_DOCUMENTS: Final = Documents(NOTICE, _STYLE)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {_DOCUMENTS.style_source}; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Announcements:
    """The page of what calls have said."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[Route]:
        """Return the page."""
        return [Route(PATH, self._show, methods=["GET"])]

    async def _show(self, _request: Request) -> Response:
        said = (
            (line.call.to, each.text, each.language)
            for line in self._exchange.lines()
            for each in line.conversation.said
        )
        return Response(page(said), 200, _HEADERS, "text/html")


def page(said: Iterable[tuple[str, str, str]]) -> str:
    """Return the page of texts with the number that each was said to, and its language (BCP 47)."""
    entries = "".join(
        f'<dt>{escape(number)}</dt>\n<dd lang="{escape(language)}">{escape(text)}</dd>\n'
        for _, (number, text, language) in zip(range(SHOWN_MAX), said, strict=False)
    )
    content = f"<dl>\n{entries}</dl>" if entries else "<p>No call has said anything yet.</p>"
    again = f'<p><a href="{PATH}">Look again</a></p>'
    return _DOCUMENTS.document("What calls said", f"<h1>What calls said</h1>\n{again}\n{content}")
