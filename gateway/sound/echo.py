"""Sends what a caller says back to them, by whichever path it comes.

Shared by the line check and the echo call of a test key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.browser import messages as wire
from gateway.browser.leg import BrowserLeg
from gateway.heartbeat.ticker import Ticker
from gateway.ports import AudioEndpoint, AudioSession, MediaConnection
from gateway.sound.directions import FRAME_BYTES
from gateway.sound.media_path import MediaPath
from media.vad import TalkDetector


class Echo:
    """One caller who hears themselves."""

    def __init__(self, leg: BrowserLeg, endpoint: AudioEndpoint | None, ticker: Ticker) -> None:
        self._leg: Final = leg
        self._ticker: Final = ticker
        self._talk: Final = TalkDetector()
        self._send: Callable[[bytes], None] = leg.connection.send_audio_binary
        self._path: Final = MediaPath(endpoint, leg.connection, self)

    def hear_by_socket(self, browser: MediaConnection) -> None:
        """Echo on the socket from now on."""
        self._send = browser.send_audio_binary

    def hear_by_session(self, session: AudioSession) -> None:
        """Echo by WebRTC from now on."""
        self._send = session.send_audio

    def press(self, digits: str) -> None:
        """Discard keys: there is no phone to hear them."""

    def tell(self, message: wire.GatewayMessage) -> None:
        """Tell the caller."""
        self._leg.send(message)

    def browser_closed(self, _code: int) -> None:
        """Note that the caller is gone."""
        self._over()

    def take_packet(self, _sequence: int, _timestamp: int, payload: bytes) -> None:
        """Take the caller's packet from WebRTC; one that is not whole frames is dropped."""
        # On the socket a frame of a wrong size is a fault of the program.
        if payload and not len(payload) % FRAME_BYTES:
            self._echo(payload)

    def _frame(self, payload: bytes) -> None:
        if payload and not len(payload) % FRAME_BYTES:
            self._echo(payload)
        else:
            self._leg.refuse("bad_message")

    def _echo(self, payload: bytes) -> None:
        """Send whole frames back."""
        # Before they are judged, as a call forwards first.
        self._send(payload)
        self._talk.feed(payload)

    def _over(self) -> None:
        """End, once only, whichever of its ends comes first."""
        raise NotImplementedError

    def _let_go(self) -> None:
        """Hear the caller no more."""
        self._leg.listener = None
        self._leg.take_audio(None)
        self._path.close()
