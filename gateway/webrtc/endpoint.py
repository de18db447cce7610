"""Serves the audio of all browsers of a node on one UDP port.

A datagram is routed to its session by the user name fragment of a connectivity check, or by the
address that such a check has latched (RFC 7983, 7). Everything else is dropped without a reply.
There is no timer: `tick` must be called some ten times a second.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from gateway.errors import OfferError
from gateway.nanoseconds import SECOND_NS
from gateway.ports import AudioSession, SessionState
from gateway.webrtc import direct
from gateway.webrtc.dtls import DtlsContext, Identity
from gateway.webrtc.host import Address, Credentials, SessionTimeouts
from gateway.webrtc.outgoing import RtpStart
from gateway.webrtc.port import UdpPort
from gateway.webrtc.sdp import SdpAnswer, SdpOffer, parse_offer, write_answer
from gateway.webrtc.session import DATAGRAMS, WebRtcSession
from gateway.webrtc.srtp import SrtpTransport
from gateway.webrtc.stun import username_of
from gateway.webrtc.udp import bind, drops, family_of

if TYPE_CHECKING:
    from gateway.webrtc._native import Line

log = structlog.get_logger(__name__)

DATAGRAM_BYTES_MAX: Final = 1_500
"""Capacity of libsrtp's buffers; a browser sends 1,200."""
ADDRESS_HELD_NS: Final = 6 * SECOND_NS
"""An address stays with its session for this long after it was last heard.

Browsers check every 2.5 s, so one lost check does not free it.
"""


@dataclass(frozen=True, slots=True)
class EndpointLimits:
    """What one browser, and all browsers together, may take from the process."""

    sessions_max: int = 4_096
    pending_max: int = 512
    """Sessions not connected yet. One takes up to 100 KiB during its handshake."""
    pending_per_source_max: int = 16
    """The same, per source of offers."""
    connect_timeout_ns: int = 10 * SECOND_NS
    """From the offer to the end of the handshake."""
    consent_timeout_ns: int = 30 * SECOND_NS
    """Longest time without a check, once connected (RFC 7675, 5.1)."""


@dataclass(slots=True)
class EndpointCounters:
    """What has happened since the endpoint was created."""

    datagrams: int = 0
    """Received, of any kind; without the audio that lines carry."""
    unknown_source: int = 0
    """DTLS and media from addresses that no check has latched."""
    unknown_ufrag: int = 0
    """STUN that is not a request, or not addressed to a session here."""
    bad_integrity: int = 0
    """Requests not made with our password."""
    held_address: int = 0
    """Checks from an address that belongs to another live session."""
    alien: int = 0
    """Datagrams of an unknown protocol, or too large."""
    unsent: int = 0
    """Datagrams that the kernel did not accept."""
    connected: int = 0
    closed: int = 0
    failed: int = 0
    handler_faults: int = 0
    """Exceptions raised by a session's callbacks."""


