"""Ends of connections, seen from both sides."""

from __future__ import annotations

from http import HTTPStatus
from http.client import HTTPResponse
from io import BytesIO

import pytest

from gateway.ports import ANSWER_FIELDS
from gateway.sockets.closing import TOO_LARGE, HalfClosing, plain_answer, without_body
from tests.gateway.sockets.memory_port import Transport


def test_what_is_written_before_the_end_is_sent_and_nothing_behind_it():
    transport, ends = Transport(), []
    closing = HalfClosing(transport, lambda: ends.append(transport.has_ended))
    closing.write(b"last words")
    assert not closing.is_closing()
    for _ in range(2):
        closing.close()
    closing.write(b"more")
    assert closing.is_closing()
    assert (transport.sent, transport.is_closed) == (b"last words", False)
    assert ends == [True]


def test_a_transport_that_cannot_close_one_half_is_closed():
    transport, ends = Transport(), []
    transport.can_write_eof = lambda: False
    closing = HalfClosing(transport, lambda: ends.append(True))
    closing.close()
    assert (transport.is_closed, ends) == (True, [True])


def test_a_transport_that_is_closed_is_left_alone():
    transport, ends = Transport(), []
    transport.abort()
    closing = HalfClosing(transport, lambda: ends.append(True))
    closing.close()
    assert (transport.has_ended, ends) == (False, [])


def test_everything_else_is_the_transports():
    transport = Transport()
    HalfClosing(transport, lambda: None).pause_reading()
    assert not transport.is_reading()


def test_whose_end_is_released_is_not_told_of_it():
    ends = []
    closing = HalfClosing(Transport(), lambda: ends.append(True))
    closing.release()
    closing.close()
    assert ends == []


def test_nothing_is_written_to_a_transport_that_somebody_else_has_closed():
    transport = Transport()
    closing = HalfClosing(transport, lambda: None)
    transport.abort()
    transport.write = None  # uvloop raises here
    closing.write(b"an answer")
    assert closing.is_closing()


class Received:
    """What has come from a socket."""

    def __init__(self, text):
        self.text = text

    def makefile(self, _mode):
        return BytesIO(self.text)


def read(text, method="GET"):
    response = HTTPResponse(Received(text), method=method)
    response.begin()
    return response


@pytest.mark.parametrize(
    "text",
    [
        plain_answer(HTTPStatus.BAD_REQUEST, "No.\n"),
        plain_answer(HTTPStatus.SERVICE_UNAVAILABLE, "Away.\n", {"Retry-After": "1"}),
        TOO_LARGE,
    ],
)
def test_an_answer_is_whole_and_ends_its_connection(text):
    response = read(text)
    body = response.read()
    assert len(body) == int(response.headers["content-length"]) > 0
    assert (response.isclosed(), response.headers["connection"]) == (True, "close")
    assert all(response.headers[name] == value for name, value in ANSWER_FIELDS.items())


def test_fields_of_its_own_are_in_it():
    text = plain_answer(HTTPStatus.SERVICE_UNAVAILABLE, "Away.\n", {"Retry-After": "1"})
    assert (read(text).status, read(text).headers["retry-after"]) == (503, "1")


def test_to_head_the_same_is_answered_without_the_body():
    whole = plain_answer(HTTPStatus.BAD_REQUEST, "No.\n")
    head = without_body(whole)
    assert whole == head + b"No.\n"
    response = read(head, "HEAD")
    assert (response.status, response.read()) == (400, b"")
