"""RTCP: what is written is read by others and by us; what is malformed ends the reading."""

import struct

import pytest
from aiortc.rtp import (
    RtcpByePacket,
    RtcpPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSrPacket,
)
from hypothesis import given
from hypothesis import strategies as st

from media import rtcp
from media.rtcp import Bye, Nack, ReportBlock, SenderReport
from media.rtp import ReceiveStatistics

NOW_NS = 1_700_000_000_250_000_000
NOW_NTP = (1_700_000_000 + 2_208_988_800) << 32 | 1 << 30
BLOCK = ReportBlock(
    ssrc=0xBEEF,
    fraction_lost=64,
    lost=-3,
    highest=0x0001_0007,
    jitter=40,
    lsr=0x1234_5678,
    dlsr=65_536,
)

u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFF_FFFF)
blocks = st.builds(
    ReportBlock,
    ssrc=u32,
    fraction_lost=st.integers(0, 255),
    lost=st.integers(-0x80_0000, 0x7F_FFFF),
    highest=u32,
    jitter=u32,
    lsr=u32,
    dlsr=u32,
)


def report(block: ReportBlock | None = BLOCK, cname: str = "caller") -> bytes:
    return rtcp.sender_report(
        7, NOW_NS, 0xFFFF_FFFF, packets=9, octets=1440, block=block, cname=cname
    )


COMPOUND = report() + rtcp.nack(7, 0xBEEF, [1, 2, 18]) + rtcp.bye(7)
EVENTS = [
    SenderReport(ssrc=7, ntp_middle=NOW_NTP >> 16 & 0xFFFF_FFFF, packets=9, octets=1440),
    BLOCK,
    Nack(ssrc=0xBEEF, sequences=(1, 2, 18)),
    Bye(ssrc=7),
]


# -- writing -------------------------------------------------------------------------------------


def test_a_compound_says_what_was_put_into_it():
    assert rtcp.parse(COMPOUND) == EVENTS


def test_another_implementation_reads_what_we_write():
    sender, names, nack, bye = RtcpPacket.parse(COMPOUND)
    assert isinstance(sender, RtcpSrPacket)
    assert (sender.ssrc, sender.sender_info.ntp_timestamp) == (7, NOW_NTP)
    info = sender.sender_info
    assert (info.rtp_timestamp, info.packet_count, info.octet_count) == (0xFFFF_FFFF, 9, 1440)
    (block,) = sender.reports
    assert (block.ssrc, block.fraction_lost, block.packets_lost) == (0xBEEF, 64, -3)
    assert (block.highest_sequence, block.jitter) == (0x0001_0007, 40)
    assert (block.lsr, block.dlsr) == (0x1234_5678, 65_536)
    assert isinstance(names, RtcpSdesPacket)
    assert [(chunk.ssrc, chunk.items) for chunk in names.chunks] == [(7, [(1, b"caller")])]
    assert isinstance(nack, RtcpRtpfbPacket)
    assert (nack.ssrc, nack.media_ssrc, nack.fmt, nack.lost) == (7, 0xBEEF, 1, [1, 2, 18])
    assert isinstance(bye, RtcpByePacket)
    assert bye.sources == [7]


def test_we_read_what_another_implementation_writes():
    packets = RtcpPacket.parse(COMPOUND)
    assert rtcp.parse(b"".join(bytes(packet) for packet in packets)) == EVENTS


@pytest.mark.parametrize("name", ["", "a", "ab", "abc", "abcd", "x" * 255])
def test_a_description_ends_on_a_word_after_a_zero(name):
    compound = rtcp.receiver_report(7, None, name)
    first, names = RtcpPacket.parse(compound)
    assert isinstance(first, RtcpRrPacket)
    assert first.reports == []
    assert isinstance(names, RtcpSdesPacket)
    assert names.chunks[0].items == [(1, name.encode())]
    assert compound.endswith(b"\x00")


@pytest.mark.parametrize(("lost", "told"), [(1 << 30, 0x7F_FFFF), (-(1 << 30), -0x80_0000)])
def test_losses_are_clamped_to_their_24_bits(lost, told):
    block = ReportBlock(1, 255, lost, 2, 3, 4, 5)
    (read,) = rtcp.parse(rtcp.receiver_report(7, block, "a"))
    assert isinstance(read, ReportBlock)
    assert (read.lost, read.fraction_lost) == (told, 255)


def test_counters_wrap():
    compound = rtcp.sender_report(
        7, NOW_NS, 0, packets=(1 << 32) + 1, octets=(1 << 33) + 2, block=None, cname="a"
    )
    (read,) = rtcp.parse(compound)
    assert isinstance(read, rtcp.SenderReport)
    assert (read.packets, read.octets) == (1, 2)


@given(u32, blocks, st.text(max_size=60))
def test_any_report_is_read_back(ssrc, block, cname):
    assert rtcp.parse(rtcp.receiver_report(ssrc, block, cname)) == [block]
    assert rtcp.parse(report(block, cname))[1:] == [block]


