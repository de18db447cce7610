"""Answers that need no application: whole, as any parser reads them, and the last of their kind."""

from http import HTTPStatus
from http.client import HTTPResponse
from io import BytesIO

import pytest

from gateway.ports import ANSWER_FIELDS
from gateway.sockets.plain_answers import TOO_LARGE, plain_answer, without_body


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
