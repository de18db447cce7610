"""Messages of the stream, in both directions, against JSON Schema and byte-exact samples."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.carrier.errors import FrameError
from simulators.carrier.frames import Audio, Clear, MessageWriter, PlayoutMark, parse

from .peer import INBOUND_SCHEMA

SID = "MZ" + "0123456789abcdef" * 2
OUTBOUND = jsonschema.Draft202012Validator(
    json.loads((Path(__file__).parent / "data/twilio_outbound_frames.schema.json").read_text())
)
INBOUND = jsonschema.Draft202012Validator(INBOUND_SCHEMA)


CAPTURED = {
    "connected": '{"event":"connected","protocol":"Call","version":"1.0.0"}',
    "start": '{"event":"start","sequenceNumber":"1","start":{"accountSid":"ACCOUNT",'
    '"streamSid":"STREAM","callSid":"CALL","tracks":["inbound"],"mediaFormat":{"encoding":'
    '"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{"token":"t"}},'
    '"streamSid":"STREAM"}',
    "media": '{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1",'
    '"timestamp":"155","payload":"/38A"},"streamSid":"STREAM"}',
    "dtmf": '{"event":"dtmf","streamSid":"STREAM","sequenceNumber":"3",'
    '"dtmf":{"track":"inbound_track","digit":"#"}}',
    "mark": '{"event":"mark","sequenceNumber":"4","streamSid":"STREAM","mark":{"name":"my label"}}',
    "stop": '{"event":"stop","sequenceNumber":"5","streamSid":"STREAM",'
    '"stop":{"accountSid":"ACCOUNT","callSid":"CALL"}}',
}


def test_writes_the_keys_of_real_captures_in_their_order() -> None:
    out = MessageWriter("ACCOUNT", "CALL", "STREAM", {"token": "t"})
    written = {
        "connected": out.connected(),
        "start": out.start(),
        "media": out.media(b"\xff\x7f\x00", 155),
        "dtmf": out.dtmf("#"),
        "mark": out.mark("my label"),
        "stop": out.stop(),
    }
    assert {event: text.decode() for event, text in written.items()} == CAPTURED


@given(st.text(min_size=1), st.dictionaries(st.text(min_size=1), st.text()), st.binary())
def test_everything_written_is_valid(name: str, parameters: dict[str, str], audio: bytes) -> None:
    out = MessageWriter("AC" + "a" * 32, "CA" + "b" * 32, SID, parameters)
    texts = [out.connected(), out.start(), out.media(audio, 40), out.mark(name), out.stop()]
    for text in texts:
        INBOUND.validate(json.loads(text))
    assert json.loads(texts[1])["start"]["customParameters"] == parameters
    assert base64.b64decode(json.loads(texts[2])["media"]["payload"]) == audio
    assert json.loads(texts[3])["mark"]["name"] == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"event":"media","streamSid":"%s","media":{"payload":"/38A"}}', Audio(b"\xff\x7f\x00")),
        ('{"media":{"payload":"/38A"}, "event":"media","streamSid":"%s"}', Audio(b"\xff\x7f\x00")),
        ('{"event":"mark","streamSid":"%s","mark":{"name":"x"}}', PlayoutMark("x")),
        ('{"event":"clear","streamSid":"%s"}', Clear()),
    ],
)
def test_reads_the_three_messages(text: str, message: object) -> None:
    OUTBOUND.validate(json.loads(text % SID))
    assert parse((text % SID).encode(), SID) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "null",
        '"media"',
        '{"event":"media"}',
        '{"event":"hello","streamSid":"%s"}',
        '{"event":"start","streamSid":"%s"}',
        '{"streamSid":"%s"}',
        '{"event":"clear"}',
        '{"event":"clear","streamSid":"MZ00000000000000000000000000000000"}',
        '{"event":"clear","streamSid":"%s","extra":1}',
        '{"event":"clear","stream_sid":"%s"}',
        '{"event":"media","streamSid":"%s"}',
        '{"event":"media","streamSid":"%s","media":{}}',
        '{"event":"media","streamSid":"%s","media":{"payload":""}}',
        '{"event":"media","streamSid":"%s","media":{"payload":"/38"}}',
        '{"event":"media","streamSid":"%s","media":{"payload":"/38A "}}',
        '{"event":"media","streamSid":"%s","media":{"payload":"_38A"}}',
        '{"event":"media","streamSid":"%s","media":{"payload":1}}',
        '{"event":"media","streamSid":"%s","media":{"payload":"/38A","track":"outbound"}}',
        '{"event":"media","streamSid":"%s","sequenceNumber":"1","media":{"payload":"/38A"}}',
        '{"event":"mark","streamSid":"%s"}',
        '{"event":"mark","streamSid":"%s","mark":{}}',
        '{"event":"mark","streamSid":"%s","mark":{"name":""}}',
        '{"event":"mark","streamSid":"%s","mark":{"name":"x","y":1}}',
        '{"event":"mark","streamSid":"%s","mark":{"name":null}}',
    ],
)
def test_refuses_missing_and_extra_fields(text: str) -> None:
    with pytest.raises(FrameError) as caught:
        parse(text.replace("%s", SID).encode(), SID)
    assert caught.value.code == 31951


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
_almost = st.fixed_dictionaries(
    {"event": st.sampled_from(["media", "mark", "clear", "x"]), "streamSid": st.just(SID)},
    optional={
        "media": st.fixed_dictionaries({"payload": st.sampled_from(["/38A", "", "a", "////"])})
        | _json,
        "mark": st.fixed_dictionaries({"name": st.text(max_size=3)}) | _json,
        "extra": _json,
    },
)


@given(_almost | _json)
def test_agrees_with_the_schema(message: object) -> None:
    text = json.dumps(message).encode()
    try:
        parse(text, SID)
    except FrameError:
        assert not OUTBOUND.is_valid(message) or "payload" in str(message)
    else:
        OUTBOUND.validate(message)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_frame_error(text: bytes) -> None:
    with contextlib.suppress(FrameError):
        parse(text, SID)
