"""Writes answers that need no application, and end their connection."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from gateway.ports import ANSWER_FIELDS

HEAD_END: Final = b"\r\n\r\n"
_NO_FIELDS: Final[Mapping[str, str]] = {}
_FIELDS: Final = "".join(f"{name}: {value}\r\n" for name, value in ANSWER_FIELDS.items())


def plain_answer(status: HTTPStatus, text: str, fields: Mapping[str, str] = _NO_FIELDS) -> bytes:
    """Write a response that ends its connection."""
    more = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(text)}\r\n"
        "Connection: close\r\n"
        f"{_FIELDS}{more}"
        "\r\n"
        f"{text}"
    ).encode()


def with_fields(answer: bytes, fields: Mapping[str, str]) -> bytes:
    """Return an answer with these fields too."""
    more = "".join(f"\r\n{name}: {value}" for name, value in fields.items())
    return answer.replace(HEAD_END, more.encode() + HEAD_END, 1)


def without_body(answer: bytes) -> bytes:
    """Return what HEAD is answered: the head that GET would get (RFC 9110, 9.3.2)."""
    return answer[: answer.index(HEAD_END) + len(HEAD_END)]


TOO_LARGE: Final = plain_answer(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request is too large.\n"
)
