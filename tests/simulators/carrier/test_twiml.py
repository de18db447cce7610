"""TwiML documents and the streams in them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.carrier import twiml
from simulators.carrier.errors import StreamError, TwimlError
from simulators.carrier.twiml import (
    Hangup,
    Pause,
    PlayDigits,
    Redirect,
    Say,
    Stream,
    Unknown,
    check_stream,
    kept_parameters,
    parse,
)


def stream(url: str = "wss://h/p", track: str = "inbound_track", **parameters: str) -> Stream:
    return Stream(url, "", track, "", "POST", tuple(parameters.items()))


def test_reads_the_document_of_a_bridged_call() -> None:
    document = (
        b'<?xml version="1.0" encoding="UTF-8"?><Response><Connect>'
        b'<Stream url="wss://h/media" name="n" statusCallback="https://h/s">'
        b'<Parameter name="token" value="a&amp;b"/></Stream></Connect>'
        b'<Redirect method="get"> https://h/again </Redirect></Response>'
    )
    assert parse(document) == (
        Stream("wss://h/media", "n", "inbound_track", "https://h/s", "POST", (("token", "a&b"),)),
        Redirect("https://h/again", "GET"),
    )


@pytest.mark.parametrize(
    ("verb", "read"),
    [
        ("<Hangup/>", Hangup()),
        ("<Reject/>", Hangup()),
        ("<Pause/>", Pause(1.0)),
        ('<Pause length="40"/>', Pause(40.0)),
        ('<Pause length="x"/>', Pause(1.0)),
        ("<Say>123456789012345</Say>", Say("123456789012345", "en-US")),
        ('<Say language="de-DE">12<break/>34</Say>', Say("1234", "de-DE")),
        ("<Play>https://h/a.wav</Play>", Pause(1.0)),
        ('<Play digits="ww12#"/>', PlayDigits("ww12#")),
        ('<Play digits="x"/>', Unknown("Play")),
        ("<Dial>+1</Dial>", Unknown("Dial")),
        ("<Connect/>", Unknown("Connect")),
        ("<Connect><Room/></Connect>", Unknown("Connect")),
    ],
)
def test_reads_each_verb(verb: str, read: twiml.Verb) -> None:
    assert parse(f"<Response>{verb}</Response>".encode()) == (read,)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"hello",
        b"<Response>",
        b"<response/>",
        b"<html/>",
        b'<!DOCTYPE r [<!ENTITY a "b">]><Response>&a;</Response>',
        b"<Response>" + b" " * twiml.DOCUMENT_BYTES_MAX + b"</Response>",
        b"<Response>" + b"<Hangup/>" * (twiml.VERBS_MAX + 1) + b"</Response>",
        b'<?xml version="1.0" encoding="no-such"?><Response/>',
    ],
)
def test_refuses_what_is_not_twiml(document: bytes) -> None:
    with pytest.raises(TwimlError) as caught:
        parse(document)
    assert caught.value.code == 12100


@given(st.binary(max_size=100) | st.text(alphabet="<>/=\"'Response &;!?", max_size=60))
def test_any_document_is_read_or_refused(document: bytes | str) -> None:
    data = document if isinstance(document, bytes) else document.encode()
    with contextlib.suppress(TwimlError):
        parse(data)


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        (stream("ws://h/p"), 31922),
        (stream("https://h/p"), 31922),
        (stream("/relative"), 31922),
        (stream(""), 31922),
        (stream("wss:///p"), 31923),
        (stream("wss://h:port/p"), 31923),
        (stream("wss://h/a b"), 31923),
        (stream("wss://h/p#f"), 31923),
        (stream("wss://[h/p"), 31923),
        (stream("wss://h/p?q=1"), 31920),
        (stream("wss://h/p?"), 31920),
        (stream(track="both_tracks"), 31941),
    ],
)
def test_refuses_streams_that_twilio_does_not_open(refused: Stream, code: int) -> None:
    with pytest.raises(StreamError) as caught:
        check_stream(refused)
    assert caught.value.code == code


def test_opens_an_ordinary_stream() -> None:
    check_stream(stream("wss://example.com:8443/n/a/media/carrier"))


def test_long_parameters_are_not_delivered() -> None:
    kept, refused = kept_parameters(stream(a="x" * 498, b="x" * 499))
    assert (list(kept), refused) == (["a"], ["b"])
