"""A leg comes up against a real WebSocket server, and nothing is read too far."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from websockets.sync.server import ServerConnection, serve

from benchmarks import loopback
from benchmarks.dial import (
    DialError,
    open_websocket,
    receive_exactly,
    send_json,
    start_stream,
    wait_for,
)


@contextmanager
def opened(handler: Callable[[ServerConnection], None]) -> Iterator[socket.socket]:
    """A client connection past its handshake with a server that runs `handler`."""
    with serve(handler, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        try:
            with closing(loopback.connect(port)) as connection:
                open_websocket(connection, f"127.0.0.1:{port}", "/media/browser/0")
                yield connection
        finally:
            server.shutdown()
            thread.join()


def test_what_comes_behind_the_wanted_message_stays_in_the_socket() -> None:
    def handler(websocket: ServerConnection) -> None:
        websocket.send('{"type":"ready","call_id":"c1"}')
        websocket.send(b"ringback")
        websocket.send('{"type":"accept"}')
        websocket.send(b"speech")

    with opened(handler) as connection:
        assert wait_for(connection, "ready")["call_id"] == "c1"
        wait_for(connection, "accept")
        assert receive_exactly(connection, 8) == b"\x82\x06speech"


def test_a_stream_starts_with_twilios_two_messages() -> None:
    received: list[dict[str, object]] = []

    def handler(websocket: ServerConnection) -> None:
        received.extend(json.loads(websocket.recv()) for _ in range(2))
        websocket.send('{"type":"accept","filler":"' + "x" * 200 + '"}')

    with opened(handler) as connection:
        start_stream(
            connection,
            stream_sid="MZ1",
            call_sid="CA1",
            account_sid="AC1",
            parameters={"token": "secret"},
        )
        wait_for(connection, "accept")
    connected, start = received
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert list(start) == ["event", "sequenceNumber", "start", "streamSid"]
    detail = start["start"]
    assert isinstance(detail, dict)
    assert detail["customParameters"] == {"token": "secret"}


def test_a_refusal_is_told_in_the_servers_words() -> None:
    def handler(websocket: ServerConnection) -> None:
        websocket.recv()
        websocket.send('{"type":"error","code":"late_token"}')

    with opened(handler) as connection:
        send_json(connection, {"type": "start"})
        with pytest.raises(DialError, match="late_token"):
            wait_for(connection, "ready")


def test_a_close_is_told_with_its_code() -> None:
    def handler(websocket: ServerConnection) -> None:
        websocket.close(1013, "try again")

    with opened(handler) as connection, pytest.raises(DialError, match=r"1013.*try again"):
        wait_for(connection, "ready")


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "403"),
        (b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n", "no WebSocket"),
        (b"x" * 9000, "no end"),
        (b"HTTP/1.1 101", "closed"),
    ],
)
def test_a_handshake_that_fails(reply: bytes, complaint: str) -> None:
    client, server = socket.socketpair()
    with client, server:
        server.sendall(reply)
        server.shutdown(socket.SHUT_WR)
        with pytest.raises(DialError, match=complaint):
            open_websocket(client, "127.0.0.1", "/")
