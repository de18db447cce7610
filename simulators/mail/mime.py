"""Reads what a person sees of a mail: its subject and its text as plain text and as HTML. Pure.

RFC 5322, RFC 2045, RFC 2047. Takes whatever a client has sent: a mail that is malformed shows what
can be read of it, and raises nothing.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from typing import Final

SUBJECT_CHARACTERS_MAX: Final = 300
UNREADABLE: Final = "This mail cannot be read."


@dataclass(frozen=True, slots=True)
class Body:
    """The text of a mail; empty where it has no such part."""

    text: str
    html: str


def read_subject(raw: bytes) -> str:
    """Return the subject of a mail on one line, cut off; empty if it has none."""
    subject = str(BytesHeaderParser().parsebytes(raw).get("Subject", ""))
    # An encoding that nobody knows, or bytes that are not in it: shown as it was sent.
    with contextlib.suppress(HeaderParseError, LookupError, ValueError):
        subject = str(make_header(decode_header(subject)))
    return _printable(" ".join(subject.split()))[:SUBJECT_CHARACTERS_MAX]


def read_body(raw: bytes) -> Body:
    """Return the first part of a mail that is plain text, and the first that is HTML."""
    try:
        message = BytesParser().parsebytes(raw)
        return Body(_first(message, "text/plain"), _first(message, "text/html"))
    # Parts may lie in parts without end.
    except RecursionError:
        return Body(UNREADABLE, "")


def _first(message: Message, kind: str) -> str:
    for part in message.walk():
        if part.get_content_type() == kind and part.get_content_disposition() != "attachment":
            return _decoded(part)
    return ""


def _decoded(part: Message) -> str:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    try:
        text = content.decode(part.get_content_charset("utf-8"), errors="replace")
    # Also for encodings that do not lead from bytes to text.
    except (LookupError, ValueError):
        text = content.decode("utf-8", errors="replace")
    return _printable(text).replace("\r\n", "\n")


def _printable(text: str) -> str:
    """Return the text without lone surrogates, which no page can hold."""
    return text.encode("utf-8", errors="replace").decode("utf-8")
