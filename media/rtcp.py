"""Reads and writes RTCP: reports, BYE and retransmission requests (RFC 3550, RFC 4585).

Packets are plain RTCP. Wall-clock times are nanoseconds since 1970. Sections are those of RFC 3550
section 6 unless another RFC is named.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from media.rtp import ReceiveStatistics

SENDER_REPORT: Final = 200
RECEIVER_REPORT: Final = 201
SOURCE_DESCRIPTION: Final = 202
BYE: Final = 203
TRANSPORT_FEEDBACK: Final = 205
GENERIC_NACK: Final = 1
"""Feedback message type within TRANSPORT_FEEDBACK (RFC 4585 section 6.2.1)."""

_VERSION: Final = 0x80
_VERSION_BITS: Final = 0xC0
_PADDING: Final = 0x20
_COUNT_BITS: Final = 0x1F
_CNAME: Final = 1
_HEADER: Final = struct.Struct("!BBH")
_SENDER: Final = struct.Struct("!IQIII")
_BLOCK: Final = struct.Struct("!IIIIII")
_NACK_ITEM: Final = struct.Struct("!HH")
_NTP_EPOCH_S: Final = 2_208_988_800
"""Seconds from 1900, the NTP epoch, to 1970."""
_NS_PER_S: Final = 1_000_000_000
_WORD: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class SenderReport:
    """What a source reports about its own stream."""

    ssrc: int
    ntp_middle: int
    """The middle 32 bits of its NTP time, which a report block returns as `lsr`."""
    packets: int
    octets: int


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver reports about the stream of `ssrc` (RFC 3550 section 6.4.1)."""

    ssrc: int
    fraction_lost: int
    """Since its previous report, in 256ths."""
    lost: int
    """Cumulative; negative if packets were duplicated."""
    highest: int
    """Highest sequence number, with its cycles in the upper 16 bits."""
    jitter: int
    """In timestamp ticks."""
    lsr: int
    """`ntp_middle` of the last sender report it received, 0 for none."""
    dlsr: int
    """Time since that report, in 65536ths of a second."""


@dataclass(frozen=True, slots=True)
class Bye:
    """A source leaves the session."""

    ssrc: int


@dataclass(frozen=True, slots=True)
class Nack:
    """A receiver asks for packets of the stream of `ssrc` to be sent again."""

    ssrc: int
    sequences: tuple[int, ...]


RtcpEvent = SenderReport | ReportBlock | Bye | Nack


def is_rtcp(packet: bytes) -> bool:
    """Distinguish RTCP from RTP on one port by the second byte (RFC 5761 section 4)."""
    # An RTP packet looks like this with the marker set and a payload type of 64 to 95, which may
    # not be used beside RTCP.
    return len(packet) >= _HEADER.size and 192 <= packet[1] <= 223


def ntp_middle(unix_ns: int) -> int:
    """Return the middle 32 bits of the NTP time: 65536ths of a second."""
    return _ntp(unix_ns) >> 16 & _WORD


