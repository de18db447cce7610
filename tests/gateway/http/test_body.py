"""A body is read up to its bound, whatever was announced of it."""

import pytest
from starlette.requests import Request

from gateway.errors import RequestRefusedError
from gateway.http.body import page_asked_for, read_body


def request_of(*parts):
    """Return a request whose body arrives in these parts, and the list of those not yet read."""
    left = list(parts)

    async def receive():
        body = left.pop(0) if left else b""
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    return Request({"type": "http", "method": "POST", "headers": []}, receive), left


@pytest.mark.parametrize("parts", [(), (b"",), (b"abcd",), (b"a", b"", b"bc", b"d")])
async def test_a_body_within_its_bound_is_returned_whole(parts):
    request, _ = request_of(*parts)
    assert await read_body(request, 4) == b"".join(parts)


async def test_a_body_beyond_its_bound_is_read_no_further():
    request, left = request_of(b"abc", b"de", b"never read", b"nor this")
    with pytest.raises(RequestRefusedError) as caught:
        await read_body(request, 4)
    assert caught.value.code == "payload_too_large"
    assert left == [b"never read", b"nor this"]


def test_a_page_begins_behind_no_nul():
    scope = {"type": "http", "query_string": b"limit=5&before=c1%00", "headers": []}
    with pytest.raises(RequestRefusedError) as caught:
        page_asked_for(Request(scope))
    assert (caught.value.code, caught.value.field) == ("bad_request", "before")
