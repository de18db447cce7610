"""Our stream: sequence numbers, timestamps, markers and reports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.webrtc.outgoing import JUMP_TICKS_MAX, OutgoingStream, RtpStart
from media import rtcp, rtp

SECOND = 1_000_000_000


def stream(sequence: int = 10, timestamp: int = 1_000) -> OutgoingStream:
    return OutgoingStream(RtpStart(9, sequence, timestamp, "name"))


def packed(
    ours: OutgoingStream, timestamp_ms: int | None = None, size: int = 160
) -> tuple[int, bool, int]:
    """Pack some audio; return sequence number, marker and timestamp."""
    marker = ours.advance(size, timestamp_ms)
    return ours.sequence, marker, ours.timestamp


def test_packets_follow_one_another_and_the_first_is_marked() -> None:
    ours = stream()
    assert [packed(ours) for _ in range(3)] == [
        (11, True, 1_000),
        (12, False, 1_160),
        (13, False, 1_320),
    ]


def test_a_packets_length_moves_the_next_timestamp() -> None:
    ours = stream()
    packed(ours, size=320)
    assert packed(ours, size=80)[2] == 1_320
    assert packed(ours)[2] == 1_400


def test_sequence_and_timestamp_wrap() -> None:
    ours = stream(sequence=0xFFFE, timestamp=2**32 - 160)
    assert [packed(ours) for _ in range(3)] == [
        (0xFFFF, True, 2**32 - 160),
        (0, False, 0),
        (1, False, 160),
    ]


def test_a_gap_of_the_carriers_clock_is_a_gap_and_marked() -> None:
    ours = stream()
    assert packed(ours, 5_000) == (11, True, 1_000)
    assert packed(ours, 5_020) == (12, False, 1_160)
    assert packed(ours, 5_540) == (13, True, 1_160 + 8 * 520)
    assert packed(ours, 5_560) == (14, False, 1_160 + 8 * 540)


def test_a_gap_of_less_than_a_frame_is_kept_and_not_marked() -> None:
    ours = stream()
    packets = [packed(ours, at)[1:] for at in (0, 27, 47)]
    assert packets == [(True, 1_000), (False, 1_216), (False, 1_376)]


@pytest.mark.parametrize("restarted", [0, 4_000, 10**9, -5])
def test_a_clock_set_anew_goes_on_without_a_step(restarted: int) -> None:
    ours = stream()
    packed(ours, 5_000)
    assert packed(ours, restarted) == (12, False, 1_160)
    assert packed(ours, restarted + 60) == (13, True, 1_160 + 8 * 60)


def test_tones_without_a_time_do_not_push_the_carriers_audio_back() -> None:
    ours = stream()
    packed(ours, 0)
    for _ in range(3):
        packed(ours)
    assert packed(ours, 20) == (15, False, 1_640)
    assert packed(ours, 40) == (16, False, 1_800)


@given(st.lists(st.none() | st.integers(-(10**12), 10**12), max_size=50))
def test_timestamps_never_go_back_nor_far_ahead(times: list[int | None]) -> None:
    ours = stream()
    before = packed(ours)[2]
    for at in times:
        _, marker, timestamp = packed(ours, at)
        step = rtp.timestamp_delta(timestamp, before)
        assert 160 <= step <= 160 + JUMP_TICKS_MAX
        assert marker is (step >= 320)
        before = timestamp


def test_it_reports_what_it_has_sent() -> None:
    ours = stream()
    silent = ours.report(None, SECOND)
    assert silent[1] == rtcp.RECEIVER_REPORT
    packed(ours)
    packed(ours)
    (report,) = rtcp.parse(ours.report(None, SECOND))
    assert report == rtcp.SenderReport(9, rtcp.ntp_middle(SECOND), 2, 320)
    assert ours.behind_report(rtcp.bye(9))[1] == rtcp.RECEIVER_REPORT
    assert rtcp.parse(ours.behind_report(rtcp.bye(9))) == [rtcp.Bye(9)]
