"""Checks every request first: the API key, and a bound on the body."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Final

from starlette.requests import Request

from simulators.payments.errors import ApiError

BODY_BYTES_MAX: Final = 256 * 1024


def authenticate(request: Request, api_key: str) -> None:
    """Refuse a request without the key, which comes as Bearer token or as Basic user name.

    Raises:
        ApiError: there is no key, or another one; it is never repeated.
    """
    given = _key(request.headers.get("Authorization", ""))
    if not given:
        raise ApiError(
            "You did not provide an API key. You need to provide your API key in the Authorization"
            " header, using Bearer auth.",
            status=401,
        )
    # In constant time, and without the key in the message, which clients log.
    if not hmac.compare_digest(given.encode(), api_key.encode()):
        raise ApiError("Invalid API Key provided.", status=401)


async def read_body(request: Request) -> bytes:
    """Return the body.

    Raises:
        ApiError: it is too long.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        # Looked at as it arrives: a length in the header may be absent or wrong.
        if len(body) > BODY_BYTES_MAX:
            raise ApiError("Request body too large.", status=413)
    return bytes(body)


async def read_text(request: Request) -> str:
    """Return the body as text.

    Raises:
        ApiError: it is too long, or not UTF-8.
    """
    try:
        return (await read_body(request)).decode()
    except UnicodeDecodeError as error:
        raise ApiError("Invalid request: the body is not UTF-8") from error


def _key(header: str) -> str:
    """Return the key of an Authorization header (RFC 6750, RFC 7617); empty when there is none."""
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        # Stripe's curl examples send the key as user name with an empty password.
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""
