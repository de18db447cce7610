"""Serves the mails over HTTP: pages for people, JSON for programs. A GET shows, and nothing acts.

`/` is the list, the newest first; `/read/{id}` one mail; `/read/{id}/html` its HTML part alone, for
the frame on that page. `/mails` is the list as JSON: id, at (RFC 3339), from, to, subject;
`/mails/{id}` the same of one mail, and its text and html.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.documents import Page
from simulators.mail import pages
from simulators.mail.mailbox import Mail, Mailbox
from simulators.mail.mime import read_body

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Links in mails are secrets, and so is which mail they were followed from.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Site:
    """The mails of one mailbox."""

    def __init__(self, mailbox: Mailbox, sign_up_url: str) -> None:
        self._mailbox = mailbox
        self._sign_up_url = sign_up_url

    def routes(self) -> list[Route]:
        """Return every page."""
        return [
            _route("/", self._list),
            _route("/read/{id:int}", self._read),
            _route("/read/{id:int}/html", self._frame),
            _route("/mails", self._list_json),
            _route("/mails/{id:int}", self._read_json),
        ]

    async def _list(self, _request: Request) -> Response:
        return _respond(pages.listing(self._mailbox.newest(), self._sign_up_url))

    async def _read(self, request: Request) -> Response:
        if (mail := self._find(request)) is None:
            return self._gone()
        return _respond(pages.reading(mail, read_body(mail.raw)))

    async def _frame(self, request: Request) -> Response:
        if (mail := self._find(request)) is None:
            return self._gone()
        return _respond(pages.framed(read_body(mail.raw).html))

    async def _list_json(self, _request: Request) -> Response:
        return JSONResponse([_head(mail) for mail in self._mailbox.newest()], headers=_HEADERS)

    async def _read_json(self, request: Request) -> Response:
        if (mail := self._find(request)) is None:
            return JSONResponse({"error": "There is no such mail."}, 404, _HEADERS)
        body = read_body(mail.raw)
        content = {**_head(mail), "text": body.text, "html": body.html}
        return JSONResponse(content, headers=_HEADERS)

    def _find(self, request: Request) -> Mail | None:
        mail_id: int = request.path_params["id"]
        return self._mailbox.find(mail_id)

    def _gone(self) -> Response:
        text = f"There was none, or it has made room: the newest {self._mailbox.kept} are kept."
        return _respond(pages.message("This mail is not here", text), 404)


async def not_found(request: Request, exc: Exception) -> Response:  # noqa: ARG001 - handler shape
    """Answer a path that leads nowhere."""
    return _respond(pages.message("This page does not exist", "Mails are in the list."), 404)


def _route(path: str, page: Callable[[Request], Awaitable[Response]]) -> Route:
    async def endpoint(request: Request) -> Response:
        if not _is_local_name(request.headers.get("Host", "")):
            text = "Open it by the address that the demo prints."
            return _respond(pages.message("This is another server", text), 421)
        return await page(request)

    return Route(path, endpoint, methods=["GET"], name=path)


def _is_local_name(host: str) -> bool:
    """Return whether a request names this server by `localhost` or an IP address.

    Any other name may be an attacker's that now leads here (DNS rebinding), so that a page of
    theirs could read mails as if they were of its own origin.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False


def _head(mail: Mail) -> dict[str, object]:
    return {
        "id": mail.id,
        "at": mail.at.isoformat(),
        "from": mail.sender,
        "to": mail.recipients,
        "subject": mail.subject,
    }


def _respond(page: Page, status: int = 200) -> Response:
    headers = {**_HEADERS, "Content-Security-Policy": page.policy}
    return Response(page.html, status, headers, "text/html")
