"""Carries one browser's audio over ICE-lite and DTLS-SRTP: datagrams in, datagrams out.

Life of a session: a check with the right password latches the browser's address (RFC 8445); a DTLS
handshake from there proves the certificate of its offer (RFC 8842); its keys let audio and reports
pass (RFC 3711). Unauthenticated input changes nothing and gets no reply.

Datagrams leave through its host; times are nanoseconds of the caller's monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pylibsrtp import Error as SrtpError

from gateway.limits.frame_budget import FLOODED, BudgetLimits, FrameBudget
from gateway.ports import SessionListener, SessionQuality, SessionState
from gateway.webrtc.dtls import DtlsContext, DtlsServer, DtlsState, SrtpKeys
from gateway.webrtc.host import Address, Credentials, Host, SessionTimeouts
from gateway.webrtc.outgoing import OutgoingStream, RtpStart
from gateway.webrtc.sdp import SdpOffer
from gateway.webrtc.srtp import SrtpTransport
from gateway.webrtc.stun import (
    ROLE_CONFLICT,
    UNKNOWN_ATTRIBUTE,
    BindingRequest,
    binding_error,
    binding_success,
    read_request,
)
from media import rtcp, rtp

if TYPE_CHECKING:
    from gateway.webrtc._native import Line

PAYLOAD_BYTES_MAX: Final = 960
"""120 ms of mu-law: the longest packet a browser sends, well within a datagram."""
ADDRESSES_MAX: Final = 8
"""Addresses latched per browser: its networks, before and after a change."""
PACKETS: Final = BudgetLimits()
"""Authenticated packets: a browser that keeps exceeding this loses its session."""
DATAGRAMS: Final = BudgetLimits(frame_ns=2_000_000, burst_frames=1_000)
"""Media before authentication, which takes 5 us each. Address forgers can use it up."""
HANDSHAKES: Final = BudgetLimits(frame_ns=20_000_000, burst_frames=200)
"""Authenticated checks, and DTLS. Browsers check each pair every 50 ms, then every 2.5 s."""
REPORT_INTERVAL_NS: Final = 1_000_000_000
RTT_GUESS_NS: Final = 60_000_000
"""Assumed until a report shows the round trip."""
_TICKS_PER_MS: Final = 8
_NS_PER_MS: Final = 1_000_000
_ENDED: Final = frozenset({SessionState.CLOSED, SessionState.FAILED})


class WebRtcSession:
    """One browser's audio in both directions."""

    __slots__ = (
        "_asking_until_ns",
        "_checked_ns",
        "_credentials",
        "_datagrams",
        "_dtls",
        "_end_ns",
        "_events",
        "_excess",
        "_handshakes",
        "_host",
        "_lsr",
        "_lsr_ns",
        "_nacks",
        "_next_credentials",
        "_out",
        "_packets",
        "_payload_type",
        "_report_ns",
        "_srtp",
        "_stream",
        "_telephone_event",
        "_timeouts",
        "address",
        "addresses",
        "last_in_ns",
        "line",
        "listener",
        "media_rtt_ns",
        "on_audio",
        "packets_in",
        "remote_report",
        "state",
        "statistics",
        "wrong_source",
    )

    def __init__(
        self,
        host: Host[WebRtcSession],
        context: DtlsContext,
        offer: SdpOffer,
        *,
        credentials: Credentials,
        start: RtpStart,
        timeouts: SessionTimeouts,
        now_ns: int,
    ) -> None:
        self.on_audio: Callable[[int, int, bytes], None] = _ignore
        """Called with sequence number, timestamp and mu-law payload of each packet on arrival."""
        self.listener: SessionListener | None = None
        """Told of digits, once of CONNECTED, and once of CLOSED or FAILED."""
        self.state = SessionState.NEW
        self._payload_type, self._telephone_event = offer.payload_type, offer.telephone_event
        self.address: Address | None = None
        """Where we send to: the last nominated address, until then the first one checked."""
        self.addresses: tuple[Address, ...] = ()
        """Sources from which DTLS and media are accepted, by their last check."""
        self.last_in_ns = now_ns
        """When the last authenticated datagram arrived: a check, audio or a report."""
        self.statistics = rtp.ReceiveStatistics()
        self.remote_report: rtcp.ReportBlock | None = None
        """The browser's last report on our stream: loss and jitter."""
        self.media_rtt_ns: int | None = None
        """Round trip by the browser's last report."""
        self.packets_in = self._excess = 0
        self.wrong_source = 0
        """Datagrams from an address without a check."""
        self.line: Line | None = None
        """Carries the audio of the source that is heard, and ours, where that is compiled."""
        self._packets, self._datagrams = FrameBudget(PACKETS), FrameBudget(DATAGRAMS)
        self._handshakes = FrameBudget(HANDSHAKES)
        self._host = host
        self._timeouts = timeouts
        self._credentials = credentials
        self._next_credentials: Credentials | None = None
        self._dtls: DtlsServer = DtlsServer(context, offer.fingerprints)
        self._srtp: SrtpTransport | None = None
        self._out: SrtpTransport | None = None  # it too, while our audio may pass
        self._checked_ns = now_ns
        self._end_ns = now_ns + timeouts.connect_ns
        self._report_ns = 0
        self._stream = OutgoingStream(start)
        self._events: rtp.TelephoneEvents | None = None  # made with the first key
        self._nacks = rtp.NackList() if offer.has_nack else None
        self._asking_until_ns = 0
        self._lsr = self._lsr_ns = 0

    @property
    def ssrc(self) -> int:
        """The SSRC of our stream."""
        return self._stream.ssrc

    @property
    def cname(self) -> str:
        """The canonical name of our stream."""
        return self._stream.cname

    @property
    def packets_out(self) -> int:
        """Packets of audio sent."""
        return self._stream.packets

    @property
    def bad_packets(self) -> int:
        """Packets from a latched address that failed authentication."""
        return 0 if self._srtp is None else self._srtp.bad_packets

    @property
    def replayed(self) -> int:
        """Packets that had arrived before."""
        return 0 if self._srtp is None else self._srtp.replayed

    @property
    def excess(self) -> int:
        """Datagrams dropped because there were too many."""
        return self._excess + (0 if self.line is None else self.line.excess)

    @property
    def quality(self) -> SessionQuality:
        """What the network has done to the browser's stream."""
        rtt_ns = self.media_rtt_ns
        return SessionQuality(
            packets=self.statistics.received,
            lost=self.statistics.lost,
            jitter_ms=self.statistics.jitter / _TICKS_PER_MS,
            rtt_ms=None if rtt_ns is None else rtt_ns / _NS_PER_MS,
        )

    def send_audio(self, payload: bytes, timestamp_ms: int | None = None) -> None:
        """Send one packet of mu-law at once; do nothing unless connected.

        Args:
            payload: At most PAYLOAD_BYTES_MAX; a longer one is not sent.
            timestamp_ms: When its audio was captured, on a clock of any origin, so that gaps stay
                visible; None if it follows what was sent before.

        """
        out = self._out
        if out is None or len(payload) > PAYLOAD_BYTES_MAX:
            return
        assert self.address is not None
        stream = self._stream
        kind = self._payload_type
        line = self.line
        marker = stream.advance(len(payload), timestamp_ms)
        sequence = stream.sequence
        timestamp = stream.timestamp
        ssrc = stream.ssrc
        try:
            if line is None:
                header = rtp.pack(kind, marker, sequence, timestamp, ssrc)
                self._host.send(out.protect(header + payload), self.address)
            else:
                kind = kind | rtp.MARKER if marker else kind
                if not line.send(kind, sequence, timestamp, ssrc, payload):
                    self._host.not_sent()
        except SrtpError:  # 2**48 packets, or no memory: must not break the audio path
            self._end(SessionState.FAILED)

    def close(self) -> None:
        """Tell the browser that the session ends, and end it; repeating is harmless."""
        if self.state is SessionState.CONNECTED:
            self._send_rtcp(rtcp.bye(self.ssrc))
            self._send_all(self._dtls.close(), self.address)
        self._end(SessionState.CLOSED)

    @property
    def ufrags(self) -> list[str]:
        """The fragments that checks may name: one, or two during an ICE restart."""
        both = (self._credentials, self._next_credentials)
        return [credentials.ufrag for credentials in both if credentials is not None]

    def restart(self, offer: SdpOffer, credentials: Credentials) -> None:
        """Accept checks with new credentials too; the old ones end at the new nomination.

        RFC 8445, 9: the path changes, the DTLS association and the stream go on. The offer must be
        from the same browser: its fingerprints are those of the first.
        """
        if self._next_credentials is not None:
            self._host.retire(self._next_credentials.ufrag)
        self._next_credentials = credentials
        self._payload_type, self._telephone_event = offer.payload_type, offer.telephone_event

    def receive_check(self, datagram: bytes, ufrag: str, address: Address, now_ns: int) -> bool:
        """Answer a connectivity check; return False if it was not made with our password.

        Args:
            datagram: A STUN message.
            ufrag: Our fragment in its user name, by which this session was found.
            address: Its source; latched if the check is valid.
            now_ns: Now.

        """
        credentials = self._credentials
        following = self._next_credentials
        if following is not None and ufrag == following.ufrag:
            credentials = following
        password = credentials.password.encode()
        request = read_request(datagram, password)
        if request is None or self.state in _ENDED:
            return False
        # The password is ours; the other fragment ties the check to the offer that we answered.
        if (request.local_ufrag, request.remote_ufrag) != (ufrag, credentials.remote_ufrag):
            return False
        if self._handshakes.spend(now_ns, 1):
            self._excess += 1
        elif not request.is_controlling:
            # RFC 8445, 6.1.1: a lite agent is controlled; a full one that is wrong switches role.
            refusal = binding_error(request, ROLE_CONFLICT, "Role Conflict", password)
            self._host.send(refusal, address)
        elif request.unknown:
            refusal = binding_error(request, UNKNOWN_ATTRIBUTE, "Unknown Attribute", password)
            self._host.send(refusal, address)
        else:
            self._host.send(binding_success(request, (address[0], address[1]), password), address)
            self._take_check(request, credentials, address, now_ns)
        return True

    def _take_check(
        self, request: BindingRequest, credentials: Credentials, address: Address, now_ns: int
    ) -> None:
        self._checked_ns = self.last_in_ns = now_ns
        # To the end: the first one is then the one checked longest ago.
        self.addresses = (*(other for other in self.addresses if other != address), address)
        self._host.latch(self, address)
        # Before the nomination (RFC 8445, 7.3.1.5) any checked address serves for the handshake.
        if self.address is None or request.use_candidate:
            self.address = address
            self._aim()
        # Only now: until the new path is nominated the old one carries the call (RFC 8445, 9).
        if request.use_candidate and credentials is self._next_credentials:
            self._host.retire(self._credentials.ufrag)
            self._credentials = credentials
            self._next_credentials = None
        if len(self.addresses) > ADDRESSES_MAX:
            oldest = next(other for other in self.addresses if other != self.address)
            self.addresses = tuple(other for other in self.addresses if other != oldest)
            self._host.unlatch(self, oldest)
        if self.state is SessionState.NEW:
            self.state = SessionState.CHECKED

    def receive_dtls(self, datagram: bytes, address: Address, now_ns: int) -> None:
        """Take a DTLS datagram in, and answer it."""
        if address not in self.addresses or self.state in _ENDED:
            self.wrong_source += 1
            return
        # One budget with the checks: both are rare, and cost far more than a packet of audio.
        if self._handshakes.spend(now_ns, 1):
            self._excess += 1
            return
        if self.state is SessionState.CHECKED:
            self.state = SessionState.SECURING
        self._send_all(self._dtls.receive(datagram, now_ns), address)
        dtls_state = self._dtls.state
        if dtls_state is DtlsState.CLOSED:
            self._end(SessionState.CLOSED)
        elif dtls_state is DtlsState.FAILED:
            self._end(SessionState.FAILED)
        elif self._dtls.keys is not None and self.state is SessionState.SECURING:
            self._connect(self._dtls.keys, now_ns)

    def _aim(self) -> None:
        if self.line is not None and self.address is not None:
            self._host.aim(self.line, self.address)

    def _connect(self, keys: SrtpKeys, now_ns: int) -> None:
        self._srtp = self._out = transport = SrtpTransport(keys, self.ssrc)
        self.line = self._host.make_line(self, transport)
        self._aim()
        # libsrtp has them now, and nothing else needs them.
        self._dtls.keys = None
        # The SSRC is random and so spreads the reports of calls that began together.
        self._report_ns = now_ns + self.ssrc % REPORT_INTERVAL_NS
        self.state = SessionState.CONNECTED
        self._host.connected(self)
        if self.listener is not None:
            self.listener.session_changed(self, SessionState.CONNECTED)

    def receive_media(self, datagram: bytes, address: Address, now_ns: int) -> None:
        """Take an SRTP or SRTCP packet; one that fails authentication is only counted."""
        if address not in self.addresses:
            self.wrong_source += 1
            return
        if self._datagrams.spend(now_ns, 1):
            self._excess += 1
            return
        if rtcp.is_rtcp(datagram):
            self._receive_rtcp(datagram, now_ns)
            return
        srtp = self._srtp
        plain = None if srtp is None else srtp.unprotect(datagram)
        if plain is None:
            return
        packet = rtp.parse(plain)
        if packet is None or not self._is_taken(now_ns):
            return
        payload_type, _, sequence, timestamp, ssrc, payload = packet
        # A track that the page replaces has an SSRC of its own.
        if ssrc != self.statistics.ssrc:
            self._begin_source(ssrc)
        self._hear(payload_type, sequence, timestamp, payload, now_ns)

    def take_packet(
        self, payload_type: int, sequence: int, timestamp: int, payload: bytes, now_ns: int
    ) -> None:
        """Take an authenticated packet of the source that is heard; the line calls this."""
        if self._is_taken(now_ns):
            self._hear(payload_type, sequence, timestamp, payload, now_ns)

    def packet_refused(self, status: int) -> None:
        """Count a packet for which libsrtp returned this error; the line calls this."""
        if self._srtp is not None:
            self._srtp.count_refused(status)

    def _hear(
        self, payload_type: int, sequence: int, timestamp: int, payload: bytes, now_ns: int
    ) -> None:
        self.last_in_ns = now_ns
        is_audio = payload_type == self._payload_type
        self.packets_in += 1
        self.statistics.feed(sequence, timestamp if is_audio else None, now_ns)
        if self._nacks is not None and self._nacks.received(sequence):
            self._asking_until_ns = now_ns + rtp.NACK_AGE_NS_MAX
        if now_ns < self._asking_until_ns:
            self._ask_again(now_ns)
        if is_audio:
            if 0 < len(payload) <= PAYLOAD_BYTES_MAX:
                self.on_audio(sequence, timestamp, payload)
        elif payload_type == self._telephone_event:
            self._take_event(timestamp, payload)

    def _is_taken(self, now_ns: int) -> bool:
        """Count an authenticated packet; drop it, or end the session, if there are too many."""
        verdict = self._packets.spend(now_ns, 1)
        if verdict:
            self._excess += 1
            if verdict == FLOODED:
                self._end(SessionState.FAILED)
        return not verdict

    def _begin_source(self, ssrc: int) -> None:
        """Listen to another source; the first authenticated packet completes DTLS too."""
        self._dtls.confirm_last_flight()
        self.statistics.reset(ssrc)
        if self.line is not None:
            self.line.hear(ssrc)
        self._events = None
        if self._nacks is not None:
            self._nacks = rtp.NackList()

    def _ask_again(self, now_ns: int) -> None:
        """Request missing packets (RFC 4585): at once, then once per round trip."""
        nacks = self._nacks
        source = self.statistics.ssrc
        if nacks is not None and source is not None:
            missing = nacks.due(now_ns, self.media_rtt_ns or RTT_GUESS_NS)
            if missing:
                self._send_rtcp(rtcp.nack(self.ssrc, source, missing))

    def _take_event(self, timestamp: int, payload: bytes) -> None:
        self._events = events = self._events or rtp.TelephoneEvents()
        self._tell_digit(events.feed(timestamp, payload))

    def _tell_digit(self, digit: tuple[str, int] | None) -> None:
        if digit is not None and self.listener is not None:
            self.listener.pressed(*digit)

    def _receive_rtcp(self, datagram: bytes, now_ns: int) -> None:
        srtp = self._srtp
        compound = None if srtp is None else srtp.unprotect_rtcp(datagram)
        if compound is None or not self._is_taken(now_ns):
            return
        self.last_in_ns = now_ns
        self._dtls.confirm_last_flight()
        for event in rtcp.parse(compound):
            if isinstance(event, rtcp.SenderReport):
                self._lsr = event.ntp_middle
                self._lsr_ns = now_ns
            elif isinstance(event, rtcp.ReportBlock):
                if event.ssrc == self.ssrc:
                    self.remote_report = event
                    # Until the browser has had a report of ours there is nothing to measure by.
                    self.media_rtt_ns = rtcp.round_trip_ns(event, now_ns) or self.media_rtt_ns
            elif isinstance(event, rtcp.Bye) and event.ssrc == self.statistics.ssrc:
                self._send_all(self._dtls.close(), self.address)
                self._end(SessionState.CLOSED)
                return

    def tick(self, now_ns: int, unread_ns: int = 0) -> None:
        """Do what has become due, some ten times a second; the last `unread_ns` are yet unread."""
        if self.state is SessionState.CONNECTED:
            # RFC 7675, 5.1: audio is no consent, only a check is.
            if now_ns - unread_ns - self._checked_ns >= self._timeouts.consent_ns:
                self._end(SessionState.FAILED)
                return
            if now_ns >= self._report_ns:
                self._report(now_ns)
            if now_ns < self._asking_until_ns:
                self._ask_again(now_ns)
            if self._events is not None:
                self._tell_digit(self._events.flush(now_ns))
        elif now_ns - unread_ns >= self._end_ns:
            self._end(SessionState.FAILED)
        elif self.state is SessionState.SECURING:
            self._send_all(self._dtls.repeat(now_ns), self.address)

    def _report(self, now_ns: int) -> None:
        """Report what we have sent and received (RFC 3550, 6.4)."""
        # Late by more than an interval, one report is sent and not all that are owed.
        self._report_ns = max(self._report_ns + REPORT_INTERVAL_NS, now_ns)
        block = rtcp.report_block(
            self.statistics, lsr=self._lsr, since_lsr_ns=now_ns - self._lsr_ns
        )
        self._protect_and_send(self._stream.report(block, now_ns))

    def _send_rtcp(self, packet: bytes) -> None:
        """Send a packet that is not a report behind an empty one (RFC 3550, 6.1)."""
        self._protect_and_send(self._stream.behind_report(packet))

    def _protect_and_send(self, compound: bytes) -> None:
        if self._srtp is not None and self.address is not None:
            self._host.send(self._srtp.protect_rtcp(compound), self.address)

    def _send_all(self, datagrams: tuple[bytes, ...], address: Address | None) -> None:
        for datagram in datagrams:
            if address is not None:
                self._host.send(datagram, address)

    def _end(self, state: SessionState) -> None:
        if self.state in _ENDED:
            return
        self.state = state
        self._out = None
        self._dtls.close()
        self._host.forget(self)  # before the addresses go, which it unlatches
        self.addresses = ()
        if self.line is not None:
            self.line.close()
        # The listener and the line hold us; breaking the cycle frees all without a full collection.
        listener, self.listener = self.listener, None
        self.on_audio = _ignore
        if listener is not None:
            listener.session_changed(self, state)


def _ignore(*_: object) -> None:
    """Discard audio while there is no listener."""
