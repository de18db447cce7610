"""What is read of a mail: our own kind exactly, any other without a fault."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.mail.mime import SUBJECT_CHARACTERS_MAX, UNREADABLE, Body, read_body, read_subject

from .conftest import HTML, written

HEADERS = b"Subject: %s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s"


def test_both_parts_of_a_mail_are_read() -> None:
    raw = written("Bestätigen Sie Ihre Adresse", "Grüße\n").as_bytes()
    assert read_subject(raw) == "Bestätigen Sie Ihre Adresse"
    assert read_body(raw) == Body("Grüße\n", HTML + "\n")


def test_a_part_that_is_not_there_is_empty() -> None:
    assert read_body(b"Subject: a\r\n\r\nHello\r\n") == Body("Hello\n", "")
    assert read_body(b"Content-Type: text/html\r\n\r\n<p>") == Body("", "<p>")
    assert (read_subject(b""), read_body(b"")) == ("", Body("", ""))


def test_an_attachment_is_no_text() -> None:
    message = written()
    message.add_attachment("attached", filename="a.txt")
    assert read_body(message.as_bytes()).text == "Hello.\n"
    alone = b"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nattached"
    assert read_body(alone) == Body("", "")


def test_a_subject_is_one_line_and_is_cut() -> None:
    assert read_subject(b"Subject: one\r\n  two\r\n\r\n") == "one two"
    assert len(read_subject(b"Subject: " + b"a" * 900 + b"\r\n\r\n")) == SUBJECT_CHARACTERS_MAX


@pytest.mark.parametrize(
    "subject", ["=?nonsense?q?a?=", "=?utf-8?b?a?=", "=?utf-16?b?YQ==?=", "=?idna?q?xn--=FF?="]
)
def test_a_subject_that_cannot_be_decoded_is_shown_as_it_is(subject: str) -> None:
    assert read_subject(b"Subject: " + subject.encode() + b"\r\n\r\n") == subject


def test_bytes_that_are_not_in_their_encoding_are_marked() -> None:
    assert read_body(HEADERS % (b"a", b"text/plain; charset=utf-8", b"8bit", b"a\xff")).text == (
        "a\ufffd"
    )
    for charset in (b"nonsense", b"hex", b"idna"):
        content_type = b"text/plain; charset=" + charset
        assert read_body(HEADERS % (b"a", content_type, b"8bit", b"a\xe2\x82\xac")).text == "a€"


def test_a_mail_of_endless_depth_is_shown_as_unreadable() -> None:
    raw = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (depth, depth)
        for depth in range(1500)
    )
    assert read_body(raw) == Body(UNREADABLE, "")


WORDS = st.sampled_from(
    [
        b"Subject: ",
        b"Content-Type: ",
        b"Content-Transfer-Encoding: ",
        b"base64",
        b"\r\n",
        b"quoted-printable",
        b"multipart/mixed; boundary=x",
        b"\r\n\r\n",
        b"\r\n--x\r\n",
        b"message/rfc822",
        b"text/html; charset=",
        b"utf-7",
        b"utf-16",
        b"=?utf-8?q?=FF?=",
        b"=?",
        b"?=",
        b"charset*=utf-8''%ff",
        b"--x--",
        b"=",
        b"\x00",
        b"\xff",
        b"punycode",
    ]
)


@given(st.lists(WORDS | st.binary(max_size=8), max_size=30).map(b"".join))
def test_whatever_is_sent_can_be_shown(raw: bytes) -> None:
    body = read_body(raw)
    for text in (read_subject(raw), body.text, body.html):
        text.encode("utf-8")
