"""Brings one leg up: the opening handshake and the few messages before audio, blocking.

Nothing is read past the message that was requested, because the socket's next reader is the
generator. Knows RFC 6455 and the messages that a relay and the gateway have in common.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_HEAD_BYTES_MAX = 8192
TEXT, CLOSE = 1, 8


class DialError(Exception):
    """A leg did not come up; the message says what the server answered."""


@dataclass(frozen=True, slots=True)
class Call:
    """Both legs of a call, connected and ready for audio."""

    browser: socket.socket
    carrier: socket.socket
    stream_sid: str
    placed_ns: int = 0
    """When the carrier was asked to place it, by the monotonic clock; 0 where nobody was asked."""


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    """Return exactly `size` bytes."""
    received = bytearray()
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise DialError("the server closed the connection")
        received += part
    return bytes(received)


def _receive_head(connection: socket.socket) -> bytes:
    """Return an HTTP head, read byte by byte so that nothing behind it is touched."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if len(head) == _HEAD_BYTES_MAX:
            raise DialError("no end of the HTTP head")
        # A larger read could take the server's first message along.
        head += receive_exactly(connection, 1)
    return head


def open_websocket(
    connection: socket.socket, host: str, path: str, headers: Mapping[str, str] | None = None
) -> None:
    """Perform the opening handshake as a client, without extensions.

    Raises:
        DialError: the server answered anything but the right 101.
    """
    key = base64.b64encode(os.urandom(16))
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key.decode()}",
        "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    connection.sendall("\r\n".join((*lines, "", "")).encode())
    head = _receive_head(connection)
    # Proves that the server took the handshake for one (RFC 6455, 4.1).
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    if not head.startswith(b"HTTP/1.1 101 ") or accept not in head:
        raise DialError(f"no WebSocket on {path}: {head.splitlines()[0].decode()}")


def send_json(connection: socket.socket, message: Mapping[str, object]) -> None:
    """Send one text message, compact, masked."""
    payload = json.dumps(message, separators=(",", ":")).encode()
    # A client masks each message with a key of its own (RFC 6455, 5.3).
    mask = os.urandom(4)
    length = (
        bytes((0x80 | len(payload),))
        if len(payload) < 126
        else b"\xfe" + len(payload).to_bytes(2, "big")
    )
    masked = bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))
    connection.sendall(b"\x81" + length + mask + masked)


def receive_message(connection: socket.socket) -> tuple[int, bytes]:
    """Return the next message of a server, whole and unmasked: its opcode and payload."""
    first, length = receive_exactly(connection, 2)
    if length >= 126:
        length = int.from_bytes(receive_exactly(connection, 2 if length == 126 else 8), "big")
    return first & 0x0F, receive_exactly(connection, length)


def wait_for(connection: socket.socket, wanted: str) -> dict[str, object]:
    """Return the first text message of the type `wanted`; messages before it are dropped.

    Raises:
        DialError: the server closed, or said `error`, `cancel` or `disconnect` instead.
    """
    while True:
        opcode, payload = receive_message(connection)
        if opcode == CLOSE:
            code = int.from_bytes(payload[:2], "big")
            raise DialError(f"closed with {code} before `{wanted}`: {payload[2:].decode()}")
        # Binary audio, such as ringback, and pings.
        if opcode != TEXT:
            continue
        message: dict[str, object] = json.loads(payload)
        if message.get("type") == wanted:
            return message
        # Nothing that is waited for follows any of these.
        if message.get("type") in {"error", "cancel", "disconnect"}:
            raise DialError(f"refused before `{wanted}`: {payload.decode()}")


def start_stream(
    connection: socket.socket,
    *,
    stream_sid: str,
    call_sid: str,
    account_sid: str,
    parameters: Mapping[str, str],
) -> None:
    """Send what opens a Twilio Media Stream: `connected`, then `start`."""
    send_json(connection, {"event": "connected", "protocol": "Call", "version": "1.0.0"})
    start = {
        "accountSid": account_sid,
        "streamSid": stream_sid,
        "callSid": call_sid,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": dict(parameters),
    }
    send_json(
        connection,
        {"event": "start", "sequenceNumber": "1", "start": start, "streamSid": stream_sid},
    )
