"""RTP as RFC 3550 has it: packets, digits, what is lost and what is asked for again."""

import struct

import pytest
from aiortc.rtp import RtpPacket as OtherPacket
from hypothesis import given
from hypothesis import strategies as st

from media import rtp

MS = 1_000_000
PACKET_NS = 20 * MS
TICKS = 160

u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFF_FFFF)


# -- packets -------------------------------------------------------------------------------------


def test_a_header_byte_by_byte():
    header = rtp.pack(101, True, 0x1234, 0x89ABCDEF, 0xDEADBEEF)
    assert header == bytes.fromhex("80 e5 1234 89abcdef deadbeef")
    assert len(header) == rtp.HEADER_BYTES
    assert rtp.pack(0, False, 1, 2, 3) == bytes.fromhex("80 00 0001 00000002 00000003")


@given(st.integers(0, 127), st.booleans(), u16, u32, u32, st.binary(max_size=400))
def test_what_is_packed_is_parsed(payload_type, marker, sequence, timestamp, ssrc, payload):
    fields = (payload_type, marker, sequence, timestamp, ssrc)
    assert rtp.parse(rtp.pack(*fields) + payload) == (*fields, payload)


@given(
    st.binary(max_size=40),
    st.lists(u32, max_size=15),
    st.none() | st.integers(0, 8),
    st.none() | st.integers(1, 255),
)
def test_lists_extensions_and_padding_are_left_out(payload, sources, extension_words, padding):
    first = rtp.VERSION | len(sources)
    rest = b"".join(source.to_bytes(4, "big") for source in sources)
    if extension_words is not None:
        first |= 0x10
        rest += struct.pack("!HH", 0xBEDE, extension_words) + bytes(4 * extension_words)
    rest += payload
    if padding is not None:
        first |= 0x20
        rest += bytes(padding - 1) + bytes((padding,))
    packet = bytes((first, 0)) + rtp.pack(0, False, 7, 8, 9)[2:] + rest
    assert rtp.parse(packet) == (0, False, 7, 8, 9, payload)
    for length in range(len(packet) - len(payload) - (padding or 0)):
        assert rtp.parse(packet[:length]) is None


@pytest.mark.parametrize(
    "packet",
    [
        "",
        "80" * 11,
        "40" + "00" * 30,  # version 1
        "c0" + "00" * 30,
        "81" + "00" * 11,  # one CSRC, none there
        "90" + "00" * 11,  # extension without its header
        "90" + "00" * 13,
        "90" + "00" * 11 + "bede0001",  # extension without its word
        "a0" + "00" * 11,  # padding of nothing
        "a0" + "00" * 12,  # a count of padding does not count itself
        "a0" + "00" * 11 + "02",  # padding larger than the payload
        "a1" + "00" * 15 + "0003",
    ],
)
def test_a_malformed_packet_is_none(packet):
    assert rtp.parse(bytes.fromhex(packet)) is None


@given(st.integers(0, 255), st.binary(max_size=80))
def test_no_packet_is_read_otherwise_than_by_another_implementation(first, rest):
    packet = bytes((first,)) + rest
    ours = rtp.parse(packet)
    try:
        theirs = OtherPacket.parse(packet)
    except (ValueError, struct.error, IndexError):
        # Its reading of extensions, which is passed over here, is stricter.
        assert ours is None or first & 0x10
        return
    assert ours is not None
    assert (ours.payload, ours.sequence, ours.ssrc) == (
        theirs.payload,
        theirs.sequence_number,
        theirs.ssrc,
    )


@given(u16, st.integers(-0x8000, 0x7FFF))
def test_distance_of_sequence_numbers(sequence, delta):
    assert rtp.sequence_delta(sequence + delta & 0xFFFF, sequence) == delta


@given(u32, st.integers(-0x8000_0000, 0x7FFF_FFFF))
def test_distance_of_timestamps(timestamp, delta):
    assert rtp.timestamp_delta(timestamp + delta & 0xFFFF_FFFF, timestamp) == delta


# -- telephone events ----------------------------------------------------------------------------


def event(code: int, duration: int, *, end: bool = False) -> bytes:
    return struct.pack("!BBH", code, 0x80 | 10 if end else 10, duration)


