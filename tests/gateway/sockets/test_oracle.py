"""The short way in must not be a different protocol: any bytes, any split, same outcome.

The oracle is the protocol library alone, fed one byte at a time, with reassembly and the UTF-8
check written again in the plainest way.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from gateway.ports import Acceptance
from gateway.sockets.engine import MediaEngine
from gateway.sockets.limits import MediaLimits
from tests.gateway.sockets.socket_peers import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Clock,
    Leg,
    frame,
    handshake,
)

MESSAGE_BYTES_MAX = 300
LIMITS = MediaLimits(message_bytes_max=MESSAGE_BYTES_MAX, control_frames_max_per_s=10_000)


class MemoryTransport:
    """Takes what is written, whole and at once."""

    def __init__(self) -> None:
        self.sent = b""
        self.ended = False

    def write(self, data: bytes) -> None:
        assert not self.ended
        self.sent += data

    def write_eof(self) -> None:
        assert not self.ended
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        assert (high, low) == (0, 0)

    def get_extra_info(self, _name: str) -> Any:
        return None


def outcome_of_ours(pieces: list[bytes]) -> tuple[list[tuple[str, Any]], bytes, bool]:
    """Return what the leg got, what was sent behind the 101, and whether sending has ended."""
    leg = Leg()
    media = MediaEngine(lambda _: Acceptance(leg.attach), LIMITS, Clock()).protocol_factory()
    transport = MemoryTransport()
    media.connection_made(transport)
    for piece in pieces:
        media.data_received(piece)
    return leg.events, transport.sent.partition(b"\r\n\r\n")[2], transport.ended


class SocketTransport(MemoryTransport):
    """Has a socket, which it reads unless another does."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self.connection = connection
        self.is_reading = True

    def get_extra_info(self, name: str) -> Any:
        return self.connection if name == "socket" else None

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def is_closing(self) -> bool:
        return False


async def outcome_past_the_transport(
    listener: socket.socket, pieces: list[bytes]
) -> tuple[list[tuple[str, Any]], bytes, bool]:
    """Return the same of a socket that is read directly while it is open."""
    leg = Leg()
    media = MediaEngine(lambda _: Acceptance(leg.attach), LIMITS, Clock()).protocol_factory()
    with socket.create_connection(listener.getsockname()) as far, listener.accept()[0] as near:
        transport = SocketTransport(near)
        media.connection_made(transport)
        for piece in pieces:
            far.sendall(piece)
            if transport.is_reading:
                media.data_received(near.recv(1 << 16))
            for _ in range(2):  # the loop looks, then calls
                await asyncio.sleep(0)
        outcome = [*leg.events], transport.sent.partition(b"\r\n\r\n")[2], transport.ended
        media.connection_lost(None)
    return outcome


class Oracle:
    def __init__(self) -> None:
        self.protocol = ServerProtocol(state=State.OPEN, max_size=MESSAGE_BYTES_MAX)
        self.events: list[tuple[str, Any]] = []
        self.message = b""
        self.kind = ""

    def outcome(self, data: bytes) -> tuple[list[tuple[str, Any]], bytes, bool]:
        for value in data:
            if self.protocol.eof_sent:
                break
            self.protocol.receive_data(bytes((value,)))
            for event in self.protocol.events_received():
                assert isinstance(event, Frame)
                self.take(event)
        protocol = self.protocol
        if protocol.eof_sent:
            failed = protocol.parser_exc is not None or protocol.close_rcvd is None
            close = protocol.close_sent if failed else protocol.close_rcvd
            assert close is not None
            self.events.append(("close", int(close.code)))
        return self.events, b"".join(protocol.data_to_send()), protocol.eof_sent

    def take(self, event: Frame) -> None:
        if event.opcode in {Opcode.TEXT, Opcode.BINARY}:
            self.kind, self.message = event.opcode.name.lower(), b""
        elif event.opcode is not Opcode.CONT:
            return
        self.message += event.data
        if self.kind == "text" and not could_be_utf8(self.message, complete=event.fin):
            self.protocol.fail(1007, "invalid UTF-8")
        elif event.fin:
            self.events.append((self.kind, self.message))


def could_be_utf8(data: bytes, *, complete: bool) -> bool:
    endings = [b""] if complete else [b"", *(b"\x80" * n for n in (1, 2, 3)), b"\x90\x80\x80"]
    endings += [] if complete else [b"\xa0\x80", b"\xa0"]
    for ending in endings:
        try:
            (data + ending).decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


payloads = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(str.encode),
    st.integers(120, 320).map(lambda length: b"x" * length),
    st.sampled_from([b"", b"\xe2\x82", b"\xac", "€".encode(), b"\xed", b"\xf4", b"\xff"]),
)
sound_frames = st.one_of(
    st.builds(frame, st.sampled_from([TEXT, BINARY]), payloads),
    st.builds(
        frame, st.sampled_from([TEXT, BINARY, CONT, CONT, CONT]), payloads, fin=st.booleans()
    ),
    st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=125)),
)
closes = st.integers(995, 1016).map(lambda code: frame(CLOSE, struct.pack("!H", code) + b"bye"))
any_frames = st.builds(
    frame,
    st.integers(0, 15),
    payloads,
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 1, 4]),
    masked=st.sampled_from([True, True, True, False]),
)
padded_frames = st.builds(
    frame, st.sampled_from([TEXT, BINARY, PING]), payloads, length_bytes=st.just(8)
)
streams = st.lists(
    st.one_of(sound_frames, sound_frames, any_frames, padded_frames, closes, st.binary(max_size=9)),
    max_size=8,
).map(b"".join)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({cut % len(data) for cut in cuts}), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if start < end]


@settings(max_examples=1500, deadline=None)
@given(stream=streams, cuts=st.lists(st.integers(0), max_size=8))
@example(stream=frame(TEXT, b"a", fin=False) + frame(CONT, b"x" * 320), cuts=[])
@example(stream=frame(BINARY, b"x" * 299, fin=False) + frame(PING, b"xx"), cuts=[])
@example(stream=frame(BINARY, b"x" * 299, fin=False) + b"\x80\xfe\x01\x00", cuts=[])
def test_any_split_equals_the_library_alone(stream, cuts):
    expected = Oracle().outcome(stream)
    data = handshake() + stream
    assert outcome_of_ours([data]) == expected
    assert outcome_of_ours(cut(data, cuts)) == expected
    assert outcome_of_ours([bytes((value,)) for value in data]) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="It stands on Linux's epoll.")
@pytest.mark.usefixtures("past_the_transport")
def test_any_split_equals_the_library_alone_past_the_transport():
    with asyncio.Runner() as runner, socket.create_server(("127.0.0.1", 0)) as listener:

        @settings(max_examples=1500, deadline=None)
        @given(stream=streams, cuts=st.lists(st.integers(0), max_size=8))
        def check(stream, cuts):
            pieces = cut(handshake() + stream, cuts)
            outcome = runner.run(outcome_past_the_transport(listener, pieces))
            assert outcome == Oracle().outcome(stream)

        check()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_garbage_instead_of_a_handshake_never_raises(pieces):
    events, sent, _ = outcome_of_ours(pieces)
    assert events == []
    assert sent in {b"", b"This is no HTTP request.\n"}
