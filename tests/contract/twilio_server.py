"""A server in Twilio's place that answers with the replies of Twilio's own document.

It keeps every request for grading; it knows no call and no gateway.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from aiohttp import web

from .document import Asked, Document, Json, examples_of


class TwilioServer:
    """One server on a port of this machine; an asynchronous context manager."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.asked: list[Asked] = []
        """All requests, oldest first."""
        self.refusals: dict[str, tuple[int, int]] = {}
        """HTTP status and Twilio's error code that an operation is answered with."""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner is not None, "entered"
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        asked = Asked(
            request.method,
            request.path,
            request.query_string,
            await request.read(),
            request.headers.get("Content-Type", ""),
            request.headers.get("Authorization", ""),
        )
        self.asked.append(asked)
        operation = self._document.operation(asked.method, asked.path)
        if refusal := self.refusals.get(operation["operationId"]):
            status, code = refusal
            return web.json_response({"code": code, "message": "", "status": status}, status=status)
        status, body = next(examples_of(operation))
        return web.json_response(_last_page(body), status=status)


def _last_page(body: Json) -> Json:
    """Return a reply without the link that would have the client ask for more."""
    return body | {"next_page_uri": None} if "next_page_uri" in body else body
