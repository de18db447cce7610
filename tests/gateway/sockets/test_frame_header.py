"""Header arithmetic, against the protocol library's own writer and parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from gateway.sockets.frame_header import (
    BINARY_FIN,
    MALFORMED,
    NEEDS_MORE,
    TEXT_FIN,
    data_header,
    frame_extent,
    message_bytes,
)
from tests.gateway.sockets.socket_peers import BINARY, CLOSE, PING, TEXT, frame

LENGTHS = [0, 1, 125, 126, 160, 1023, 1024, 65_535, 65_536, 100_000]


@pytest.mark.parametrize("length", LENGTHS)
def test_headers_are_those_of_the_library(length):
    payload = bytes(length)
    for first, opcode in ((TEXT_FIN, Opcode.TEXT), (BINARY_FIN, Opcode.BINARY)):
        assert data_header(first, length) + payload == Frame(opcode, payload).serialize(mask=False)


@pytest.mark.parametrize("length", LENGTHS)
def test_message_bytes_undoes_the_header(length):
    assert message_bytes(data_header(TEXT_FIN, length) + bytes(length)) == length
    assert message_bytes(data_header(BINARY_FIN, length) + bytes(length)) == length


@pytest.mark.parametrize("sent", [b"\x88\x02\x03\xe8", b"\x8a\x00", b"HTTP/1.1 101 Switching"])
def test_message_bytes_counts_messages_only(sent):
    assert message_bytes(sent) is None


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("at", [0, 3])
def test_extent_is_known_once_the_header_is_there(length, at):
    whole = bytes(at) + frame(BINARY, bytes(length))
    header_bytes = len(whole) - at - length - 4
    for available in range(header_bytes):
        assert frame_extent(whole[: at + available], at, length) == NEEDS_MORE
    assert frame_extent(whole[: at + header_bytes], at, length) == len(whole) - at
    assert frame_extent(whole + b"more", at, length) == len(whole) - at


@pytest.mark.parametrize(
    "data",
    [
        frame(3),
        frame(0xB, fin=False),
        frame(TEXT, b"a", masked=False),
        frame(PING, masked=False),
        frame(CLOSE, bytes(11)),
        frame(BINARY, bytes(11), fin=False),
        b"\x82\xff" + b"\xff" * 8,
    ],
)
def test_a_fault_shows_in_the_header(data):
    assert frame_extent(data, 0, 10) == MALFORMED


@given(data=st.binary(max_size=20), at=st.integers(0, 5), limit=st.integers(0, 70_000))
def test_no_bytes_confuse_it(data, at, limit):
    extent = frame_extent(data, min(at, len(data)), limit)
    assert extent in {NEEDS_MORE, MALFORMED} or 6 <= extent <= limit + 14