def fed(packets: list[tuple[int, bytes]]) -> list[rtp.Digit]:
    events = rtp.TelephoneEvents()
    return [digit for packet in packets if (digit := events.feed(*packet))]


@pytest.mark.parametrize(("code", "digit"), [*enumerate("0123456789*#ABCD")])
def test_a_digit_is_told_once_at_its_end(code, digit):
    ends = [(5000, event(code, 800, end=True))] * 3
    assert fed([(5000, event(code, 160 * n)) for n in range(1, 5)]) == []
    assert fed([(5000, event(code, 160)), *ends]) == [(digit, 100)]
    assert fed(ends) == [(digit, 100)]


def test_the_same_digit_twice_is_two_digits():
    packets = [(0, event(1, 800, end=True))] * 3 + [(1600, event(1, 400, end=True))] * 3
    assert fed(packets) == [("1", 100), ("1", 50)]


def test_a_lost_end_is_told_by_the_next_event():
    packets = [(0, event(1, 160)), (0, event(1, 320)), (4000, event(2, 160))]
    assert fed(packets) == [("1", 40)]


def test_a_lost_end_before_an_event_of_which_only_ends_came():
    packets = [(0, event(1, 320)), *[(4000, event(2, 800, end=True))] * 3]
    assert fed(packets) == [("1", 40), ("2", 100)]


def test_a_lost_end_is_told_after_a_silence():
    events = rtp.TelephoneEvents()
    assert events.flush(0) is None
    events.feed(0, event(5, 320))
    assert events.flush(1_000 * MS) is None
    assert events.flush(1_150 * MS) is None
    events.feed(0, event(5, 480))
    assert events.flush(1_300 * MS) is None
    assert events.flush(1_499 * MS) is None
    assert events.flush(1_500 * MS) == ("5", 60)
    assert events.flush(9_999 * MS) is None
    assert events.feed(0, event(5, 800, end=True)) is None


def test_packets_that_come_late_change_nothing():
    packets = [
        (4000, event(1, 320)),
        (4000, event(1, 800, end=True)),
        (4000, event(1, 480)),
        (8000, event(2, 160)),
        (4000, event(1, 800, end=True)),
        (8000, event(2, 80)),
        (8000, event(2, 160, end=True)),
    ]
    assert fed(packets) == [("1", 100), ("2", 20)]


def test_timestamps_may_start_anew():
    packets = [(9_000_000, event(1, 800, end=True)), (0, event(2, 800, end=True))]
    assert fed(packets) == [("1", 100), ("2", 100)]


def test_timestamps_wrap():
    packets = [(0xFFFF_FFFF, event(1, 800, end=True)), (1_000, event(2, 800, end=True))]
    assert fed(packets) == [("1", 100), ("2", 100)]


