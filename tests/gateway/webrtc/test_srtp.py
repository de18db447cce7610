"""SRTP and SRTCP of one peer, against libsrtp with the keys swapped."""

from __future__ import annotations

import pytest
from pylibsrtp import Error

from gateway.webrtc.dtls import PROFILES, SrtpKeys
from gateway.webrtc.srtp import REPLAY_WINDOW, SOURCES_MAX, SrtpTransport
from media import rtcp, rtp


def pair(
    profile: bytes = b"SRTP_AEAD_AES_128_GCM", ssrc: int = 1
) -> tuple[SrtpTransport, SrtpTransport]:
    """Return us and the peer, who both send as this SSRC."""
    number, key, salt = PROFILES[profile]
    ours, theirs = b"s" * (key + salt), b"c" * (key + salt)
    us = SrtpTransport(SrtpKeys(number, client=theirs, server=ours), ssrc)
    return us, SrtpTransport(SrtpKeys(number, client=ours, server=theirs), ssrc)


def packet(sequence: int, ssrc: int = 1) -> bytes:
    return rtp.pack(0, False, sequence, 160 * sequence, ssrc) + b"\x55" * 160


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_protected_is_unprotected_by_the_other_end_only(profile: bytes) -> None:
    us, peer = pair(profile)
    report = rtcp.receiver_report(1, None, "name")
    assert peer.unprotect(us.protect(packet(1))) == packet(1)
    assert us.unprotect(peer.protect(packet(1))) == packet(1)
    assert peer.unprotect_rtcp(us.protect_rtcp(report)) == report
    assert us.unprotect_rtcp(peer.protect_rtcp(report)) == report
    assert us.unprotect(us.protect(packet(2))) is None
    assert us.unprotect_rtcp(us.protect_rtcp(report)) is None
    assert us.bad_packets == 2


def test_what_has_come_before_does_not_come_again() -> None:
    us, peer = pair()
    sent = [peer.protect(packet(n)) for n in range(REPLAY_WINDOW + 1)]
    for datagram in sent:
        assert us.unprotect(datagram) is not None
    assert [us.unprotect(datagram) for datagram in (sent[0], sent[-1])] == [None, None]
    report = peer.protect_rtcp(rtcp.receiver_report(1, None, "name"))
    assert us.unprotect_rtcp(report) is not None
    assert us.unprotect_rtcp(report) is None
    assert (us.replayed, us.bad_packets) == (3, 0)


def test_the_counter_of_sequences_rolls_over() -> None:
    us, peer = pair()
    for sequence in (0xFFFD, 0xFFFE, 0xFFFF, 0, 1):
        assert us.unprotect(peer.protect(packet(sequence))) == packet(sequence)


def test_sources_are_bounded_over_both_kinds() -> None:
    us, _ = pair()
    peers = {ssrc: pair(ssrc=ssrc)[1] for ssrc in (*range(SOURCES_MAX), 99)}
    for ssrc in range(SOURCES_MAX):
        assert us.unprotect(peers[ssrc].protect(packet(1, ssrc))) is not None
    assert us.unprotect(peers[99].protect(packet(1, 99))) is None
    assert us.unprotect_rtcp(peers[99].protect_rtcp(rtcp.receiver_report(99, None, "n"))) is None
    assert us.unprotect(peers[0].protect(packet(2, 0))) is not None
    assert us.unprotect_rtcp(peers[0].protect_rtcp(rtcp.receiver_report(0, None, "n"))) is not None


def test_no_other_source_is_sent() -> None:
    us, _ = pair(ssrc=1)
    with pytest.raises(Error):
        us.protect(packet(1, ssrc=2))


def test_forged_packets_take_no_sources() -> None:
    us, peer = pair()
    for ssrc in range(1_000):
        forged = packet(1, ssrc) + bytes(16)
        assert us.unprotect(forged) is None
        assert us.unprotect_rtcp(forged) is None
    assert us.unprotect(peer.protect(packet(1))) is not None
    assert us.bad_packets == 2_000


@pytest.mark.parametrize("size", [0, 1, 7, 8, 11, 12, 27, 1_500, 1_501, 65_535])
def test_any_size_is_survived(size: int) -> None:
    us, _ = pair()
    assert us.unprotect(b"\x80" * size) is None
    assert us.unprotect_rtcp(b"\x80" * size) is None
