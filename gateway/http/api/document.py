"""Serves `GET /v1/openapi.json`: the API's document, as it was built and shipped.

`deploy/build_api.py` writes the file from what the operations declare.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.http.access import Access, DeclaredRoute
from gateway.http.operation import JSON, ApiRoute, handlers_of, operation

FILE: Final = "openapi.json"
_HEADERS: Final = {
    # Another release may have another document: clients revalidate it, and it is rarely sent again.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    etag: str


@lru_cache(maxsize=1)
def _file() -> _File:
    """Return the document; read on first use."""
    content = resources.files("gateway.http").joinpath(FILE).read_bytes()
    return _File(content, f'"{hashlib.sha256(content).hexdigest()[:16]}"')


def read_document() -> dict[str, Any]:
    """Return the document."""
    document: dict[str, Any] = msgspec.json.decode(_file().content)
    return document


class DocumentApi:
    """Handler of the document."""

    def routes(self) -> list[DeclaredRoute]:
        """Return the document's route."""
        return [ApiRoute(handler, operation) for operation, handler in handlers_of(self)]

    @operation(f"GET /v1/{FILE}", Access.PUBLIC, dict)
    async def show_document(self, request: Request) -> Response:
        """Return this document: OpenAPI 3.1. It has an `ETag`."""
        file = _file()
        headers = {**_HEADERS, "ETag": file.etag}
        # RFC 9110, 13.1.2: any of a list, each of which may be marked as weak.
        known = request.headers.get("if-none-match", "").replace("W/", "").split(",")
        if file.etag in (each.strip() for each in known):
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers, media_type=JSON)
