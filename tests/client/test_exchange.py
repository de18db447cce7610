"""What is asked, how answers are read, and what is sent again."""

import ast
from pathlib import Path

import caller_client
import msgspec
import pytest
from caller_client.errors import ProblemError, UnexpectedAnswerError, UnreachableError
from caller_client.exchange import WAIT_FIRST_S, WAIT_MAX_S, Wish, read_answer, wait_before_repeat
from caller_client.shapes import (
    Money,
    Problem,
    QuoteRefusal,
    QuoteReply,
    QuoteRequest,
    Refused,
)
from hypothesis import given
from hypothesis import strategies as st

GET = Wish("GET", "/v1/calls/{call_id}", (Money,), parts={"call_id": "c1"})
MONEY = b'{"micros": 5, "currency": "USD", "text": "$0.01", "new": [1]}'


def problem(status=503, *, retry=True, wait=None):
    body = Problem(
        type="urn:caller:problem:x", title="T.", status=status, code="x", action="A.", retry=retry
    )
    return ProblemError(body, wait)


def test_an_address_has_its_parts_and_no_parameter_that_is_not_given():
    wish = Wish(
        "GET", "/v1/calls/{call_id}", parts={"call_id": "a/b?c#é"}, query={"a": None, "b": 1}
    )
    assert wish.address == "/v1/calls/a%2Fb%3Fc%23%C3%A9"
    assert wish.parameters == {"b": 1}


@given(st.text(min_size=1))
def test_a_part_stays_one_segment(text):
    wish = Wish("GET", "/v1/calls/{call_id}", parts={"call_id": text})
    if text in (".", ".."):
        with pytest.raises(ValueError, match="dots"):
            _ = wish.address
    else:
        try:
            assert wish.address.count("/") == 3
        except UnicodeEncodeError:
            assert not text.isprintable()


def test_a_body_leaves_out_what_is_not_set():
    wish = Wish("POST", "/v1/quotes", body=QuoteRequest(destination="+1"), idempotency_key="k")
    assert wish.content == b'{"destination":"+1"}'
    assert wish.headers == {"Content-Type": "application/json", "Idempotency-Key": "k"}
    assert (GET.content, GET.headers) == (None, {})


def test_an_answer_is_read_whatever_more_it_has():
    assert read_answer(GET, 200, {}, MONEY) == Money(micros=5, currency="USD", text="$0.01")
    assert read_answer(Wish("DELETE", "/v1/x", status=204), 204, {}, b"") is None


@pytest.mark.parametrize(("status", "content"), [(200, b"<html>"), (200, b""), (204, b"<html>")])
def test_that_something_is_done_only_a_gateway_can_say(status, content):
    with pytest.raises(UnexpectedAnswerError):
        read_answer(Wish("POST", "/v1/x", status=204), status, {}, content)


def test_of_several_shapes_it_is_the_one_that_fits():
    wish = Wish("POST", "/v1/quotes", (QuoteReply, QuoteRefusal))
    refusal = QuoteRefusal(refusal=Refused(code="x", title="T.", action="A."))
    assert read_answer(wish, 200, {}, msgspec.json.encode(refusal)) == refusal


@pytest.mark.parametrize(
    ("wait", "seconds"), [("7", 7), ("", None), ("soon", None), ("9" * 11, None)]
)
def test_a_refusal_says_what_and_when_again(wait, seconds):
    content = msgspec.json.encode(problem(429).problem)
    with pytest.raises(ProblemError, match=r"^x: T\. A\.$") as refused:
        read_answer(GET, 429, {"retry-after": wait}, content)
    error = refused.value
    assert (error.code, error.status, error.retry_after_s) == ("x", 429, seconds)


@given(st.integers(100, 599), st.binary(max_size=40))
def test_whatever_else_comes_is_told_as_such(status, content):
    with pytest.raises(UnexpectedAnswerError) as unexpected:
        read_answer(GET, status, {}, content)
    assert unexpected.value.status == status


@pytest.mark.parametrize(
    ("wish", "is_repeated"),
    [
        (GET, True),
        (Wish("PUT", "/v1/x"), True),
        (Wish("DELETE", "/v1/x"), True),
        (Wish("POST", "/v1/x"), False),
        (Wish("POST", "/v1/x", idempotency_key="k"), True),
    ],
)
def test_only_what_is_harmless_is_sent_again(wish, is_repeated):
    for error in (UnreachableError(), UnexpectedAnswerError(502), problem()):
        assert (wait_before_repeat(wish, error, 0) is not None) is is_repeated


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (UnreachableError(), 4 * WAIT_FIRST_S),
        (UnexpectedAnswerError(504), 4 * WAIT_FIRST_S),
        (UnexpectedAnswerError(404), None),
        (problem(), 4 * WAIT_FIRST_S),
        (problem(429, wait=9), 9),
        (problem(429, wait=31), None),
        (problem(409), None),
        (problem(500), None),
        (problem(503, retry=False), None),
    ],
)
def test_it_is_sent_again_after_what_the_gateway_says_or_longer_each_time(error, wait):
    assert wait_before_repeat(GET, error, 2) == wait
    assert wait_before_repeat(GET, UnreachableError(), 99) == WAIT_MAX_S


def test_the_client_is_no_part_of_the_gateway():
    for path in Path(caller_client.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            tops = {str(name).partition(".")[0] for name in names}
            assert not tops & {"gateway", "billing", "accounts", "media", "database"}, path
