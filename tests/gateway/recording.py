"""A media connection that keeps what is sent and says what a test wants said."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from gateway.connection_counters import ConnectionCounters


def _unplugged(_: Any) -> None:
    raise AssertionError("no leg has plugged itself in")


class RecordingConnection:
    """`gateway.ports.MediaConnection` without a socket: the test is the peer.

    Like a real one it delivers nothing after `close`, and reports the end once.
    """

    def __init__(self, clock_ns: Callable[[], int] = lambda: 0) -> None:
        self.on_text: Callable[[bytes], None] = _unplugged
        self.on_binary: Callable[[bytes], None] = _unplugged
        self.on_close: Callable[[int], None] = _unplugged
        self.counters = ConnectionCounters()
        self.peer = "192.0.2.1:5060"
        self.sent: list[tuple[str, bytes]] = []
        """What was sent, in order: `text`, `audio-text` or `audio-binary`, and the payload."""
        self.closed: tuple[int, str] | None = None
        """The code and reason of our close."""
        self._clock_ns = clock_ns
        self._has_ended = False

        self.is_authenticated = False
        """Whether the leg has authenticated the peer."""

    # What a leg may do.

    def mark_authenticated(self) -> None:
        self.is_authenticated = True

    def send_text(self, *payloads: bytes) -> None:
        for payload in payloads:
            self._send("text", payload)

    def send_audio_text(self, payload: bytes) -> None:
        self._send("audio-text", payload)

    def send_audio_binary(self, payload: bytes) -> None:
        self._send("audio-binary", payload)

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self.closed is None and not self._has_ended:
            self.closed = (code, reason)

    def _send(self, kind: str, payload: bytes) -> None:
        if self.closed is None and not self._has_ended:
            self.sent.append((kind, payload))
            self.counters.messages_out += 1
            self.counters.bytes_out += len(payload)

    # What the peer does.

    def say(self, message: dict[str, Any] | bytes) -> None:
        """Let a text message arrive."""
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        self._arrive(self.on_text, payload)

    def speak(self, frame: bytes) -> None:
        """Let a binary message arrive."""
        self._arrive(self.on_binary, frame)

    def end(self, code: int | None = None) -> None:
        """Let the connection be over: as we closed it, or with a code of the peer's."""
        if not self._has_ended:
            self._has_ended = True
            default = 1006 if self.closed is None else self.closed[0]
            self.on_close(default if code is None else code)

    def _arrive(self, handler: Callable[[bytes], None], payload: bytes) -> None:
        if self.closed is not None or self._has_ended:
            return
        self.counters.messages_in += 1
        self.counters.bytes_in += len(payload)
        self.counters.last_in_ns = self._clock_ns()
        handler(payload)

    # What tests ask.

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The control messages sent so far."""
        return [json.loads(payload) for kind, payload in self.sent if kind == "text"]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The control messages of one type."""
        return [message for message in self.messages if message["type"] == kind]

    @property
    def kinds(self) -> list[str]:
        """The types of the control messages sent so far."""
        return [message["type"] for message in self.messages]

    @property
    def audio(self) -> list[bytes]:
        """The audio messages sent so far."""
        return [payload for kind, payload in self.sent if kind != "text"]

    def forget(self) -> None:
        """Keep only what is sent from now on."""
        self.sent.clear()
