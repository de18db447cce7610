"""Lets a request that makes something be repeated: by its `Idempotency-Key`, with the same body.

That a repeat makes nothing more is the business of what makes it, for good; here a key that comes
with another body is refused, for a day. After draft-ietf-httpapi-idempotency-key-header. Knows no
store.
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
"""Visible ASCII, which every client and proxy passes on unchanged."""

_KEY: Final = re.compile(PATTERN, re.ASCII)


class Wishes(Protocol):
    """Which body a key first came with, for a day. Both raise StoreUnavailableError."""

    async def find(self, wish: str) -> bytes | None:
        """Return the fingerprint of a wish; None for one that is new."""

    async def keep(self, wish: str, fingerprint: bytes) -> None:
        """Keep the fingerprint of a wish, unless one is kept."""


async def answer_once(
    request: Request,
    account_id: str,
    body_type: Any,
    wishes: Wishes,
    answer: Callable[[], Awaitable[Response]],
) -> Response:
    """Return what `answer` does, where the request's key has not come with another body.

    What was refused may be corrected under the same key: only what was done is kept, so that there
    are no more of them than of things that were made. While the store is away nothing is compared.
    Raises RequestRefusedError.
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
    """Return a digest of what a body says, however it is written; None for an unreadable one."""
    try:
        said = msgspec.json.decode(body, type=body_type)
    except UNREADABLE:
        return None
    return hashlib.sha256(msgspec.json.encode(said)).digest()


def was_done(request: Request) -> bool:
    """Return whether a request comes again, within a day of its being done.

    What it then made is there, or was deleted since.
    """
    return bool(getattr(request.state, "was_done", False))


def is_idempotency_key(text: str) -> bool:
    """Return whether this can name what is asked for."""
    return _KEY.fullmatch(text) is not None


def idempotency_key(request: Request) -> str:
    """Return the request's key, empty for none. Raises RequestRefusedError."""
    given = request.headers.getlist(HEADER)
    if not given:
        return ""
    if len(given) > 1 or not is_idempotency_key(given[0]):
        raise RequestRefusedError("bad_request", field=HEADER)
    return given[0]


def needed_idempotency_key(request: Request) -> str:
    """Return the key of a request that must have one. Raises RequestRefusedError.

    After a lost answer a program could otherwise not ask again without making a second.
    """
    key = idempotency_key(request)
    if not key:
        raise RequestRefusedError("bad_request", field=HEADER)
    return key
