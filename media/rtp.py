"""Reads and writes RTP packets (RFC 3550) and telephone events (RFC 4733); keeps statistics.

Packets are plain RTP, the clock is the 8 kHz of telephony, and times are nanoseconds of the
caller's monotonic clock.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from media.g711 import RATE_HZ

HEADER_BYTES: Final = 12
"""Size of a header without CSRC list and extension."""
VERSION: Final = 0x80
"""First byte of an RTP version 2 header without padding, extension or CSRC."""

MARKER: Final = 0x80
"""Bit of the second byte, above the payload type."""

SEQUENCE_MASK: Final = 0xFFFF
JUMP_FRAMES_MAX: Final = 500
LATE_FRAMES_MAX: Final = 100
"""Two packets in a row further ahead or behind are a new sequence, a single one is a stray (RFC
3550 A.1 names 3000 and 100; ten seconds are more than is ever waited for)."""

_HEADER: Final = struct.Struct("!BBHII")
_VERSION_BITS: Final = 0xC0
_PADDING: Final = 0x20
_EXTENSION: Final = 0x10
_NS_PER_TICK: Final = 1_000_000_000 // RATE_HZ


class RtpPacket(NamedTuple):
    """One packet, without CSRC list, header extension and padding."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def pack(payload_type: int, marker: bool, sequence: int, timestamp: int, ssrc: int) -> bytes:
    """Return the header of a packet, to be followed by its payload."""
    return _HEADER.pack(
        VERSION, payload_type | MARKER if marker else payload_type, sequence, timestamp, ssrc
    )


def parse(packet: bytes) -> RtpPacket | None:
    """Return the fields of a packet; None if it is not RTP version 2 or is cut short."""
    size = len(packet)
    if size < HEADER_BYTES:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(packet)
    # Nearly every packet: no padding, extension or CSRC.
    if first == VERSION:
        payload = packet[HEADER_BYTES:]
    else:
        start, end = _payload_bounds(packet, first)
        if not HEADER_BYTES <= start <= end:
            return None
        payload = packet[start:end]
    return RtpPacket(second & 0x7F, second >= MARKER, sequence, timestamp, ssrc, payload)


def _payload_bounds(packet: bytes, first: int) -> tuple[int, int]:
    """Return where a payload starts and ends; in reverse order if the packet is malformed."""
    start, end = HEADER_BYTES + 4 * (first & 0x0F), len(packet)
    if first & _VERSION_BITS != VERSION:
        # Within the header, which `parse` refuses.
        return 0, 0
    if first & _EXTENSION:
        # Section 5.3.1: a profile's own 16 bits, then the length in words after those four bytes.
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    if first & _PADDING:
        # Section 5.1: the last byte counts the padding, itself included.
        padding = packet[-1]
        # Padding of no bytes contradicts its flag: the packet is refused.
        end = end - padding if padding else 0
    return start, end


def sequence_delta(newer: int, older: int) -> int:
    """Return how many packets `newer` is ahead of `older`, from -32768 to 32767."""
    # Shifted by half the range and back, so that the difference has a sign and wrapping does not
    # show.
    return (newer - older + 0x8000 & 0xFFFF) - 0x8000


