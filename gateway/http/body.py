"""Parses API requests: a bounded body, a typed JSON value, the page of a list."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.types import Message

from gateway.errors import RequestRefusedError
from gateway.http.operation import Operation
from gateway.unreadable import UNREADABLE

JSON_BYTES_MAX = 4096
PAGE_MAX = 200
LIMIT_DEFAULT = 50
EXAMPLE_NUMBER: Final = "+442079460018"
"""One of the numbers that Ofcom reserves for drama."""

_NUMBER: Final = "^[0-9]{1,18}$"
_Limit = Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)]


class PageAsked(msgspec.Struct, kw_only=True):
    """Which part of a list, as `page_asked_for` reads it. Each list has its own `before`."""

    limit: _Limit = LIMIT_DEFAULT
    """How many at most."""
    before: str | None = None
    """The `next` of the previous page."""


class NumberedPage(msgspec.Struct, kw_only=True):
    """Which part of a list of numbered lines, as `number_before` reads it."""

    limit: _Limit = LIMIT_DEFAULT
    """How many at most."""
    before: Annotated[str, msgspec.Meta(pattern=_NUMBER)] | None = None
    """The `next` of the previous page."""


_T = TypeVar("_T")

_AT: Final = re.compile(r" - at `\$\.(\w+)")
_MISSING: Final = re.compile(r"^Object missing required field `(\w+)`")
_NAME_SHOWN_MAX: Final = 32
_UNKNOWN: Final = re.compile(rf"^Object contains unknown field `(.{{1,{_NAME_SHOWN_MAX}}})", re.S)


async def read_body(request: Request, bytes_max: int) -> bytes:
    """Return the body, whether or not its length was announced.

    Raises RequestRefusedError if it is longer than `bytes_max`.
    """
    # Counted while reading: Content-Length may be missing, and `body()` would buffer everything
    # first.
    collected = bytearray()
    async for part in request.stream():
        collected += part
        if len(collected) > bytes_max:
            raise RequestRefusedError("payload_too_large")
    return bytes(collected)


async def with_body_read(request: Request) -> Request:
    """Return a request whose JSON body has arrived: who sends it can be asked once more.

    Raises RequestRefusedError if it is too long.
    """
    body = await read_body(request, JSON_BYTES_MAX)

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(request.scope, receive)


async def read_json(request: Request, kind: type[_T]) -> _T:
    """Return the JSON body. Raises RequestRefusedError if it is too long or invalid."""
    body = await read_body(request, JSON_BYTES_MAX)
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise RequestRefusedError("bad_request", field=_field_in(str(error))) from None


def _field_in(message: str) -> str:
    """Return the field that msgspec complains about; an unknown one is cut."""
    if unknown := _UNKNOWN.match(message):
        return unknown[1].partition("`")[0]
    found = _AT.search(message) or _MISSING.search(message)
    return "" if found is None else found[1]


def check_query(request: Request, operation: Operation) -> None:
    """Refuse a parameter that an operation does not have, or that is given twice.

    Otherwise a misspelled one would silently do nothing. Raises RequestRefusedError.
    """
    known = set() if operation.query is None else set(operation.query.__struct_fields__)
    for name, _ in request.query_params.multi_items():
        if name not in known:
            raise RequestRefusedError("bad_request", field=name[:_NAME_SHOWN_MAX])
        known.remove(name)


def number_before(request: Request) -> tuple[int, int | None]:
    """Return `limit`, and the number that the page comes before. Raises RequestRefusedError."""
    limit, text = page_asked_for(request, _NUMBER)
    return limit, None if text is None else int(text)


def page_asked_for(request: Request, pattern: str) -> tuple[int, str | None]:
    """Return `limit`, and what the page comes before: the `next` of another page.

    A value that does not match `pattern` would lead beyond the end of the list, and look like its
    end. Raises RequestRefusedError.
    """
    # `int` alone would accept signs, underscores and digits of other scripts.
    text = request.query_params.get("limit", str(LIMIT_DEFAULT))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= limit <= PAGE_MAX:
        raise RequestRefusedError("bad_request", field="limit")
    before = request.query_params.get("before")
    if before is not None and re.fullmatch(pattern, before) is None:
        raise RequestRefusedError("bad_request", field="before")
    return limit, before
