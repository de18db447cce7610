"""Lets a request that creates something be repeated, by its `Idempotency-Key` and the same body.

The code that creates it makes sure, for good, that a repeat creates nothing more; this module
refuses a key that comes with another body, for a day. After
draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from database.errors import StoreUnavailableError
from gateway.errors import RequestRefusedError
from gateway.unreadable import UNREADABLE

HEADER: Final = "Idempotency-Key"
PATTERN: Final = "^[!-~]{1,255}$"
"""Visible ASCII, which every client and proxy forwards unchanged."""

_KEY: Final = re.compile(PATTERN, re.ASCII)


class Wishes(Protocol):
    """Which body a key first came with, for a day. Both raise StoreUnavailableError."""

    async def find(self, wish: str) -> bytes | None:
        """Return the fingerprint of a request; None for a new one."""

    async def keep(self, wish: str, fingerprint: bytes) -> None:
        """Store the fingerprint of a request, unless one is stored."""


async def answer_once(
    request: Request,
    account_id: str,
    body_type: Any,
    wishes: Wishes,
    answer: Callable[[], Awaitable[Response]],
) -> Response:
    """Return the result of `answer`, if the request's key has not come with another body.

    A refused request may be corrected under the same key: only completed ones are stored, so that
    there are no more of them than things created. While the store is unavailable nothing is
    compared. Raises RequestRefusedError.
    """
    key = idempotency_key(request)
    fingerprint = _fingerprint(await request.body(), body_type)
    if not key or fingerprint is None:
        return await answer()
    wish = f"{account_id}\0{request.url.path}\0{key}"
    known = None
    with suppress(StoreUnavailableError):
        known = await wishes.find(wish)
    if known not in (None, fingerprint):
        raise RequestRefusedError("idempotency_key_reused", field=HEADER)
    request.state.was_done = known is not None
    reply = await answer()
    if known is None and reply.status_code < 300:
        with suppress(StoreUnavailableError):
            await wishes.keep(wish, fingerprint)
    return reply


def _fingerprint(body: bytes, body_type: Any) -> bytes | None:
    """Return a digest of a body's content, however it is written; None for an unreadable one."""
    try:
        said = msgspec.json.decode(body, type=body_type)
    except UNREADABLE:
        return None
    return hashlib.sha256(msgspec.json.encode(said)).digest()


def was_done(request: Request) -> bool:
    """Return whether a request is repeated within a day after it was done.

    What it created exists, or was deleted since.
    """
    return bool(getattr(request.state, "was_done", False))


def is_idempotency_key(text: str) -> bool:
    """Return whether a text can be an idempotency key."""
    return _KEY.fullmatch(text) is not None


def idempotency_key(request: Request) -> str:
    """Return the request's key, empty if none. Raises RequestRefusedError."""
    given = request.headers.getlist(HEADER)
    if not given:
        return ""
    if len(given) > 1 or not is_idempotency_key(given[0]):
        raise RequestRefusedError("bad_request", field=HEADER)
    return given[0]


def needed_idempotency_key(request: Request) -> str:
    """Return the key of a request that must have one. Raises RequestRefusedError.

    Otherwise a program could not repeat a request whose answer was lost without creating a second.
    """
    key = idempotency_key(request)
    if not key:
        raise RequestRefusedError("bad_request", field=HEADER)
    return key
