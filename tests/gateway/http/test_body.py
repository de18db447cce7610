"""What a request carries is read up to its bounds, and refused by a name where it is not right."""

import msgspec
import pytest
from starlette.requests import Request

from gateway.errors import RequestRefusedError
from gateway.http.body import (
    JSON_BYTES_MAX,
    PAGE_MAX,
    number_before,
    page_asked_for,
    read_body,
    read_json,
)


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


class Named(msgspec.Struct):
    name: str


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    count: int


async def test_json_is_read_as_what_it_is_to_be():
    request, _ = request_of(b'{"count"', b": 3}")
    assert await read_json(request, Wish) == Wish(3)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_request"),
        (b'{"count": "3"}', "bad_request"),
        (b'{"count": 3, "more": 1}', "bad_request"),
        (b'{"count": 3}' + b" " * JSON_BYTES_MAX, "payload_too_large"),
    ],
)
async def test_json_that_is_not_right_is_refused(body, code):
    request, _ = request_of(body)
    with pytest.raises(RequestRefusedError) as caught:
        await read_json(request, Wish)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"count": "3"}', "count"),
        (b"{}", "count"),
        (b'{"count": 3, "counts": 1}', "counts"),
        (b'{"count": 3, "%s": 1}' % (b"n" * 500), "n" * 32),
        (b'{"count": 3, "a`b - at `$.count": 1}', "a"),
        (b'{"count": 3, "": 1}', ""),
        (b"3", ""),
    ],
)
async def test_what_is_wrong_is_named(body, field):
    request, _ = request_of(body)
    with pytest.raises(RequestRefusedError) as caught:
        await read_json(request, Wish)
    assert caught.value.field == field


@pytest.mark.parametrize("text", [b'"\xff"', b'"\xed\xa0\x80"', b'"a\xc3"'])
async def test_text_in_json_that_is_no_utf_8_is_refused(text):
    request, _ = request_of(b'{"name": ', text, b"}")
    with pytest.raises(RequestRefusedError) as caught:
        await read_json(request, Named)
    assert caught.value.code == "bad_request"


async def test_json_that_nests_deeper_than_can_be_read_is_refused():
    request, _ = request_of(b"[" * JSON_BYTES_MAX)
    with pytest.raises(RequestRefusedError) as caught:
        await read_json(request, list)
    assert caught.value.code == "bad_request"


CALL = "^c[0-9]+$"


def asks(query):
    return Request({"type": "http", "query_string": query, "headers": []})


def pages_of_calls(request):
    return page_asked_for(request, CALL)


def refused_field(read, query):
    """Return what a query is refused for, by the field."""
    with pytest.raises(RequestRefusedError) as caught:
        read(asks(query))
    assert caught.value.code == "bad_request"
    return caught.value.field


def test_a_page_has_a_length_and_what_it_comes_before():
    assert page_asked_for(asks(b""), CALL) == (50, None)
    assert page_asked_for(asks(b"limit=%d&before=c1" % PAGE_MAX), CALL) == (PAGE_MAX, "c1")
    assert number_before(asks(b"limit=1")) == (1, None)
    assert number_before(asks(b"before=%d" % 10**17)) == (50, 10**17)


@pytest.mark.parametrize(
    "limit", [b"0", b"%d" % (PAGE_MAX + 1), b"-1", b"%2B5", b"1_0", b"%D9%A1", b"x", b"1" * 5000]
)
def test_a_page_of_no_length_is_refused(limit):
    assert refused_field(pages_of_calls, b"limit=" + limit) == "limit"


@pytest.mark.parametrize("before", [b"", b"x", b"xc1", b"c1x", b"c1%00", b"c1%0A", b"%D9%A1"])
def test_a_page_begins_behind_what_may_be_in_its_list(before):
    assert refused_field(pages_of_calls, b"limit=5&before=" + before) == "before"


@pytest.mark.parametrize("before", [b"", b"x", b"-1", b"1_0", b"%D9%A1", b"9" * 19])
def test_a_page_of_numbered_rows_begins_behind_a_number_of_64_bits(before):
    assert refused_field(number_before, b"before=" + before) == "before"
