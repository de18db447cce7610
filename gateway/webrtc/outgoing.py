"""Builds our RTP stream to one browser; timestamps and markers show its gaps (RFC 3550)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from media import rtcp
from media.g711 import RATE_HZ

FRAME_TICKS: Final = RATE_HZ // 50
"""20 ms: a shorter gap is kept, but does not begin a talkspurt."""
JUMP_TICKS_MAX: Final = 60 * RATE_HZ
"""A minute: a timestamp further ahead comes from a clock that was set."""
_TICKS_PER_MS: Final = RATE_HZ // 1_000
_WORD: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class RtpStart:
    """Initial values of our stream; all of them random (RFC 3550, 5.1)."""

    ssrc: int
    sequence: int
    """Below 2**15: a receiver must not mistake the first wrap for reordering (RFC 3711, 3.3.1)."""
    timestamp: int
    cname: str


class OutgoingStream:
    """Numbers the packets of mu-law, and reports on them."""

    __slots__ = (
        "_expected",
        "_offset",
        "cname",
        "octets",
        "packets",
        "sequence",
        "ssrc",
        "timestamp",
    )

    def __init__(self, start: RtpStart) -> None:
        self.ssrc = start.ssrc
        self.cname = start.cname
        self.packets = self.octets = 0
        self.sequence = start.sequence
        """Of the last packet."""
        self.timestamp = self._expected = start.timestamp
        """`_expected` is the timestamp of the next packet if it follows without a gap."""
        self._offset: int | None = None
        """Offset from the carrier's ticks to ours."""

    def advance(self, size: int, timestamp_ms: int | None) -> bool:
        """Begin the next packet: its `sequence` and `timestamp` are set; return its marker bit.

        The marker is set at the start and after a gap.

        Args:
            size: Mu-law bytes of its payload.
            timestamp_ms: When its audio was captured, on a clock of any origin; None if it follows
                what was sent before.

        """
        timestamp = self._expected
        # RFC 3551, 4.1: the marker begins a talkspurt, where a receiver may adjust its delay.
        marker = not self.packets
        if timestamp_ms is not None:
            ahead = self._ticks_ahead(timestamp_ms)
            # A gap of the carrier's becomes a gap in our timestamps, so that the browser plays
            # silence for it instead of taking it for late packets.
            timestamp = timestamp + ahead & _WORD
            marker = marker or ahead >= FRAME_TICKS
        self.sequence = self.sequence + 1 & 0xFFFF
        self.timestamp = timestamp
        self._expected = timestamp + size & _WORD
        self.packets += 1
        self.octets += size
        return marker

    def report(self, block: rtcp.ReportBlock | None, now_ns: int) -> bytes:
        """Return a compound report on the stream, and on what `block` says was received."""
        if not self.packets:
            return rtcp.receiver_report(self.ssrc, block, self.cname)
        # RFC 3550, 6.4.1: NTP time may come from any clock of the system.
        return rtcp.sender_report(
            self.ssrc,
            now_ns,
            self._expected,
            packets=self.packets,
            octets=self.octets,
            block=block,
            cname=self.cname,
        )

    def behind_report(self, packet: bytes) -> bytes:
        """Return a compound of an empty report, which must come first, and `packet` (6.1)."""
        return rtcp.receiver_report(self.ssrc, None, self.cname) + packet

    def _ticks_ahead(self, timestamp_ms: int) -> int:
        """Return how far the carrier's clock is ahead of the stream; 0 if it was set back."""
        ticks = timestamp_ms * _TICKS_PER_MS
        if self._offset is not None:
            # Modulo 2**32: a clock that was set back looks far ahead, which reveals it.
            ahead = ticks + self._offset - self._expected & _WORD
            if ahead <= JUMP_TICKS_MAX:
                return ahead
        # The first timestamp, or a clock that was set: what comes follows what went before.
        self._offset = self._expected - ticks
        return 0
