"""The header by which a request that makes something may be repeated."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from gateway.errors import RequestRefusedError
from gateway.http.idempotency import HEADER, PATTERN, idempotency_key, needed_idempotency_key


def request_with(*values):
    headers = [(b"idempotency-key", value.encode("latin-1")) for value in values]
    return Request({"type": "http", "headers": headers})


def test_a_request_may_have_none_where_none_is_needed():
    assert idempotency_key(request_with()) == ""
    with pytest.raises(RequestRefusedError) as refused:
        needed_idempotency_key(request_with())
    assert (refused.value.code, refused.value.field) == ("bad_request", HEADER)


@given(st.text(st.characters(max_codepoint=255), max_size=260))
def test_a_key_is_visible_ascii_as_the_document_says(value):
    try:
        assert needed_idempotency_key(request_with(value)) == value
        is_taken = True
    except RequestRefusedError:
        is_taken = False
    assert is_taken is (re.fullmatch(PATTERN, value) is not None and not value.endswith("\n"))


def test_of_two_none_is_believed():
    with pytest.raises(RequestRefusedError):
        idempotency_key(request_with("one", "two"))