def report_block(
    statistics: ReceiveStatistics, *, lsr: int, since_lsr_ns: int
) -> ReportBlock | None:
    """Return what to report now, and start the next interval; None before any packet.

    Args:
        statistics: Of the source reported on.
        lsr: `ntp_middle` of its last sender report, 0 if none was received.
        since_lsr_ns: How long ago that was received.

    """
    if statistics.ssrc is None or statistics.highest is None:
        return None
    return ReportBlock(
        ssrc=statistics.ssrc,
        fraction_lost=statistics.take_fraction_lost(),
        lost=statistics.lost,
        highest=statistics.highest & _WORD,
        jitter=statistics.jitter,
        lsr=lsr,
        # Saturates after 18 hours: a field that wrapped would show a short round trip.
        dlsr=min(_WORD, (since_lsr_ns << 16) // _NS_PER_S) if lsr else 0,
    )


def round_trip_ns(block: ReportBlock, unix_ns: int) -> int | None:
    """Return the round trip shown by a block about our own stream; None if it shows none.

    RFC 3550 section 6.4.1: the time since our report, minus how long the peer held it.
    """
    if not block.lsr:
        return None
    # Modulo 2^32, because the middle of an NTP time wraps every 18 hours.
    passed = ntp_middle(unix_ns) - block.lsr - block.dlsr & _WORD
    # A peer whose clock runs slightly fast may seem to answer before it was asked.
    return 0 if passed > _WORD >> 1 else passed * _NS_PER_S >> 16


# -- writing -------------------------------------------------------------------------------------


def sender_report(
    ssrc: int,
    unix_ns: int,
    rtp_timestamp: int,
    *,
    packets: int,
    octets: int,
    block: ReportBlock | None,
    cname: str,
) -> bytes:
    """Return a compound of a sender report and a source description.

    Args:
        ssrc: Our source.
        unix_ns: The time of the report.
        rtp_timestamp: The same instant on the stream's own clock.
        packets: Sent so far; wraps at 32 bits.
        octets: Payload bytes sent so far; wraps at 32 bits.
        block: What we received, if anything.
        cname: Our canonical name; at most 255 bytes.

    """
    sender = _SENDER.pack(ssrc, _ntp(unix_ns), rtp_timestamp, packets & _WORD, octets & _WORD)
    report = _packet(SENDER_REPORT, _count(block), sender + _packed(block))
    return report + _description(ssrc, cname)


def receiver_report(ssrc: int, block: ReportBlock | None, cname: str) -> bytes:
    """Return a receiver report with a source description, for a peer that has sent nothing."""
    report = _packet(RECEIVER_REPORT, _count(block), ssrc.to_bytes(4, "big") + _packed(block))
    return report + _description(ssrc, cname)


def bye(ssrc: int) -> bytes:
    """Return a BYE; it follows a report in its compound (RFC 3550 section 6.1)."""
    return _packet(BYE, 1, ssrc.to_bytes(4, "big"))


def nack(ssrc: int, media_ssrc: int, sequences: Iterable[int]) -> bytes:
    """Return a generic NACK: a request to the media source to send these packets again.

    It is sent alone if the peers agreed on reduced-size RTCP (RFC 5506); otherwise it follows a
    report in its compound.
    """
    items = b"".join(_NACK_ITEM.pack(*item) for item in _nack_items(sequences))
    return _packet(TRANSPORT_FEEDBACK, GENERIC_NACK, struct.pack("!II", ssrc, media_ssrc) + items)


def _nack_items(sequences: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield packet ids, each with the bit mask of the sixteen that follow; input is sorted."""
    first = -1
    mask = 0
    for sequence in sequences:
        # Modulo 2^16: the numbers may wrap within one request.
        ahead = sequence - first & 0xFFFF
        if first >= 0 and 0 < ahead <= 16:
            mask |= 1 << ahead - 1
            continue
        if first >= 0:
            yield first, mask
        first = sequence
        mask = 0
    if first >= 0:
        yield first, mask


def _ntp(unix_ns: int) -> int:
    """Return a 64-bit NTP time: seconds since 1900 above, their fraction below."""
    seconds, rest_ns = divmod(unix_ns, _NS_PER_S)
    return (seconds + _NTP_EPOCH_S & _WORD) << 32 | (rest_ns << 32) // _NS_PER_S


def _count(block: ReportBlock | None) -> int:
    return 0 if block is None else 1


def _packed(block: ReportBlock | None) -> bytes:
    if block is None:
        return b""
    # 6.4.1: a signed field of 24 bits, in which a loss beyond it must not wrap.
    lost = max(-0x80_0000, min(0x7F_FFFF, block.lost)) & 0xFF_FFFF
    losses = block.fraction_lost << 24 | lost
    return _BLOCK.pack(
        block.ssrc, losses, block.highest, block.jitter & _WORD, block.lsr, block.dlsr
    )


def _description(ssrc: int, cname: str) -> bytes:
    """Return a source description of one chunk with one item (RFC 3550 section 6.5)."""
    name = cname.encode()
    item = bytes((_CNAME, len(name))) + name
    # At least one zero byte ends the list of items, then padding to 32 bits.
    return _packet(SOURCE_DESCRIPTION, 1, ssrc.to_bytes(4, "big") + item + bytes(4 - len(item) % 4))


def _packet(packet_type: int, count: int, body: bytes) -> bytes:
    # 6.4.1: the length in 32-bit words minus one, and the header is that one.
    return _HEADER.pack(_VERSION | count, packet_type, len(body) // 4) + body


# -- reading -------------------------------------------------------------------------------------


def parse(compound: bytes) -> list[RtcpEvent]:
    """Return what the packets of a compound say, in order, up to the first malformed one.

    Packets and items of other kinds are skipped.
    """
    events: list[RtcpEvent] = []
    at = 0
    while at + _HEADER.size <= len(compound):
        first, packet_type, words = _HEADER.unpack_from(compound, at)
        start = at + _HEADER.size
        at = start + 4 * words
        # Where this packet ends is not known, and so not where the next one begins; what was read
        # stays.
        if first & _VERSION_BITS != _VERSION or at > len(compound):
            break
        body = compound[start:at]
        if first & _PADDING:
            # 6.4.1: the last byte counts the padding, itself included.
            if not body or not 0 < body[-1] <= len(body):
                break
            body = body[: -body[-1]]
        found = _read(packet_type, first & _COUNT_BITS, body)
        if found is None:
            break
        events += found
    return events


def _read(packet_type: int, count: int, body: bytes) -> list[RtcpEvent] | None:
    """Return what one packet says; None if it is shorter than it announces."""
    if packet_type == SENDER_REPORT and len(body) >= _SENDER.size:
        ssrc, ntp, _, packets, octets = _SENDER.unpack_from(body)
        # Behind the blocks a profile may add words of its own (6.4.3), which are ignored.
        blocks = _read_blocks(count, body[_SENDER.size :])
        report = SenderReport(ssrc, ntp >> 16 & _WORD, packets, octets)
        return None if blocks is None else [report, *blocks]
    if packet_type == RECEIVER_REPORT and len(body) >= 4:
        return _read_blocks(count, body[4:])
    if packet_type == BYE:
        # A BYE may go on with a reason (6.6), which is not read here.
        if len(body) < 4 * count:
            return None
        return [Bye(ssrc) for (ssrc,) in struct.iter_unpack("!I", body[: 4 * count])]
    if packet_type == TRANSPORT_FEEDBACK and count == GENERIC_NACK:
        return _read_nack(body)
    # Unknown kinds are skipped by their length; a report that ends in its header is malformed.
    return None if packet_type in {SENDER_REPORT, RECEIVER_REPORT} else []


def _read_blocks(count: int, body: bytes) -> list[RtcpEvent] | None:
    if len(body) < count * _BLOCK.size:
        return None
    return [
        ReportBlock(ssrc, losses >> 24, _signed_24(losses), highest, jitter, lsr, dlsr)
        for ssrc, losses, highest, jitter, lsr, dlsr in _BLOCK.iter_unpack(
            body[: count * _BLOCK.size]
        )
    ]


def _signed_24(word: int) -> int:
    return ((word & 0xFF_FFFF) ^ 0x80_0000) - 0x80_0000


def _read_nack(body: bytes) -> list[RtcpEvent] | None:
    """Read RFC 4585 section 6.2.1: sender, media source, then pairs of packet id and bit mask."""
    if len(body) < 8 or len(body) % _NACK_ITEM.size:
        return None
    sequences = tuple(
        packet_id + ahead & 0xFFFF
        for packet_id, mask in _NACK_ITEM.iter_unpack(body[8:])
        # Bit n of the mask is packet n + 1 after the first.
        for ahead in range(17)
        if not ahead or mask >> ahead - 1 & 1
    )
    return [Nack(int.from_bytes(body[4:8], "big"), sequences)]