class WebRtcEndpoint:
    """The sessions of one node, and the port they share."""

    def __init__(
        self,
        *,
        addresses: Sequence[str],
        port: int = 0,
        host: str = "",
        ptime_ms: int = 20,
        limits: EndpointLimits | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Create an endpoint that is not listening yet.

        Args:
            addresses: Advertised to browsers, IPv4 or IPv6, the best first.
            port: UDP port to bind; 0 lets the kernel choose.
            host: Address to bind. If empty, in each family the advertised one, or all addresses if
                several or none are this machine's own, as behind a NAT.
            ptime_ms: Packet length that browsers are asked for.
            limits: Bounds of number and time.
            clock_ns: Monotonic nanoseconds.
            wall_clock: Time for the certificate.

        """
        self.limits = limits or EndpointLimits()
        self.counters = EndpointCounters()
        self._addresses = tuple(addresses)
        self._host = host
        self._port = port
        self._ptime_ms = ptime_ms
        self._clock_ns = clock_ns
        self._wall_clock = wall_clock
        self._identity = Identity()
        self._context: DtlsContext | None = None
        self._timeouts = SessionTimeouts(
            self.limits.connect_timeout_ns, self.limits.consent_timeout_ns
        )
        self._ports: dict[int, UdpPort] = {}
        """By the number of fields in a socket address: 2 for IPv4, 4 for IPv6."""
        self._inodes: set[str] = set()
        self._sessions: dict[WebRtcSession, _Entry] = {}
        self._by_ufrag: dict[str, WebRtcSession] = {}
        self._by_address: dict[Address, WebRtcSession] = {}
        self._pending: dict[WebRtcSession, str] = {}
        """Sessions not connected yet, with the source of each."""
        self._pending_of: Counter[str] = Counter()

    # -- the port ----------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port in use; the one chosen by the kernel if 0 was requested."""
        return self._port

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The port cannot be bound.

        """
        try:
            for family, host in self._hosts():
                self._listen(family, host)
        except OSError:
            self.stop()
            raise

    def _listen(self, family: socket.AddressFamily, host: str) -> None:
        bound = bind(family, host, self._port, is_fixed=bool(self._host))
        # Where the kernel chose, the second family takes the same: answers name one port.
        self._port = bound.getsockname()[1]
        # The rows of our sockets in `/proc/net/udp` are found by it.
        self._inodes.add(str(os.fstat(bound.fileno()).st_ino))
        self._ports[4 if family == socket.AF_INET6 else 2] = UdpPort(
            bound,
            DATAGRAM_BYTES_MAX,
            self.take,
            failed=self._count_fault,
            clock_ns=self._clock_ns,
        )

    def _hosts(self) -> Iterator[tuple[socket.AddressFamily, str]]:
        """Yield what to bind: the host named, or each advertised family."""
        if self._host:
            yield family_of(self._host), self._host
            return
        for family in sorted({family_of(address) for address in self._addresses}):
            own = [address for address in self._addresses if family_of(address) == family]
            yield family, own[0] if len(own) == 1 else ""

    def stop(self) -> None:
        """Close all sessions, each with a BYE and close_notify, and the port."""
        # Sessions first, since their farewells leave by the port; a copy, since each removes
        # itself.
        for session in tuple(self._sessions):
            self._guarded(session.close)
        for port in self._ports.values():
            port.close()
        self._ports.clear()
        self._inodes.clear()

    @property
    def ports(self) -> Sequence[UdpPort]:
        """The bound sockets, one per family, whose reading can be paced."""
        return tuple(self._ports.values())

    def kernel_drops(self) -> int:
        """Return how many datagrams the kernel has dropped because we read too slowly.

        Known on Linux only; elsewhere 0.
        """
        return sum(drops(path, self._inodes) for path in ("/proc/net/udp", "/proc/net/udp6"))

    # -- sessions ----------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def pending(self) -> int:
        """Sessions not connected yet."""
        return len(self._pending)

    def accept(self, offer_sdp: str, source: str = "") -> tuple[WebRtcSession, str]:
        """Create a session for a browser's offer; return it with the answer.

        Args:
            offer_sdp: As the browser sent it.
            source: The requester: an account or an address; its pending sessions are bounded.

        Raises:
            OfferError: The offer cannot be answered.

        """
        # Before the offer is parsed: a refusal has to be cheap.
        self._check_room(source)
        offer = parse_offer(offer_sdp)
        context = self._current_context()
        credentials = _make_credentials(offer)
        session = WebRtcSession(
            self,
            context,
            offer,
            credentials=credentials,
            start=RtpStart(
                ssrc=secrets.randbits(32),
                sequence=secrets.randbits(15),
                timestamp=secrets.randbits(32),
                cname=secrets.token_urlsafe(12),
            ),
            timeouts=self._timeouts,
            now_ns=self._clock_ns(),
        )
        own = context.certificate.fingerprint
        entry = _Entry(secrets.randbits(62), own, offer.fingerprints)
        self._sessions[session] = entry
        self._pending[session] = source
        self._pending_of[source] += 1
        return session, self._answer(session, offer, entry, credentials)

    def restart(self, session: AudioSession, offer_sdp: str) -> str:
        """Answer a live session's new offer with new ICE credentials (RFC 8445, 9).

        Raises:
            OfferError: The offer cannot be answered, or not by this session: it has ended, or the
                offer is from another browser (`session_ended`, `other_peer`).

        """
        offer = parse_offer(offer_sdp)
        if not isinstance(session, WebRtcSession) or (entry := self._sessions.get(session)) is None:
            raise OfferError("session_ended")
        # The DTLS association goes on across a restart, so the certificate has to be the same.
        if set(offer.fingerprints) != set(entry.of_browser):
            raise OfferError("other_peer")
        credentials = _make_credentials(offer)
        session.restart(offer, credentials)
        # The certificate stays the one of the first answer, even if a new one was made since.
        entry.version += 1
        return self._answer(session, offer, entry, credentials)

    def tick(self, now_ns: int, read_ns: int | None = None) -> None:
        """Do what has become due: repeated flights, reports, and the ends of those not heard.

        `read_ns` is until when all that has come has been read, None for now.
        """
        # What lies unread after a standstill of this process is no silence of the browser's.
        unread_ns = 0 if read_ns is None else now_ns - read_ns
        for session in tuple(self._sessions):
            self._guarded(session.tick, now_ns, unread_ns)

    def _check_room(self, source: str) -> None:
        limits = self.limits
        if len(self._sessions) >= limits.sessions_max:
            raise OfferError("sessions_full")
        if len(self._pending) >= limits.pending_max:
            raise OfferError("pending_full")
        # An empty source is unknown, and bounded by the sum only.
        if source and self._pending_of[source] >= limits.pending_per_source_max:
            raise OfferError("source_full")

    def _current_context(self) -> DtlsContext:
        certificate = self._identity.current(self._wall_clock())
        # One OpenSSL context for all handshakes of a certificate; older sessions hold theirs.
        if self._context is None or self._context.certificate is not certificate:
            self._context = DtlsContext(certificate)
        return self._context

    def _answer(
        self, session: WebRtcSession, offer: SdpOffer, entry: _Entry, credentials: Credentials
    ) -> str:
        # Before the answer leaves: the checks that it brings about find the session.
        self._by_ufrag[credentials.ufrag] = session
        answer = SdpAnswer(
            session_id=entry.session_id,
            ufrag=credentials.ufrag,
            password=credentials.password,
            fingerprint=entry.fingerprint,
            candidates=[(address, self._port) for address in self._addresses],
            ssrc=session.ssrc,
            cname=session.cname,
            ptime_ms=self._ptime_ms,
            version=entry.version,
        )
        return write_answer(offer, answer)

    # -- what arrives ------------------------------------------------------------------------

    def take(self, datagram: bytes, address: Address) -> None:
        """Take a datagram from the port; never raises."""
        try:
            self.receive(datagram, address, self._clock_ns())
        # The port reads a batch: what follows belongs to other calls.
        except Exception as error:
            self._count_fault(error)

    def receive(self, datagram: bytes, address: Address, now_ns: int) -> None:
        """Pass a datagram to its session, or drop it."""
        self.counters.datagrams += 1
        first = datagram[0] if 0 < len(datagram) <= DATAGRAM_BYTES_MAX else -1
        # RFC 7983, 7: the first byte tells the protocol. Audio comes first, being nearly
        # everything.
        if 128 <= first < 192:
            session = self._by_address.get(address)
            if session is None:
                self.counters.unknown_source += 1
            else:
                session.receive_media(datagram, address, now_ns)
        elif 20 <= first < 64:
            session = self._by_address.get(address)
            if session is None:
                self.counters.unknown_source += 1
            else:
                session.receive_dtls(datagram, address, now_ns)
        elif 0 <= first < 4:
            self._receive_check(datagram, address, now_ns)
        else:
            self.counters.alien += 1

    def _receive_check(self, datagram: bytes, address: Address, now_ns: int) -> None:
        # By fragment, not by address: the address is what a check is about to prove.
        ufrag = (username_of(datagram) or "").partition(":")[0]
        session = self._by_ufrag.get(ufrag)
        if session is None:
            self.counters.unknown_ufrag += 1
            return
        holder = self._by_address.get(address, session)
        # An address may pass on, as NATs hand out mappings of clients that have gone.
        if holder is not session and now_ns - holder.last_in_ns < ADDRESS_HELD_NS:
            # A browser with a forged address must not divert another's audio.
            self.counters.held_address += 1
        elif not session.receive_check(datagram, ufrag, address, now_ns):
            self.counters.bad_integrity += 1

    def _guarded(self, action: Callable[..., None], *arguments: object) -> None:
        """Call a function; one session's failure must not end the others."""
        try:
            action(*arguments)
        except Exception as error:
            self._count_fault(error)

    def _count_fault(self, error: Exception) -> None:
        self.counters.handler_faults += 1
        faults = self.counters.handler_faults
        log.error("webrtc session handler failed", faults=faults, exc_info=error)

    # -- what a session asks of its host -----------------------------------------------------

    def send(self, datagram: bytes, address: Address) -> None:
        """Send a datagram now or never: audio that waits is useless."""
        port = self._ports.get(len(address))
        if port is None or not port.send(datagram, address):
            self.not_sent()

    def not_sent(self) -> None:
        """Count a datagram that the kernel did not accept."""
        self.counters.unsent += 1

    def make_line(self, session: WebRtcSession, transport: SrtpTransport) -> Line | None:
        """Return what carries the session's audio past Python; None where that is not compiled."""
        # Without a port nothing would come to it.
        return direct.make_line(session, transport, DATAGRAMS) if self._ports else None

    def aim(self, line: Line, address: Address) -> None:
        """Let a line send to this address."""
        port = self._ports.get(len(address))
        if port is not None:
            port.aim(line, address)

    def latch(self, session: WebRtcSession, address: Address) -> None:
        """Route datagrams from this address to the session."""
        self._by_address[address] = session
        self._route(address, session.line)

    def unlatch(self, session: WebRtcSession, address: Address) -> None:
        """Undo that, unless the address has become another session's."""
        if self._by_address.get(address) is session:
            del self._by_address[address]
            self._route(address, None)

    def _route(self, address: Address, line: Line | None) -> None:
        port = self._ports.get(len(address))
        if port is not None:
            port.route(address, line)

    def retire(self, ufrag: str) -> None:
        """Forget a fragment that a restart has replaced."""
        self._by_ufrag.pop(ufrag, None)

    def connected(self, session: WebRtcSession) -> None:
        """Count a session as connected: it was pending until now."""
        self.counters.connected += 1
        self._leave_pending(session)
        for address in session.addresses:
            # Another session may have latched it since.
            if self._by_address.get(address) is session:
                self._route(address, session.line)

    def forget(self, session: WebRtcSession) -> None:
        """Forget a session that has ended."""
        # A session ends once, so a KeyError here is a fault of the session.
        del self._sessions[session]
        if session.state is SessionState.FAILED:
            self.counters.failed += 1
        else:
            self.counters.closed += 1
        self._leave_pending(session)
        for ufrag in session.ufrags:
            self.retire(ufrag)
        for address in session.addresses:
            self.unlatch(session, address)

    def _leave_pending(self, session: WebRtcSession) -> None:
        source = self._pending.pop(session, None)
        if source is not None:
            self._pending_of[source] -= 1
            # Or the counter would keep every source that there ever was.
            if not self._pending_of[source]:
                del self._pending_of[source]


@dataclass(slots=True)
class _Entry:
    """What all answers of one session share."""

    session_id: int
    fingerprint: str
    """Of our certificate."""
    of_browser: tuple[tuple[str, str], ...]
    """The browser's fingerprints, by its first offer."""
    version: int = 1


def _make_credentials(offer: SdpOffer) -> Credentials:
    # RFC 8445, 5.3: at least 24 random bits in the fragment and 128 in the password.
    return Credentials(secrets.token_hex(8), secrets.token_hex(16), offer.ufrag)
