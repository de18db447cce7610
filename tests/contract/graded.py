"""A client of a carrier that has every request and every reply graded by a document."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httpx

from .document import FORM, JSON, Asked, Document

Form = dict[str, str | list[str]]


class Graded:
    """Speaks to one server of one account; an asynchronous context manager."""

    def __init__(self, document: Document, url: str, auth: tuple[str, str]) -> None:
        self._document = document
        self._http = httpx.AsyncClient(base_url=url, auth=auth, timeout=5)
        self.operations: set[str] = set()
        """The names of all operations so far (`CreateCall`)."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def __call__(self, method: str, path: str, form: Form | None = None, **query: str) -> Any:
        """Send a request and return the JSON of its reply, None when it has none.

        Raises:
            OpenAPIError: the document forbids the request, which is then not sent, or the reply.
        """
        body = urlencode(form or {}, doseq=True).encode()
        asked = Asked(method, path, urlencode(query), body)
        self.operations.add(self._document.check_request(asked))
        headers = {"Content-Type": FORM} if body else {}
        reply = await self._http.request(method, path, content=body, params=query, headers=headers)
        kind = reply.headers.get("Content-Type", JSON)
        self._document.check_reply(asked, reply.status_code, reply.content, kind)
        return reply.json() if reply.content else None
