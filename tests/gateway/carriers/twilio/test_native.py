"""What is written in C of Media Streams finds what the JSON parser finds, or leaves it to that."""

from __future__ import annotations

import base64
import random
import re
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.twilio import media as twilio_media
from gateway.errors import PeerProtocolError
from tests.compiling import native_module

SID = "MZ" + "0123456789abcdef" * 2
AUDIO = bytes(range(160))


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return native_module("gateway.carriers.twilio._native", tmp_path_factory.mktemp("native"))


def media(
    audio: bytes = AUDIO, at_ms: str = "155", sid: str = SID, sequence: str = "4", chunk: str = "2"
) -> bytes:
    """A message as Twilio writes it."""
    payload = base64.b64encode(audio).decode()
    return (
        f'{{"event":"media","sequenceNumber":"{sequence}","media":{{"track":"inbound",'
        f'"chunk":"{chunk}","timestamp":"{at_ms}","payload":"{payload}"}},"streamSid":"{sid}"}}'
    ).encode()


def parsed(text: bytes, sid: str) -> tuple[bytes, int | None] | None:
    """What the JSON parser finds of this stream's audio."""
    try:
        message = twilio_media.parse(text)
    except PeerProtocolError:
        return None
    if not isinstance(message, twilio_media.Media) or message.stream_sid != sid:
        return None
    return message.media.payload, message.media.at_ms


@given(st.binary(min_size=1, max_size=700), st.integers(0, 10**15 - 1), st.integers(0, 10**10))
def test_audio_of_any_length_is_read(native: ModuleType, audio: bytes, at_ms: int, count: int):
    text = media(audio, str(at_ms), sequence=str(count + 1), chunk=str(count))
    assert native.audio_of(text, SID.encode()) == (audio, at_ms) == parsed(text, SID)


PLACES = st.floats(0, 1, exclude_max=True)
PIECES = st.sampled_from(
    [
        b"",
        b" ",
        b"=",
        b"==",
        b"A",
        b'"',
        b"\\",
        b"\\/",
        b"-",
        b"0",
        b"\xff",
        b"\0",
        b"}",
        b'"}',
        b",",
    ]
)


@given(st.data())
def test_whatever_differs_is_left_alone_or_read_alike(native: ModuleType, data: st.DataObject):
    """Every cut, and up to three changes anywhere in a message."""
    text = media(data.draw(st.binary(min_size=1, max_size=9)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = int(data.draw(PLACES) * (len(text) + 1))
        removed = data.draw(st.integers(0, 3) | st.just(len(text)))
        text = text[:at] + data.draw(PIECES) + text[at + removed :]
    for sid in (SID, "MZ", ""):
        found = native.audio_of(text, sid.encode())
        assert found in (None, parsed(text, sid))


@pytest.mark.parametrize("size", [1, 2, 3, 160])
def test_no_part_of_a_message_is_one(native: ModuleType, size: int):
    text = media(AUDIO[:size])
    for cut in range(len(text)):
        assert native.audio_of(text[:cut], SID.encode()) is None
        assert native.audio_of(text[cut + 1 :], SID.encode()) is None


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "AAA",
        "AAAAA",
        "AAA=AAAA",
        "A===",
        "====",
        "AB==",
        "AAB=",
        "AA=A",
        "AA-_",
        "AA A",
        "AAAé",
    ],
)
def test_what_no_encoder_writes_is_not_read(native: ModuleType, payload: str):
    text = re.sub(rb'(?<="payload":")[^"]*', payload.encode(), media())
    assert native.audio_of(text, SID.encode()) is None


@pytest.mark.parametrize(
    "changes",
    [{"sid": "MZ1"}, {"at_ms": ""}, {"at_ms": "9" * 16}, {"at_ms": "-1"}, {"chunk": ""}],
    ids=str,
)
def test_other_streams_and_odd_numbers_are_left_alone(native: ModuleType, changes: dict[str, str]):
    assert native.audio_of(media(**changes), SID.encode()) is None


def test_bytes_that_are_random_are_left_alone(native: ModuleType):
    chance = random.Random(7)
    for size in range(600):
        assert native.audio_of(chance.randbytes(size), chance.randbytes(size % 40)) is None


@given(st.binary(max_size=300), st.binary(max_size=900))
def test_a_message_is_prefix_base64_and_end(native: ModuleType, prefix: bytes, audio: bytes):
    expected = prefix + base64.b64encode(audio) + b'"}}'
    assert native.media_message(prefix, audio) == expected


@pytest.mark.parametrize("arguments", [(), (b"",), ("", b""), (b"", bytearray()), (b"", b"", b"")])
def test_anything_but_two_bytes_is_refused(native: ModuleType, arguments: tuple[object, ...]):
    for function in (native.audio_of, native.media_message):
        with pytest.raises(TypeError, match="two arguments of type bytes"):
            function(*arguments)
