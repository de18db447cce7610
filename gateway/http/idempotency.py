"""Reads the `Idempotency-Key` of a request that makes something. Knows no store."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request

from gateway.errors import RequestRefusedError

HEADER: Final = "Idempotency-Key"
PATTERN: Final = "^[!-~]{1,255}$"
"""Visible ASCII, which every client and proxy passes on unchanged."""

_KEY: Final = re.compile(PATTERN, re.ASCII)


def idempotency_key(request: Request) -> str:
    """Return the request's key, empty for none. Raises RequestRefusedError."""
    given = request.headers.getlist(HEADER)
    if not given:
        return ""
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
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