@given(u16, st.sets(st.integers(0, 200), min_size=1))
def test_any_packets_can_be_asked_for(start, offsets):
    sequences = [start + offset & 0xFFFF for offset in sorted(offsets)]
    packet = rtcp.nack(1, 2, sequences)
    assert rtcp.parse(packet) == [Nack(2, tuple(sequences))]
    assert len(packet) <= 12 + 4 * len(sequences)


def test_neighbours_share_an_item():
    assert len(rtcp.nack(1, 2, range(65_530, 65_536))) == 16
    assert len(rtcp.nack(1, 2, [0, 16])) == 16
    assert len(rtcp.nack(1, 2, [0, 17])) == 20


# -- reports -------------------------------------------------------------------------------------


def test_a_report_tells_what_was_received_and_begins_the_next_interval():
    statistics = ReceiveStatistics()
    assert rtcp.report_block(statistics, lsr=0, since_lsr_ns=0) is None
    statistics.reset(0xBEEF)
    assert rtcp.report_block(statistics, lsr=0, since_lsr_ns=0) is None
    for n in (65_535, 0, 2):
        statistics.feed(n, n * 160, n * 20_000_000)
    block = rtcp.report_block(statistics, lsr=5, since_lsr_ns=1_500_000_000)
    assert block == ReportBlock(0xBEEF, 64, 1, 65_538, statistics.jitter, 5, 98_304)
    again = rtcp.report_block(statistics, lsr=0, since_lsr_ns=1_500_000_000)
    assert (again.fraction_lost, again.lost, again.dlsr) == (0, 1, 0)


def test_the_round_trip_is_what_the_peer_did_not_hold():
    sent = rtcp.ntp_middle(NOW_NS)
    block = ReportBlock(7, 0, 0, 0, 0, lsr=sent, dlsr=65_536)
    assert rtcp.round_trip_ns(block, NOW_NS + 1_250_000_000) == 250_000_000
    assert rtcp.round_trip_ns(block, NOW_NS + 900_000_000) == 0
    assert rtcp.round_trip_ns(ReportBlock(7, 0, 0, 0, 0, lsr=0, dlsr=0), NOW_NS) is None


# -- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("second", "told"), [(191, False), (192, True), (200, True), (223, True), (224, False)]
)
def test_the_second_byte_tells_rtcp_from_rtp(second, told):
    assert rtcp.is_rtcp(bytes((0x80, second, 0, 0))) == told
    assert not rtcp.is_rtcp(bytes((0x80, second, 0)))


def test_a_compound_may_be_cut_anywhere():
    for length in range(len(COMPOUND)):
        events = rtcp.parse(COMPOUND[:length])
        assert events == EVENTS[: len(events)]
        assert len(events) < len(EVENTS)


def test_what_precedes_a_malformed_packet_is_kept():
    for malformed in (
        "40c80000",
        "81c90001" + "00" * 4,
        "80c80001" + "00" * 4,
        "82cb0001" + "00" * 4,
    ):
        assert rtcp.parse(report() + bytes.fromhex(malformed) + rtcp.bye(7)) == EVENTS[:2]


@pytest.mark.parametrize("malformed", ["81cd0001" + "00" * 4, "a0cb0000", "a0cb0001" + "00" * 4])
def test_feedback_and_padding_that_are_too_short_end_the_reading(malformed):
    assert rtcp.parse(bytes.fromhex(malformed) + rtcp.bye(7)) == []


def test_packets_of_other_kinds_are_passed_over():
    for other in ("80cf0001" + "00" * 4, "8fcd0002" + "00" * 8, "81ce0002" + "00" * 8, "80ca0000"):
        assert rtcp.parse(bytes.fromhex(other) + rtcp.bye(7)) == [Bye(7)]


def test_padding_is_not_content():
    padded = bytes.fromhex("a1cd0004 00000007 0000beef 00010000 00000004")
    assert rtcp.parse(padded) == [Nack(0xBEEF, (1,))]


def test_a_farewell_may_give_a_reason():
    reason = struct.pack("!BBHI", 0x81, 203, 3, 7) + b"\x05hello\x00\x00"
    assert rtcp.parse(reason) == [Bye(7)]


@given(st.binary(max_size=300))
def test_anything_may_come(compound):
    rtcp.parse(compound)
    rtcp.parse(b"\x81" + compound)


@given(st.lists(st.tuples(st.integers(0, len(COMPOUND) - 1), st.integers(0, 255)), max_size=6))
def test_a_mutated_compound_is_read_as_far_as_it_goes(changes):
    compound = bytearray(COMPOUND)
    for at, value in changes:
        compound[at] = value
    for read in rtcp.parse(bytes(compound)):
        assert isinstance(read, SenderReport | ReportBlock | Bye | Nack)
