"""The body of a request, read no further than its bound. Knows no format."""

from __future__ import annotations

from starlette.requests import Request

from gateway.errors import RequestRefusedError


async def read_body(request: Request, bytes_max: int) -> bytes:
    """Return the body, whether its length was announced or not.

    Raises RequestRefusedError for one that is longer than `bytes_max`.
    """
    collected = bytearray()
    async for part in request.stream():
        collected += part
        if len(collected) > bytes_max:
            raise RequestRefusedError("payload_too_large")
    return bytes(collected)
