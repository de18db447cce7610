"""Forms: whatever is sent, a struct or a refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from gateway.errors import RequestRefusedError
from gateway.http.site.forms import read_form
from gateway.people.forms import SignInFields, SignUpFields

FORM = b"application/x-www-form-urlencoded"


def request(body, *kinds):
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", kind) for kind in kinds or (FORM,)]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def test_a_form_is_read():
    body = b"email=ada%40example.com&password=a+b%C3%A9&terms=true&other=1"
    form = await read_form(request(body), SignUpFields)
    assert form == SignUpFields("ada@example.com", "a bé", terms=True)


@pytest.mark.parametrize(
    "kinds",
    [
        (b"text/plain",),
        (b"application/json",),
        (b"multipart/form-data; boundary=x",),
        (b"",),
        (FORM, FORM),
        (FORM, b"text/plain"),
    ],
)
async def test_what_is_declared_as_no_form_is_not_read(kinds):
    with pytest.raises(RequestRefusedError) as caught:
        await read_form(request(b"email=a", *kinds), SignInFields)
    assert caught.value.code == "unsupported_media_type"


@pytest.mark.parametrize("kind", [FORM + b";charset=UTF-8", FORM.upper()])
async def test_a_form_says_what_it_is_in_any_spelling(kind):
    assert await read_form(request(b"email=a", kind), SignInFields) == SignInFields("a")


async def test_a_button_without_a_body_declares_nothing():
    empty = request(b"")
    empty.scope["headers"] = []
    assert await read_form(empty, SignInFields) == SignInFields()
    undeclared = request(b"email=a")
    undeclared.scope["headers"] = []
    with pytest.raises(RequestRefusedError):
        await read_form(undeclared, SignInFields)


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
    outcome: object = None
    try:
        outcome = await read_form(request(body), SignUpFields)
    except RequestRefusedError as error:
        outcome = error.code
    assert outcome == "bad_request" or isinstance(outcome, SignUpFields)


async def test_a_form_that_is_too_long_is_not_read():
    with pytest.raises(RequestRefusedError) as caught:
        await read_form(request(b"a" * 9000), SignInFields)
    assert caught.value.code == "payload_too_large"
