"""SRTP and SRTCP of one peer (RFC 3711, RFC 7714) over libsrtp: what is not proven does not pass.

Knows no address and no RTP beyond the source a packet names.
"""

from __future__ import annotations

from typing import Final

from pylibsrtp import Error, Policy, Session

from gateway.webrtc.dtls import SrtpKeys

REPLAY_WINDOW: Final = 128
"""Packets (RFC 3711, 3.3.2): 2.5 s of audio; a retransmission comes within 200 ms."""
SOURCES_MAX: Final = 16
"""SSRCs of one peer: libsrtp keeps a stream for each. A replaced track is a new one."""


class SrtpTransport:
    """Both directions of one peer, from the keys of its DTLS handshake."""

    __slots__ = ("_in", "_out", "_sources", "bad_packets", "protect", "protect_rtcp", "replayed")

    def __init__(self, keys: SrtpKeys) -> None:
        incoming = Policy(
            key=keys.client, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=keys.profile
        )
        incoming.window_size = REPLAY_WINDOW
        outgoing = Policy(
            key=keys.server, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=keys.profile
        )
        self.bad_packets = 0
        """Packets that were not proven."""
        self.replayed = 0
        """Packets that had come before, or too long ago to know."""
        self._in = Session(incoming)
        self._out = Session(outgoing)
        self._sources: set[bytes] = set()
        self.protect = self._out.protect
        """Takes an RTP packet of at most 1,356 bytes, and returns it protected."""
        self.protect_rtcp = self._out.protect_rtcp

    def unprotect(self, datagram: bytes) -> bytes | None:
        """Return the RTP packet that was protected, or None."""
        source = datagram[8:12]
        if source not in self._sources and len(self._sources) >= SOURCES_MAX:
            self.bad_packets += 1
            return None
        try:
            packet = self._in.unprotect(datagram)
        except (Error, ValueError) as error:
            self._count(error)
            return None
        self._sources.add(source)
        return packet

    def unprotect_rtcp(self, datagram: bytes) -> bytes | None:
        """Return the RTCP compound that was protected, or None."""
        source = datagram[4:8]
        if source not in self._sources and len(self._sources) >= SOURCES_MAX:
            self.bad_packets += 1
            return None
        try:
            compound = self._in.unprotect_rtcp(datagram)
        except (Error, ValueError) as error:
            self._count(error)
            return None
        self._sources.add(source)
        return compound

    def _count(self, error: Exception) -> None:
        if "replay" in str(error):
            self.replayed += 1
        else:
            self.bad_packets += 1
