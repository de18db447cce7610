"""Manages a caller's media path: frames on the control socket, or WebRTC beside it.

The browser makes offers and chooses the path; its voice is accepted from either. If the WebRTC
session is lost, the socket takes over by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from gateway.browser import messages as wire
from gateway.errors import OfferError
from gateway.limits.source import subject_of
from gateway.ports import (
    AudioEndpoint,
    AudioSession,
    MediaConnection,
    SessionQuality,
    SessionState,
)

OFFERS_MAX = 60
"""Offers accepted per socket; a browser whose network keeps changing makes one now and then."""
OFFER_EVERY_NS = 5_000_000_000
"""Time that gives a call one of them back once its socket is another one: who takes a call up again
and again makes no more."""

ALIVE_NS = 3_000_000_000
"""Silence after which a session no longer counts as alive: a browser sends 50 packets a second."""

Message = wire.Offer | wire.SelectPath | wire.Report


class CallerOutlet(Protocol):
    """Where the audio of this path comes from and goes to."""

    @property
    def take_packet(self) -> Callable[[int, int, bytes], None]:
        """The receiver of the sequence number, RTP timestamp and payload of each packet."""

    def hear_by_socket(self, browser: MediaConnection) -> None:
        """Send what the caller hears as frames on this socket."""

    def hear_by_session(self, session: AudioSession) -> None:
        """Send what the caller hears as packets of this session."""

    def press(self, digits: str, /) -> None:
        """Take keys that the caller pressed."""

    def tell(self, message: wire.GatewayMessage, /) -> None:
        """Tell the caller."""


class Network(NamedTuple):
    """What is known about the network between browser and gateway."""

    path: wire.Path
    rtt_ms: float | None
    report: wire.Report | None
    """The browser's newest measurements; None if it has reported nothing for a while."""
    session: SessionQuality | None
    """What arrived by WebRTC; None on the socket."""