def timestamp_delta(newer: int, older: int) -> int:
    """Return how many ticks `newer` is ahead of `older`, from -2**31 to 2**31 - 1."""
    return (newer - older + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000


# -- telephone events ----------------------------------------------------------------------------

DIGITS: Final = "0123456789*#ABCD"
"""By event code (RFC 4733 section 3.2)."""
EVENT_SILENCE_NS_MAX: Final = 200_000_000
"""An event without packets for this long is over: while it lasts they come as regularly as
audio."""

_EVENT: Final = struct.Struct("!BBH")
_END: Final = 0x80
_SEGMENT_TICKS: Final = 0xFFFF
_LATE_TICKS: Final = RATE_HZ
"""Packets of an event may arrive this long after a later one has begun, and are then ignored."""

Digit = tuple[str, int]
"""One of DIGITS, and for how many milliseconds it was pressed."""


class TelephoneEvents:
    """Turns the packets of telephone events into digits, each exactly once."""

    __slots__ = ("_begun", "_carried", "_code", "_duration", "_quiet_since_ns", "_timestamp")

    def __init__(self) -> None:
        self._begun = False
        self._timestamp: int | None = None
        """Of the current event, otherwise of the last one."""
        self._code = 0
        self._duration = 0
        self._carried = 0
        """Ticks of the segments before this one."""
        self._quiet_since_ns: int | None = None

    def feed(self, timestamp: int, payload: bytes) -> Digit | None:
        """Take a packet; return the digit that it ends, or that must have ended before it.

        Args:
            timestamp: The packet's RTP timestamp: when its event began, equal in all its packets.
            payload: Event code, end bit and duration so far in ticks of 8 kHz; the rest is ignored.

        """
        # Further events, such as flash or fax tones, are no digits.
        if len(payload) < _EVENT.size or payload[0] >= len(DIGITS):
            return None
        code, flags, duration = _EVENT.unpack_from(payload)
        before = None
        if timestamp != self._timestamp:
            if self._timestamp is not None:
                if -_LATE_TICKS < timestamp_delta(timestamp, self._timestamp) < 0:
                    return None
                before = self._begin_after(timestamp, code)
            self._timestamp = timestamp
            self._code = code
            self._duration = 0
            self._begun = True
        # The end is sent three times (2.5.1.4), and the first has counted.
        if not self._begun:
            return None
        # Packets may be reordered; a duration only grows.
        self._duration = max(self._duration, duration)
        self._quiet_since_ns = None
        if not flags & _END:
            return before
        # All packets that ended the earlier event were lost: return that digit first; this one
        # follows with a repetition of its own end, or from `flush`.
        return before or self._finish()

    def flush(self, now_ns: int) -> Digit | None:
        """Return a digit whose end was lost, once it has been quiet for long enough.

        To be called regularly; the silence counts from the first call after the last packet.
        """
        if not self._begun:
            return None
        if self._quiet_since_ns is None:
            self._quiet_since_ns = now_ns
        if now_ns - self._quiet_since_ns < EVENT_SILENCE_NS_MAX:
            return None
        return self._finish()

    def _begin_after(self, timestamp: int, code: int) -> Digit | None:
        """Leave the current event, unless the next one is its next segment."""
        is_segment = (
            self._begun
            and code == self._code
            and self._duration == _SEGMENT_TICKS
            and timestamp_delta(timestamp, self._timestamp or 0) == _SEGMENT_TICKS
        )
        if is_segment:  # RFC 4733 section 2.5.1.3
            self._carried += _SEGMENT_TICKS
            return None
        before = self._finish() if self._begun else None
        self._carried = 0
        return before

    def _finish(self) -> Digit:
        self._begun = False
        return DIGITS[self._code], (self._carried + self._duration) * 1_000 // RATE_HZ


# -- reception -----------------------------------------------------------------------------------

DROPOUT_MAX: Final = 3_000
MISORDER_MAX: Final = 100
"""RFC 3550 A.1: a packet further ahead or behind belongs to a restarted stream."""
WINDOW: Final = 128
"""Packets back from the highest whose arrival is remembered."""

_WINDOW_MASK: Final = (1 << WINDOW) - 1


class ReceiveStatistics:
    """What RFC 3550 lets a receiver report about one source (A.1, A.3, A.8)."""

    __slots__ = (
        "_base",
        "_came",
        "_expected_before",
        "_jitter",
        "_received_before",
        "_restart",
        "_transit",
        "duplicates",
        "highest",
        "late",
        "received",
        "ssrc",
    )

    def __init__(self) -> None:
        self.reset(None)

    def reset(self, ssrc: int | None) -> None:
        """Start over, for the source heard from now on."""
        self.ssrc = ssrc
        self.highest: int | None = None
        """Highest sequence number, with its cycles above the low 16 bits."""
        self.received = 0
        """Packets, including late and duplicate ones."""
        self.late = 0
        """Packets that arrived after their successor; each filled a gap."""
        self.duplicates = 0
        self._base = 0
        self._came = _WINDOW_MASK
        """Bit n: packet `highest - n` arrived. Anything before the first packet counts as
        arrived."""
        self._restart: int | None = None
        self._expected_before = self._received_before = 0
        self._jitter = 0
        """In sixteenths of a tick."""
        self._transit: int | None = None

    @property
    def expected(self) -> int:
        """Packets sent, as far as known."""
        return 0 if self.highest is None else self.highest - self._base + 1

    @property
    def lost(self) -> int:
        """Packets that did not arrive; negative if more were duplicated."""
        return self.expected - self.received

    @property
    def jitter(self) -> int:
        """Interarrival jitter in timestamp ticks."""
        return self._jitter >> 4

    def feed(self, sequence: int, timestamp: int | None, arrival_ns: int) -> None:
        """Count one packet.

        Args:
            sequence: Its 16-bit sequence number.
            timestamp: Its 32-bit timestamp; None if that is not a sampling time, as in the packets
                of a telephone event.
            arrival_ns: When it arrived.

        """
        if self.highest is None:
            self._base = self.highest = sequence
        else:
            delta = sequence_delta(sequence, self.highest & 0xFFFF)
            # Forward, possibly over a gap. Shifted by the window at most, because Python's integers
            # never drop bits by themselves.
            if 0 < delta < DROPOUT_MAX:
                self.highest += delta
                self._came = (self._came << min(delta, WINDOW) | 1) & _WINDOW_MASK
            elif -MISORDER_MAX < delta <= 0:
                self._count_again(-delta)
            # A single stray packet counts as nothing, not even as received.
            elif not self._restarts(sequence):
                return
        # Only two packets in a row prove a restart.
        self._restart = None
        self.received += 1
        if timestamp is not None:
            self._measure(timestamp, arrival_ns)

    def missing(self) -> list[int]:
        """Return the sequence numbers of the gaps among the last packets, oldest first."""
        if self.highest is None:
            return []
        # A zero among the bits is a gap. Bit 0 is the highest packet itself, which has arrived.
        holes = self._came ^ _WINDOW_MASK
        return [
            self.highest - age & 0xFFFF
            for age in range(holes.bit_length() - 1, 0, -1)
            if holes >> age & 1
        ]

    def take_fraction_lost(self) -> int:
        """Return the share lost since the last call, in 256ths (A.3)."""
        expected = self.expected
        received = self.received
        expected_since = expected - self._expected_before
        lost_since = expected_since - (received - self._received_before)
        self._expected_before = expected
        self._received_before = received
        # A.3: with duplicates an interval may seem to have lost less than nothing, and reports 0.
        if expected_since <= 0 or lost_since <= 0:
            return 0
        # All of an interval would be 256, which eight bits do not hold.
        return min(255, lost_since * 256 // expected_since)

    def _count_again(self, age: int) -> None:
        bit = 1 << age
        if self._came & bit:
            self.duplicates += 1
        else:
            self._came |= bit
            self.late += 1

    def _restarts(self, sequence: int) -> bool:
        """Accept a far jump when the packet after it confirms it (A.1)."""
        if sequence != self._restart:
            self._restart = sequence + 1 & 0xFFFF
            return False
        # Counters of the old sequence would count the jump as loss.
        self.reset(self.ssrc)
        self._base = self.highest = sequence
        return True

    def _measure(self, timestamp: int, arrival_ns: int) -> None:
        """Smooth the difference between the transit times of two packets (A.8)."""
        transit = arrival_ns // _NS_PER_TICK - timestamp
        if self._transit is not None:
            difference = abs(timestamp_delta(transit, self._transit))
            # The integer form of A.8: the estimate is kept times 16, so that its fraction is not
            # lost.
            self._jitter += difference - (self._jitter + 8 >> 4)
        self._transit = transit


# -- retransmission ------------------------------------------------------------------------------

NACK_ATTEMPTS: Final = 3
NACK_ENTRIES_MAX: Final = 64
NACK_AGE_NS_MAX: Final = 200_000_000
"""A packet that arrives later than this has been concealed already."""
NACK_INTERVAL_NS_MIN: Final = 10_000_000
"""However short the round trip, the peer gets half a packet's time to answer."""


class _Gap:
    """One missing packet."""

    __slots__ = ("asked", "due_ns", "forget_ns")

    def __init__(self) -> None:
        self.asked = 0
        self.due_ns = self.forget_ns = 0


class NackList:
    """Which packets to ask for again, and when (RFC 4585 section 6.2.1)."""

    __slots__ = ("_behind_jump", "_gaps", "_highest")

    def __init__(self) -> None:
        self._gaps: dict[int, _Gap] = {}
        self._highest: int | None = None
        self._behind_jump: int | None = None
        """What follows a packet that was far from the others, if it begins a new sequence."""

    def received(self, sequence: int) -> bool:
        """Note a packet; return whether it reveals a new gap, so that `due` has work."""
        highest = self._highest
        # Nearly every packet is the next one.
        if highest is None or sequence == highest + 1 & 0xFFFF:
            self._highest = sequence
            return False
        delta = sequence_delta(sequence, highest)
        # Late, repeated or sent again: its gap is filled.
        if -MISORDER_MAX < delta <= 0:
            self._gaps.pop(sequence, None)
            return False
        if not 0 < delta <= NACK_ENTRIES_MAX:
            # More is missing than could still be played in time: the stream paused or restarted,
            # or this packet is a stray. Which of them, the next one tells (RFC 3550, A.1).
            if sequence == self._behind_jump:
                self._highest = sequence
                self._gaps.clear()
            self._behind_jump = sequence + 1 & 0xFFFF
            return False
        self._highest = sequence
        for ahead in range(1, delta):
            self._gaps[highest + ahead & 0xFFFF] = _Gap()
        # Oldest first: the newest gaps are those that can still be filled in time.
        while len(self._gaps) > NACK_ENTRIES_MAX:
            del self._gaps[next(iter(self._gaps))]
        return True

    def due(self, now_ns: int, rtt_ns: int) -> list[int]:
        """Return what to ask for now, oldest first; each at once, then once per round trip."""
        asked_for: list[int] = []
        for sequence, gap in list(self._gaps.items()):
            if gap.asked and now_ns >= gap.forget_ns:
                del self._gaps[sequence]
            elif now_ns >= gap.due_ns:
                if not gap.asked:
                    # Counted from the first request: `received` has no clock.
                    gap.forget_ns = now_ns + NACK_AGE_NS_MAX
                gap.asked += 1
                gap.due_ns = now_ns + max(rtt_ns, NACK_INTERVAL_NS_MIN)
                asked_for.append(sequence)
                # Asked for the last time; nothing is left to do about this gap.
                if gap.asked == NACK_ATTEMPTS:
                    del self._gaps[sequence]
        return asked_for
