"""Media Streams messages: what Twilio sends is understood."""

import base64
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.twilio import media as tm
from gateway.errors import PeerProtocolError

SID = "MZ" + "0" * 32


def start(**changes) -> bytes:
    detail = {
        "accountSid": "AC1",
        "streamSid": SID,
        "callSid": "CA1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": "t"},
    } | changes
    message = {"event": "start", "sequenceNumber": "1", "start": detail, "streamSid": SID}
    return json.dumps(message).encode()


def test_every_message_of_a_real_call_is_understood():
    assert tm.parse(b'{"event":"connected","protocol":"Call","version":"1.0.0"}') == tm.Connected()
    begun = tm.parse(start())
    assert isinstance(begun, tm.StreamStart)
    assert begun.start.custom_parameters == {"token": "t"}
    assert begun.start.media_format.sample_rate == 8000
    payload = base64.b64encode(b"\xff" * 160).decode()
    media = tm.parse(
        b'{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1",'
        b'"timestamp":"155","payload":"'
        + payload.encode()
        + b'"},"streamSid":"'
        + SID.encode()
        + b'"}'
    )
    assert isinstance(media, tm.Media)
    assert (media.stream_sid, media.media.payload) == (SID, b"\xff" * 160)
    dtmf = tm.parse(
        b'{"event":"dtmf","streamSid":"MZ","sequenceNumber":"5",'
        b'"dtmf":{"track":"inbound_track","digit":"1"}}'
    )
    assert dtmf == tm.Dtmf(stream_sid="MZ", dtmf=tm.DtmfDetail(digit="1"))
    mark = tm.parse(b'{"event":"mark","sequenceNumber":"4","streamSid":"MZ","mark":{"name":"x"}}')
    assert mark == tm.Mark(stream_sid="MZ", mark=tm.MarkDetail(name="x"))
    stop = tm.parse(
        b'{"event":"stop","sequenceNumber":"9","streamSid":"MZ",'
        b'"stop":{"accountSid":"AC1","callSid":"CA1"}}'
    )
    assert stop == tm.Stop("MZ", msgspec.Raw(b'{"accountSid":"AC1","callSid":"CA1"}'))


@pytest.mark.parametrize(
    ("timestamp", "at_ms"),
    [("155", 155), ("9" * 15, 10**15 - 1)]
    + [(none, None) for none in ("", "x", "-5", "1.5", "9" * 16, "9" * 5000)],
)
def test_a_time_is_digits_that_a_float_can_hold(timestamp, at_ms):
    assert tm.MediaDetail(b"", msgspec.Raw(json.dumps(timestamp))).at_ms == at_ms


ODD = [b"7", b"7.5", b"-1", b"1e999", b"9" * 5000, b"true", b"null", b"[1]", b'{"a":1}', b'""']


@pytest.mark.parametrize("odd", ODD)
def test_what_is_not_needed_of_audio_may_be_anything(odd):
    rest = b'"track":%b,"chunk":%b,"timestamp":%b,"new":%b' % (odd, odd, odd, odd)
    text = b'{"event":"media","sequenceNumber":%b,"media":{%b,"payload":"/w=="},"streamSid":"MZ"}'
    media = tm.parse(text % (odd, rest))
    assert isinstance(media, tm.Media)
    assert media.media.payload == b"\xff"
    assert media.media.at_ms == (7 if odd == b"7" else None)


@pytest.mark.parametrize("odd", ["8000", None, 8000.0, []])
def test_a_start_is_known_by_its_encoding(odd):
    begun = tm.parse(start(mediaFormat={"encoding": "audio/x-mulaw", "sampleRate": odd}))
    assert isinstance(begun, tm.StreamStart)
    assert begun.start.media_format.encoding == "audio/x-mulaw"


def test_an_event_of_a_later_version_is_no_error():
    assert tm.parse(b'{"event":"weather","streamSid":"MZ"}') == tm.Unknown(event="weather")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"hello",
        b'{"event":"media"}',
        b'{"event":"media","streamSid":"MZ","media":{"payload":"***"}}',
        b'{"event":"start","streamSid":1,"start":{}}',
        b'{"event":7}',
        b"{" * 10_000,
        b"\xff\xfe",
        b'{"x":' + b"[" * 10_000,
        b'{"event":"media","streamSid":"\xff","media":{"payload":""}}',
    ],
)
def test_nonsense_is_refused(text):
    with pytest.raises(PeerProtocolError):
        tm.parse(text)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(text):
    try:
        tm.parse(text)
    except PeerProtocolError:
        pass


@given(st.integers(0, 400))
def test_no_truncation_raises_anything_else(cut):
    try:
        tm.parse(start()[:cut])
    except PeerProtocolError:
        pass
