"""The header by which a request that makes something may be repeated."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from database.errors import StoreUnavailableError
from gateway.errors import RequestRefusedError
from gateway.http.idempotency import (
    HEADER,
    PATTERN,
    answer_once,
    idempotency_key,
    needed_idempotency_key,
    was_done,
)


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


class Wish(msgspec.Struct):
    amount: str
    save: bool = False


class Shop:
    """What makes something of each request that comes through."""

    def __init__(self):
        self.kept, self.made, self.status, self.is_away = {}, 0, 201, False
        self.repeats = []

    async def find(self, wish):
        if self.is_away:
            raise StoreUnavailableError("away")
        return self.kept.get(wish)

    async def keep(self, wish, fingerprint):
        if self.is_away:
            raise StoreUnavailableError("away")
        self.kept.setdefault(wish, fingerprint)

    async def answer(self):
        self.made += 1
        return Response(status_code=self.status)

    async def asks(self, body, key="k", account="alice", path="/v1/things"):
        """Return the status, or the code of the refusal."""

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        headers = [(b"idempotency-key", key.encode())] if key else []
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        scope |= {"query_string": b"", "server": ("test", 80), "scheme": "http"}
        request = Request(scope, receive)
        assert not was_done(request)
        try:
            reply = await answer_once(request, account, Wish, self, self.answer)
            self.repeats.append(was_done(request))
            return reply.status_code
        except RequestRefusedError as error:
            return error.code


@pytest.fixture
def shop():
    return Shop()


async def test_a_key_is_good_for_one_body_however_it_is_written(shop):
    assert await shop.asks(b'{"amount": "5"}') == 201
    assert await shop.asks(b'{"save":false,"amount":"5"}') == 201
    assert await shop.asks(b'{"amount": "6"}') == "idempotency_key_reused"
    assert (shop.made, len(shop.kept)) == (2, 1)
    assert shop.repeats == [False, True]


@pytest.mark.parametrize("other", [{"key": "l"}, {"account": "bob"}, {"path": "/v1/others"}])
async def test_of_another_account_path_or_key_it_is_another_wish(shop, other):
    assert await shop.asks(b'{"amount": "5"}') == 201
    assert await shop.asks(b'{"amount": "6"}', **other) == 201


async def test_what_was_refused_may_be_corrected(shop):
    shop.status = 422
    assert await shop.asks(b'{"amount": "5"}') == 422
    shop.status = 201
    assert await shop.asks(b'{"amount": "6"}') == 201
    assert shop.repeats == [False, False]
    assert await shop.asks(b'{"amount": "5"}') == "idempotency_key_reused"


@pytest.mark.parametrize(("body", "key"), [(b'{"amount": "5"}', ""), (b"nonsense", "k")])
async def test_nothing_is_kept_without_a_key_or_a_body(shop, body, key):
    assert await shop.asks(body, key) == 201
    assert shop.kept == {}


async def test_while_the_store_is_away_things_are_made(shop):
    shop.is_away = True
    assert [await shop.asks(b'{"amount": "5"}'), await shop.asks(b'{"amount": "6"}')] == [201, 201]
