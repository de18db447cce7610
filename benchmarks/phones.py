"""The other sockets of a simulated WebRTC call: the carrier's stream, the browser's control.

Takes both connected, after their handshakes. Knows as much of RFC 6455 as a client needs, and
Twilio's media and mark messages.
"""

from __future__ import annotations

import socket
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from benchmarks.browsers import Voice

READ_BYTES = 65_536
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_PAYLOAD = b'"payload":"'
_MARK = b'"mark":{'
_NS_PER_BYTE = 125_000
"""A byte of mu-law lasts 1/8000 s (ITU-T G.711)."""
_MASK = b"\x5a" * 4
_MASKED = bytes(byte ^ _MASK[0] for byte in range(256))
"""A mask of equal bytes (RFC 6455, 5.3) costs the generator least, and the server what any does."""


class ControlSocket:
    """The socket that a call's messages travel on while its audio travels beside it."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._unread = b""
        self.closed = 0
        self.audio = 0
        """Binary messages: audio that should have come by WebRTC."""

    def fileno(self) -> int:
        """Return what to wait on."""
        return self._socket.fileno()

    def receive(self, now_ns: int) -> None:
        """Take in what has arrived."""
        try:
            received = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            received = b""
        # An end of the stream, in order or not: either way the server has ended the leg.
        if not received:
            self._end()
            return
        self._unread += received
        for opcode, payload in self._messages():
            if opcode == _TEXT:
                self.take_text(payload, now_ns)
            elif opcode == _PING:
                self.send_message(_PONG, payload)
            elif opcode == _CLOSE:
                self._end()
                return
            # What is left is binary: the audio has not moved to WebRTC.
            elif opcode != _PONG:
                self.audio += 1

    def take_text(self, text: bytes, now_ns: int) -> None:
        """Ignore a text message: cost and levels do not matter here."""

    def send_message(self, opcode: int, payload: bytes) -> None:
        """Send one message, masked; one that the kernel does not take at once is dropped whole."""
        size = len(payload)
        head = bytes((0x80 | opcode, 0x80 | size)) if size < 126 else _long_head(opcode, size)
        with suppress(OSError):
            self._socket.send(head + _MASK + payload.translate(_MASKED))

    def close(self) -> None:
        """Release the socket."""
        self._socket.close()

    def _end(self) -> None:
        """Note the end once; a socket that is shut down on both sides is silent."""
        self.closed = 1
        self._socket.close()

    def _messages(self) -> Iterator[tuple[int, bytes]]:
        """Yield whole messages; a server's frames are not masked, and here never in pieces."""
        unread, start = self._unread, 0
        while len(unread) - start >= 2:
            size, body = unread[start + 1], start + 2
            # Lengths of eight bytes do not occur: no message here has 64 KiB.
            if size == 126:
                body = start + 4
                size = int.from_bytes(unread[start + 2 : body], "big")
            if len(unread) < body + size:
                break
            yield unread[start] & 0x0F, unread[body : body + size]
            start = body + size
        self._unread = unread[start:]


class Phone(ControlSocket):
    """The carrier's end of a call: speaks and hears by media messages, and returns marks."""

    def __init__(
        self, connection: socket.socket, stream_sid: str, voice: Voice, heard: Voice
    ) -> None:
        super().__init__(connection)
        self.voice, self.heard = voice, heard
        self._tail = b'"},"streamSid":"%s"}' % stream_sid.encode()
        self._sent = 0
        self._begun_ns = 0
        self._played_ns = 0
        """When all that was sent to us will have been played."""
        self._marks: deque[tuple[int, bytes]] = deque(maxlen=8)

    def send(self, now_ns: int) -> None:
        """Speak the next 20 ms, in Twilio's key order."""
        # Twilio's timestamps count from the start of the stream.
        self._begun_ns = self._begun_ns or now_ns
        # Here, because this is called every 20 ms, the grain of Twilio's playing.
        self.return_marks(now_ns)
        # `start` was number 1 of the sequence; chunks count the media messages only.
        head = (
            b'{"event":"media","sequenceNumber":"%d","media":{"track":"inbound","chunk":"%d",'
            b'"timestamp":"%d","payload":"'
        ) % (self._sent + 2, self._sent + 1, (now_ns - self._begun_ns) // 1_000_000)
        self._sent += 1
        self.send_message(_TEXT, head + b64encode(self.voice.speak(now_ns)) + self._tail)

    def return_marks(self, now_ns: int) -> None:
        """Return the marks before which all has been played."""
        while self._marks and self._marks[0][0] <= now_ns:
            self.send_message(_TEXT, self._marks.popleft()[1])

    def take_text(self, text: bytes, now_ns: int) -> None:
        """Count a media message; keep a mark until the audio before it has been played."""
        # Searched, not parsed: the generator's own work has to stay small.
        start = text.find(_PAYLOAD)
        if start >= 0:
            start += len(_PAYLOAD)
            audio = b64decode(text[start : text.index(b'"', start)])
            # What arrives after the last was played begins at once; earlier audio delays it.
            self._played_ns = max(self._played_ns, now_ns) + len(audio) * _NS_PER_BYTE
            self.heard.hear(audio, now_ns)
        elif (start := text.find(_MARK)) >= 0:
            # The object goes back as it came.
            name = text[start : text.index(b"}", start) + 1]
            reply = b'{"event":"mark","sequenceNumber":"%d",%s%s' % (
                self._sent + 2,
                name,
                self._tail.removeprefix(b'"}'),
            )
            self._marks.append((self._played_ns, reply))

    def _end(self) -> None:
        super()._end()
        self.voice.tally.closed += 1


def _long_head(opcode: int, size: int) -> bytes:
    return bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
