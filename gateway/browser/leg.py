"""Runs the browser leg over WebSocket: control messages and audio of one caller.

Turns bytes into calls on its listener, and events into bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.browser import messages as browser_media
from gateway.browser.messages import (
    ClientMessage,
    Error,
    GatewayMessage,
    Hangup,
    Offer,
    OfferRefused,
    Ping,
    Pong,
    Resume,
    Start,
)
from gateway.errors import OFFER_REFUSALS, PeerProtocolError
from gateway.ports import MediaConnection
from gateway.problems import PROBLEMS

MESSAGES_PER_S_MAX = 50
"""Control messages accepted per second; a client driven by a person sends a few."""


class BrowserListener(Protocol):
    """Acts on what the caller does."""

    def browser_message(self, message: ClientMessage) -> None:
        """Act on a control message."""

    def browser_closed(self, code: int) -> None:
        """Act on the end of the socket; called once, with its close code."""


class BrowserLeg:
    """One caller's socket. Waits for `start` or `resume`, then serves one call."""

    __slots__ = (
        "_connection",
        "_flood",
        "_on_start",
        "is_closed",
        "listener",
        "origin",
        "started",
    )

    def __init__(
        self,
        connection: MediaConnection,
        *,
        origin: str,
        on_start: Callable[[BrowserLeg, Start | Resume], None],
    ) -> None:
        self._connection = connection
        self._on_start = on_start
        self._flood = _FloodGuard(MESSAGES_PER_S_MAX)
        self.origin = origin
        """The page's origin; empty for programs."""
        self.listener: BrowserListener | None = None
        """The call or check that the leg serves; None before it begins and after it ends."""
        self.started = False
        """Whether `start` or `resume` has come."""
        self.is_closed = False
        connection.on_text = self._text_received
        connection.on_binary = self._ignore_audio
        connection.on_close = self._closed

    @property
    def connection(self) -> MediaConnection:
        """The socket underneath, for the frame path."""
        return self._connection

    def take_audio(self, on_binary: Callable[[bytes], None] | None) -> None:
        """Send the caller's audio to this function from now on; None discards it."""
        # Set on the socket itself: a frame must not cost a call through this leg.
        self._connection.on_binary = on_binary or self._ignore_audio

    def send(self, *messages: GatewayMessage) -> None:
        """Send control messages."""
        # One write for all: the write is what a small message costs.
        self._connection.send_text(*[browser_media.encode(message) for message in messages])

    def refuse(self, code: str, retry_after_s: int = 0) -> None:
        """Send an error, with the time to retry if it is known, and close."""
        problem = PROBLEMS[code]
        # A close code alone means nothing to a person.
        self._send_error(code, retry_after_s)
        self.close(problem.close_code, code)

    def mark_authenticated(self) -> None:
        """Tell the socket that the caller has shown a valid token."""
        self._connection.mark_authenticated()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake."""
        self._connection.close(code, reason)

    def _text_received(self, payload: bytes) -> None:
        # Before parsing: a flood of invalid messages is also a flood, and must not cost parsing.
        if self._flood.is_flooded(self._connection.counters.last_in_ns):
            self.refuse("message_flood")
            return
        try:
            message = browser_media.parse(payload)
        except PeerProtocolError as error:
            self._send_error("bad_message")
            # By the error's own code: a message that is too long has one of RFC 6455 (7.4.1).
            self._connection.close(error.close_code, "bad_message")
            return
        self._dispatch(message)

    def _dispatch(self, message: ClientMessage) -> None:
        # Answered in every state: it measures the network and nothing else.
        if isinstance(message, Ping):
            self.send(Pong(id=message.id))
        elif isinstance(message, Start | Resume):
            self._start(message)
        elif self.listener is not None:
            self.listener.browser_message(message)
        # No listener: before the start nothing else is allowed. Later its token is being checked,
        # or its call is over, which a client cannot know when it sends.
        elif not self.started:
            self.refuse("bad_message")
        elif isinstance(message, Hangup):
            self.close(1000, "call ended")
        elif isinstance(message, Offer):
            # Too large to hold for an unauthenticated client, which gets an error because it waits
            # for an answer.
            code = "not_ready"
            self.send(OfferRefused(id=message.id, code=code, message=OFFER_REFUSALS[code]))

    def _start(self, message: Start | Resume) -> None:
        if self.started or message.version != browser_media.VERSION:
            self.refuse("bad_message")
            return
        # Before the token is checked, which takes a while: a socket may try only one.
        self.started = True
        self._on_start(self, message)

    def _send_error(self, code: str, retry_after_s: int = 0) -> None:
        problem = PROBLEMS[code]
        self.send(
            Error(
                code=code,
                message=problem.message,
                action=problem.action,
                retry=problem.retry,
                retry_after_s=retry_after_s,
            )
        )

    def _ignore_audio(self, payload: bytes) -> None:
        """Discard audio from before the call was answered."""

    def _closed(self, code: int) -> None:
        self.is_closed = True
        listener, self.listener = self.listener, None
        if listener is not None:
            listener.browser_closed(code)


class _FloodGuard:
    """Counts the peer's messages per second of their arrival."""

    __slots__ = ("_count", "_limit", "_second")

    def __init__(self, per_second_max: int) -> None:
        self._limit = per_second_max
        self._second = 0
        self._count = 0

    def is_flooded(self, now_ns: int) -> bool:
        """Count one message; return whether there were too many in this second."""
        # Fixed windows: at worst twice the limit around a boundary, for two integers of state.
        second = now_ns // 1_000_000_000
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        return self._count > self._limit