class MediaPath:
    """One caller's media path, over all sockets and sessions of the call."""

    def __init__(
        self,
        endpoint: AudioEndpoint | None,
        browser: MediaConnection,
        sound: CallerOutlet,
    ) -> None:
        self._endpoint = endpoint
        self._browser: MediaConnection | None = browser
        self._sound = sound
        self._session: AudioSession | None = None
        self._next: AudioSession | None = None
        """The session that replaces the one in use once it is connected."""
        self._silent_ns = -1
        """When the session in use was last heard before its newest offer."""
        self._offers = 0
        self._refilled_ns = 0
        """When offers were given back; 0 for never, so that a call's second socket has them all."""
        self._report: wire.Report | None = None
        self.path: wire.Path = "websocket"

    @property
    def can_offer(self) -> bool:
        """Whether WebRTC offers are accepted here."""
        return self._endpoint is not None

    def take(self, message: Message) -> None:
        """Act on a message about the audio from the browser."""
        if isinstance(message, wire.Report):
            self._report = message
        elif isinstance(message, wire.SelectPath):
            self._select(message.path)
            self._sound.tell(wire.PathSelected(path=self.path))
        else:
            self._answer(message)

    def _answer(self, offer: wire.Offer) -> None:
        try:
            sdp = self._accept(offer.sdp)
        except OfferError as error:
            self._sound.tell(wire.OfferRefused(id=offer.id, code=error.code, message=str(error)))
        else:
            self._sound.tell(wire.Answer(id=offer.id, sdp=sdp))

    def _accept(self, sdp: str) -> str:
        self._offers += 1
        if self._endpoint is None or self._offers > OFFERS_MAX:
            raise OfferError("webrtc_off")
        if self._session is not None and self._session.state is SessionState.CONNECTED:
            try:
                answer = self._endpoint.restart(self._session, sdp)
            except OfferError as error:
                # An offer from another DTLS peer cannot restart this session: it gets a new one.
                if error.code != "other_peer":
                    raise
            else:
                # Until something newer arrives the new way has proved nothing; see `_is_heard`.
                self._silent_ns = self._session.last_in_ns
                return answer
        # Sessions that are being set up are bounded for each source.
        source = "" if self._browser is None else subject_of(self._browser.peer)
        session, answer = self._endpoint.accept(sdp, source)
        # Only the newest offer counts: the browser has given up the one before.
        if self._next is not None:
            self._next.close()
        self._next = session
        session.on_audio = self._sound.take_packet
        session.listener = self
        return answer

    # What the sessions tell.

    def pressed(self, digit: str, _duration_ms: int) -> None:
        """Take a key that the caller pressed."""
        self._sound.press(digit)

    def session_changed(self, session: AudioSession, state: SessionState) -> None:
        """Use a session that is connected; do without one that has ended."""
        if state is SessionState.CONNECTED and session is self._next:
            # The old session carries the audio until the new one is connected, so that nothing is
            # lost.
            old = self._session
            self._session = session
            self._next = None
            # A handshake that has just succeeded is proof enough that packets arrive.
            self._silent_ns = -1
            if self.path == "webrtc":
                self._sound.hear_by_session(session)
            # After the exchange: closing it must not count as losing the session in use.
            if old is not None:
                old.close()
        elif state in (SessionState.CLOSED, SessionState.FAILED):
            if session is self._next:
                self._next = None
            elif session is self._session:
                self._session = None
                self._fall_back()

    def _fall_back(self) -> None:
        if self.path == "webrtc":
            self._select("websocket")
            self._sound.tell(wire.PathSelected(path=self.path))

    def _select(self, path: wire.Path) -> None:
        session = self._session
        # If it is not heard the path stays as it is, and the reply says so.
        if path == "webrtc" and session is not None and self._is_heard(session):
            self._sound.hear_by_session(session)
            self.path = "webrtc"
        elif path == "websocket":
            # Without a socket there is nothing to send to yet; `socket_back` selects it once more.
            if self._browser is not None:
                self._sound.hear_by_socket(self._browser)
            self.path = "websocket"

    def _is_heard(self, session: AudioSession) -> bool:
        """Whether packets arrive on it: an ICE restart without packets has not helped."""
        is_connected = session.state is SessionState.CONNECTED
        return is_connected and session.last_in_ns > self._silent_ns

    def is_audible(self, read_ns: int) -> bool:
        """Whether the caller can speak and hear at all, by what has come until then."""
        if self.path == "websocket":
            return self._browser is not None
        session = self._session
        return session is not None and read_ns - session.last_in_ns < ALIVE_NS

    def socket_lost(self) -> None:
        """Note that the control socket is gone; a session may still carry the audio."""
        self._browser = None

    def socket_back(self, browser: MediaConnection, read_ns: int) -> None:
        """Another control socket has taken the call up."""
        self._browser = browser
        refill = (read_ns - self._refilled_ns) // OFFER_EVERY_NS
        self._offers = max(0, min(self._offers, OFFERS_MAX) - refill)
        self._refilled_ns += refill * OFFER_EVERY_NS
        # Where a session has carried the audio all along, only the control messages were missing.
        if not (self.path == "webrtc" and self.is_audible(read_ns)):
            self._select("websocket")

    def network(self) -> Network:
        """Return what is known now; to be called once a second."""
        # Each report is used once: an old one says nothing about this second.
        report, self._report = self._report, None
        session = self._session if self.path == "webrtc" else None
        quality = None if session is None else session.quality
        rtt_ms = None if quality is None else quality.rtt_ms
        if rtt_ms is None and report is not None:
            rtt_ms = report.rtt_ms
        return Network(path=self.path, rtt_ms=rtt_ms, report=report, session=quality)

    def close(self) -> None:
        """Close all sessions; the audio is over."""
        # No offer is accepted from here on.
        self._endpoint = None
        for session in (self._session, self._next):
            if session is not None:
                # Its end is wanted: nothing falls back to the socket.
                session.listener = None
                session.close()
        self._session = self._next = None
