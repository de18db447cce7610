"""Reads what API requests carry: a bounded body, a typed JSON value, the page of a list.

Knows no account and no route.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from starlette.requests import Request

from gateway.errors import RequestRefusedError
from gateway.unreadable import UNREADABLE

JSON_BYTES_MAX = 4096
PAGE_MAX = 200
_LIMIT_DEFAULT = "50"
_KEY = re.compile(r"[!-~]{16,128}", re.ASCII)

_T = TypeVar("_T")


async def read_body(request: Request, bytes_max: int) -> bytes:
    """Return the body, whether its length was announced or not.

    Raises RequestRefusedError for one that is longer than `bytes_max`.
    """
    # Count while reading: Content-Length may be missing, and `body()` would buffer everything
    # first.
    collected = bytearray()
    async for part in request.stream():
        collected += part
        if len(collected) > bytes_max:
            raise RequestRefusedError("payload_too_large")
    return bytes(collected)


async def read_json(request: Request, kind: type[_T]) -> _T:
    """Return the JSON body. Raises RequestRefusedError for one that is too long or not right."""
    body = await read_body(request, JSON_BYTES_MAX)
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE:
        raise RequestRefusedError("bad_request") from None


def key_of_act(request: Request) -> str:
    """Return the idempotency key of a request that makes something.

    Raises RequestRefusedError where there is none: after a lost answer a program could otherwise
    not ask again without a second.
    """
    key = request.headers.get("idempotency-key", "")
    if not _KEY.fullmatch(key):
        raise RequestRefusedError("bad_request", field="Idempotency-Key")
    return key


def number_before(request: Request) -> tuple[int, int | None]:
    """Return `limit`, and the number that the page comes before. Raises RequestRefusedError."""
    limit, text = page_asked_for(request)
    if text is None:
        return limit, None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise RequestRefusedError("bad_request", field="before")
    return limit, int(text)


def page_asked_for(request: Request) -> tuple[int, str | None]:
    """Return `limit`, and what the page comes before. Raises RequestRefusedError."""
    # `int` alone would accept signs, underscores and digits of other scripts.
    text = request.query_params.get("limit", _LIMIT_DEFAULT)
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= limit <= PAGE_MAX:
        raise RequestRefusedError("bad_request", field="limit")
    before = request.query_params.get("before") or None
    # PostgreSQL cannot store NUL in text: the driver's error would become a 500.
    if before is not None and "\0" in before:
        raise RequestRefusedError("bad_request", field="before")
    return limit, before