def test_a_long_press_in_segments_is_one_digit():
    packets = [
        (100, event(7, 0xFFFF)),
        (100 + 0xFFFF, event(7, 0xFFFF)),
        (100 + 2 * 0xFFFF, event(7, 10, end=True)),
        (100 + 2 * 0xFFFF, event(7, 10, end=True)),
    ]
    assert fed(packets) == [("7", (2 * 0xFFFF + 10) // 8)]


@pytest.mark.parametrize("payload", [b"", b"\x01\x80\x00", event(16, 800, end=True)])
def test_what_is_no_digit_is_passed_over(payload):
    assert fed([(0, payload)]) == []


@given(st.lists(st.tuples(st.integers(0, 4000) | u32, st.binary(max_size=6)), max_size=50))
def test_any_events_may_come(packets):
    for digit, duration_ms in fed(packets):
        assert digit in rtp.DIGITS
        assert duration_ms >= 0


# -- reception -----------------------------------------------------------------------------------


def heard(sequences: list[int]) -> rtp.ReceiveStatistics:
    statistics = rtp.ReceiveStatistics()
    for sequence in sequences:
        statistics.feed(sequence & 0xFFFF, None, 0)
    return statistics


def test_before_the_first_packet():
    statistics = rtp.ReceiveStatistics()
    assert (statistics.ssrc, statistics.highest) == (None, None)
    assert (statistics.expected, statistics.lost, statistics.jitter) == (0, 0, 0)
    assert (statistics.missing(), statistics.take_fraction_lost()) == ([], 0)


def test_sequence_numbers_are_extended_over_their_wrap():
    statistics = heard(list(range(65_000, 65_536 + 65_536 + 10)))
    assert statistics.highest == 2 * 65_536 + 9
    assert statistics.lost == 0
    assert statistics.expected == statistics.received == 536 + 65_536 + 10


def test_gaps_are_listed_until_they_are_filled():
    statistics = heard([65_533, 65_535, 3])
    assert statistics.missing() == [65_534, 0, 1, 2]
    assert statistics.lost == 4
    statistics.feed(0, None, 0)
    assert statistics.missing() == [65_534, 1, 2]
    assert (statistics.lost, statistics.late, statistics.duplicates) == (3, 1, 0)


def test_repeated_packets_are_received_as_the_rfc_counts():
    statistics = heard([1, 2, 2, 4, 4, 1])
    assert (statistics.duplicates, statistics.late) == (3, 0)
    assert (statistics.received, statistics.expected, statistics.lost) == (6, 4, -2)
    assert statistics.missing() == [3]


def test_only_the_last_packets_are_listed():
    statistics = heard([0, 1000])
    assert statistics.missing() == list(range(1000 - rtp.WINDOW + 1, 1000))


@pytest.mark.parametrize("jump", [rtp.DROPOUT_MAX, 30_000, -rtp.MISORDER_MAX, -30_000])
def test_a_far_jump_is_believed_at_the_second_packet(jump):
    statistics = heard([40_000, 40_001, 40_001 + jump])
    assert (statistics.highest, statistics.received) == (40_001, 2)
    statistics.feed(40_002, None, 0)
    assert (statistics.highest, statistics.lost) == (40_002, 0)
    for sequence in (20, 21):
        statistics.feed(sequence, None, 0)
    assert (statistics.highest, statistics.received, statistics.expected) == (21, 1, 1)


def test_another_source_begins_anew():
    statistics = heard([1, 5])
    statistics.reset(0xCAFE)
    assert (statistics.ssrc, statistics.highest, statistics.received) == (0xCAFE, None, 0)
    statistics.feed(9, 0, 0)
    assert (statistics.lost, statistics.missing()) == (0, [])


def test_the_fraction_lost_is_of_the_last_interval():
    statistics = heard([n for n in range(100) if n % 4 or n == 0])
    assert statistics.take_fraction_lost() == 24 * 256 // 100
    assert statistics.take_fraction_lost() == 0
    for sequence in range(100, 150):
        statistics.feed(sequence, None, 0)
    assert statistics.take_fraction_lost() == 0
    statistics.feed(650, None, 0)
    assert statistics.take_fraction_lost() == 499 * 256 // 500
    statistics.feed(0, None, 0)
    assert statistics.take_fraction_lost() == 0


@given(st.sets(st.integers(0, 90), min_size=1), st.integers(0, 0xFFFF), st.randoms())
def test_loss_does_not_depend_on_the_order(came, start, random):
    order = sorted(came)
    first, rest = order[0], order[1:]
    random.shuffle(rest)
    statistics = heard([start + n for n in (first, *rest)])
    missing = sorted(set(range(order[0], order[-1])) - came)
    assert statistics.missing() == [start + n & 0xFFFF for n in missing]
    assert statistics.lost == len(missing)
    assert statistics.duplicates == 0


def test_packets_in_step_have_no_jitter():
    statistics = rtp.ReceiveStatistics()
    for n in range(100):
        statistics.feed(n, (0xFFFF_FF00 + n * TICKS) & 0xFFFF_FFFF, n * PACKET_NS)
    assert statistics.jitter == 0


def test_jitter_is_the_smoothed_difference_of_transit_times():
    """Every second packet comes 5 ms late, so that |D| is always 40 ticks."""
    statistics = rtp.ReceiveStatistics()
    for n in range(400):
        statistics.feed(n, n * TICKS, n * PACKET_NS + (n % 2) * 5 * MS)
    assert statistics.jitter in {39, 40}


def test_one_late_packet_counts_a_sixteenth_twice():
    statistics = rtp.ReceiveStatistics()
    for n, late_ms in enumerate((0, 0, 20, 0)):
        statistics.feed(n, n * TICKS, n * PACKET_NS + late_ms * MS)
    assert statistics.jitter == (160 + 160 - (160 + 8 >> 4)) >> 4


def test_packets_without_a_time_of_sampling_do_not_jitter():
    statistics = rtp.ReceiveStatistics()
    for n in range(10):
        statistics.feed(n, None if 3 < n < 7 else n * TICKS, n * PACKET_NS)
    assert (statistics.jitter, statistics.received) == (0, 10)


@given(st.lists(st.tuples(u16, u32 | st.none(), st.integers(0, 1 << 62)), max_size=60))
def test_any_packets_may_be_counted(packets):
    statistics = rtp.ReceiveStatistics()
    for packet in packets:
        statistics.feed(*packet)
        assert 0 <= statistics.take_fraction_lost() <= 255
        assert statistics.jitter >= 0
        assert len(statistics.missing()) < rtp.WINDOW


# -- retransmission ------------------------------------------------------------------------------


def noted(sequences: list[int]) -> rtp.NackList:
    nacks = rtp.NackList()
    for sequence in sequences:
        nacks.received(sequence)
    return nacks


def test_nothing_is_missing_from_a_whole_stream():
    nacks = rtp.NackList()
    assert not any(nacks.received(n & 0xFFFF) for n in range(65_500, 65_600))
    assert nacks.due(0, 0) == []


def test_a_gap_is_asked_for_at_once_then_once_a_round_trip_three_times_in_all():
    nacks = rtp.NackList()
    assert not nacks.received(65_534)
    assert nacks.received(1)
    assert nacks.due(0, 50 * MS) == [65_535, 0]
    assert nacks.due(49 * MS, 50 * MS) == []
    assert nacks.due(50 * MS, 50 * MS) == [65_535, 0]
    assert nacks.due(100 * MS, 50 * MS) == [65_535, 0]
    assert nacks.due(150 * MS, 50 * MS) == []


def test_what_came_is_not_asked_for():
    nacks = noted([1, 4])
    assert not nacks.received(2)
    assert nacks.due(0, 0) == [3]
    assert not nacks.received(3)
    assert not nacks.received(4)
    assert nacks.due(100 * MS, 0) == []


def test_a_short_round_trip_leaves_time_to_answer():
    nacks = noted([1, 3])
    assert nacks.due(0, 0) == [2]
    assert nacks.due(rtp.NACK_INTERVAL_NS_MIN - 1, 0) == []
    assert nacks.due(rtp.NACK_INTERVAL_NS_MIN, 0) == [2]


def test_what_can_no_longer_be_played_is_forgotten():
    nacks = noted([1, 3])
    assert nacks.due(0, 150 * MS) == [2]
    assert nacks.due(rtp.NACK_AGE_NS_MAX, 150 * MS) == []
    assert nacks.due(0, 0) == []


def test_more_than_can_be_played_is_not_asked_for():
    assert noted([0, rtp.NACK_ENTRIES_MAX]).due(0, 0) == list(range(1, rtp.NACK_ENTRIES_MAX))
    assert noted([0, rtp.NACK_ENTRIES_MAX + 1]).due(0, 0) == []
    many = noted(list(range(0, 400, 2)))
    assert many.due(0, 0) == list(range(399 - 2 * rtp.NACK_ENTRIES_MAX, 399, 2))


def test_a_restart_is_no_gap():
    nacks = noted([1000, 1002])
    assert not nacks.received(1)
    assert not nacks.received(2)
    assert nacks.due(0, 0) == []
    assert nacks.received(4)
    assert nacks.due(0, 0) == [3]


@pytest.mark.parametrize("stray", [3, 900, 5_000, 40_000])
def test_a_stray_packet_leaves_what_is_missing(stray):
    nacks = noted([1000, 1002])
    assert not nacks.received(stray)
    assert not nacks.received(1003)
    assert nacks.due(0, 0) == [1001]
    assert nacks.received(1005)
    assert nacks.due(0, 0) == [1004]


@given(st.lists(u16, max_size=200), st.integers(0, 300 * MS))
def test_the_list_is_bounded(sequences, rtt_ns):
    nacks = rtp.NackList()
    for n, sequence in enumerate(sequences):
        nacks.received(sequence)
        assert len(nacks.due(n * PACKET_NS, rtt_ns)) <= rtp.NACK_ENTRIES_MAX
