"""Protects and unprotects one peer's SRTP and SRTCP (RFC 3711, RFC 7714) with libsrtp.

Unauthenticated packets do not pass. Not thread-safe: all peers share the buffer in which libsrtp
works.
"""

from __future__ import annotations

from typing import Any, Final

from pylibsrtp import Error, Policy
from pylibsrtp._binding import ffi, lib

from gateway.webrtc.dtls import SrtpKeys

REPLAY_WINDOW: Final = 128
"""Packets (RFC 3711, 3.3.2): 2.5 s of audio; a retransmission comes within 200 ms."""
SOURCES_MAX: Final = 16
"""SSRCs per peer: libsrtp keeps a stream for each. A replaced track has a new one."""
PACKET_BYTES_MAX: Final = 1_500
TRAILER_BYTES: Final = 148
"""Most that protection adds: index, tag and master key identifier, by libsrtp's `srtp.h`."""
_REPLAYED: Final = frozenset({9, 10})
"""`srtp_err_status_replay_fail` and `srtp_err_status_replay_old`."""

# pylibsrtp's Session keeps 1,500 bytes per direction and peer, and allocates an object for the size
# of each packet: with hundreds of peers that is 3 KB each, and twice the time.
_packet: Final[Any] = ffi.new("char[]", PACKET_BYTES_MAX)
_bytes: Final[Any] = ffi.buffer(_packet)
_size: Final[Any] = ffi.new("int *")
_protect: Final[Any] = lib.srtp_protect
_protect_rtcp: Final[Any] = lib.srtp_protect_rtcp
_unprotect: Final[Any] = lib.srtp_unprotect
_unprotect_rtcp: Final[Any] = lib.srtp_unprotect_rtcp
_dealloc: Final[Any] = lib.srtp_dealloc


class SrtpTransport:
    """Both directions of one peer, from the keys of its DTLS handshake."""

    __slots__ = (
        "_in",
        "_out",
        "_sources",
        "bad_packets",
        "replayed",
    )

    def __init__(self, keys: SrtpKeys, ssrc: int) -> None:
        """Set up both directions; what is sent has this SSRC.

        Raises:
            Error: libsrtp has no memory, or refuses the keys.

        """
        incoming = Policy(
            key=keys.client, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=keys.profile
        )
        incoming.window_size = REPLAY_WINDOW
        # For any SSRC libsrtp would keep a template beside the stream that it makes of it.
        outgoing = Policy(
            key=keys.server,
            ssrc_type=Policy.SSRC_SPECIFIC,
            ssrc_value=ssrc,
            srtp_profile=keys.profile,
        )
        self.bad_packets = 0
        """Packets that failed authentication."""
        self.replayed = 0
        """Packets that had arrived before, or are too old to tell."""
        self._in: Any = _context(incoming)
        self._out: Any = _context(outgoing)
        self._sources: tuple[bytes, ...] = ()

    @property
    def contexts(self) -> tuple[Any, Any]:
        """Libsrtp's contexts of what comes and of what is sent; this object keeps them."""
        return self._in, self._out

    def protect(self, packet: bytes) -> bytes:
        """Return an RTP packet, protected.

        Raises:
            Error: libsrtp has no memory, or the key has been used 2**48 times.
            ValueError: The packet has more than 1,352 bytes.

        """
        return self._protected(_protect, packet)

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Return an RTCP compound, protected; raises what `protect` does."""
        return self._protected(_protect_rtcp, packet)

    def unprotect(self, datagram: bytes) -> bytes | None:
        """Return the RTP packet, or None if it fails authentication."""
        # The SSRC, by the header of RTP (RFC 3550, 5.1).
        return self._unprotected(_unprotect, datagram, datagram[8:12])

    def unprotect_rtcp(self, datagram: bytes) -> bytes | None:
        """Return the RTCP compound, or None if it fails authentication."""
        # The SSRC of the sender, by the header of RTCP (RFC 3550, 6.4).
        return self._unprotected(_unprotect_rtcp, datagram, datagram[4:8])

    def count_refused(self, status: int) -> None:
        """Count a packet for which libsrtp returned this error."""
        # Mostly retransmissions that were not needed; packets with a wrong tag are counted apart.
        if status in _REPLAYED:
            self.replayed += 1
        else:
            self.bad_packets += 1

    def _protected(self, function: Any, packet: bytes) -> bytes:
        size = len(packet)
        if size > PACKET_BYTES_MAX - TRAILER_BYTES:
            raise ValueError("The packet is too long.")
        _size[0] = size
        # In place: libsrtp works on the buffer that all peers share. Nothing is awaited before the
        # result is copied out, so that no other peer comes between.
        _bytes[0:size] = packet
        if function(self._out, _packet, _size):
            raise Error("A packet could not be protected.")
        # A slice of the buffer is a copy of its own.
        protected: bytes = _bytes[0 : _size[0]]
        return protected

    def _unprotected(self, function: Any, datagram: bytes, source: bytes) -> bytes | None:
        size = len(datagram)
        is_known = source in self._sources
        # libsrtp keeps a stream for each SSRC that it verifies, so the bound is tested first.
        if size > PACKET_BYTES_MAX or not (is_known or len(self._sources) < SOURCES_MAX):
            self.bad_packets += 1
            return None
        _size[0] = size
        _bytes[0:size] = datagram
        status: int = function(self._in, _packet, _size)
        if status:
            self.count_refused(status)
            return None
        # Only now, when the packet is authenticated: a forger cannot use the places up.
        if not is_known:
            self._sources = (*self._sources, source)
        packet: bytes = _bytes[0 : _size[0]]
        return packet


def _context(policy: Policy) -> Any:
    """Return libsrtp's context of one direction, freed with its last reference."""
    made = ffi.new("srtp_t *")
    if lib.srtp_create(made, policy._policy):
        raise Error("No SRTP context could be made.")
    return ffi.gc(made[0], _dealloc)
