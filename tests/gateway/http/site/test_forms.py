"""Forms: whatever is sent, a struct or a refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from gateway.errors import RequestRefusedError
from gateway.http.site.forms import SignInFields, SignUpFields, read_form


def request(body):
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


async def test_a_form_is_read():
    body = b"email=ada%40example.com&password=a+b%C3%A9&terms=true&other=1"
    form = await read_form(request(body), SignUpFields)
    assert form == SignUpFields("ada@example.com", "a bé", terms=True)


async def test_what_is_missing_is_empty():
    assert await read_form(request(b""), SignInFields) == SignInFields("", "", "")


@pytest.mark.parametrize(
    "body", [b"email=a&password=b&email=c", b"email=&email=", b"other=1&other=1&email=a"]
)
async def test_a_field_that_is_sent_twice_is_refused(body):
    with pytest.raises(RequestRefusedError) as caught:
        await read_form(request(body), SignInFields)
    assert caught.value.code == "bad_request"


@given(st.binary(max_size=300))
async def test_nothing_that_is_sent_is_a_fault_of_ours(body):
    outcome = None
    try:
        outcome = await read_form(request(body), SignUpFields)
    except RequestRefusedError as error:
        outcome = error.code
    assert outcome == "bad_request" or isinstance(outcome, SignUpFields)


async def test_a_form_that_is_too_long_is_not_read():
    with pytest.raises(RequestRefusedError) as caught:
        await read_form(request(b"a" * 9000), SignInFields)
    assert caught.value.code == "payload_too_large"
