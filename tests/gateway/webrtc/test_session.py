"""One session, joined to a peer by lists: what passes, what does not, and how it ends."""

from __future__ import annotations

import random
import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ports import SessionState
from gateway.webrtc.dtls import PROFILES, make_certificate
from gateway.webrtc.host import Address, Credentials
from gateway.webrtc.sdp import parse_offer
from gateway.webrtc.session import (
    ADDRESSES_MAX,
    DATAGRAMS,
    HANDSHAKES,
    PACKETS,
    PAYLOAD_BYTES_MAX,
)
from gateway.webrtc.stun import BINDING_ERROR, BINDING_SUCCESS, binding_request
from media import rtcp
from tests.gateway.webrtc.peer import EVENT, RTP, Peer
from tests.gateway.webrtc.wire import HERE, MS, SECOND, SERVER_PASSWORD, THERE, Wire, take

AUDIO = bytes(range(160))
SILENCE = b"\xff" * 160


# -- the whole way -------------------------------------------------------------------------------


def test_a_session_goes_through_its_states_and_tells_once() -> None:
    wire = Wire()
    assert wire.session.state is SessionState.NEW
    wire.deliver(wire.peer.check())
    assert wire.session.state is SessionState.CHECKED
    for datagram, _ in take(wire.sent):
        wire.peer.receive(datagram)
    wire.deliver(wire.to_server.pop(0))
    assert wire.session.state is SessionState.SECURING
    assert wire.states == []
    wire.pump()
    wire.session.close()
    assert wire.states == [SessionState.CONNECTED, SessionState.CLOSED]
    assert (wire.connections, wire.ended) == (1, 1)


@pytest.mark.parametrize("profile", PROFILES)
def test_audio_arrives_unchanged_both_ways(profile: bytes) -> None:
    wire = Wire(profiles=profile).connect()
    frames = [random.Random(n).randbytes(160) for n in range(20)]
    for frame in frames:
        wire.peer.send_audio(frame)
        wire.session.send_audio(frame)
    wire.pump()
    assert [payload for _, _, payload in wire.audio] == frames
    assert [payload for *_, payload in wire.peer.audio] == frames
    assert wire.session.packets_in == wire.session.packets_out == 20
    first = wire.audio[0]
    assert [(s - first[0] & 0xFFFF, t - first[1] & 0xFFFFFFFF) for s, t, _ in wire.audio] == [
        (n, 160 * n) for n in range(20)
    ]


def test_nothing_is_sent_before_it_is_connected() -> None:
    wire = Wire()
    wire.session.send_audio(AUDIO)
    wire.deliver(wire.peer.check())
    take(wire.sent)
    wire.session.send_audio(AUDIO)
    assert wire.sent == []


@pytest.mark.parametrize(("size", "is_sent"), [(1, True), (PAYLOAD_BYTES_MAX, True), (961, False)])
def test_a_packet_has_a_largest_size(size: int, is_sent: bool) -> None:
    wire = Wire().connect()
    wire.session.send_audio(b"\x7f" * size)
    assert bool(wire.sent) is is_sent
    assert all(len(datagram) <= 1_200 for datagram, _ in wire.sent)


def test_timestamps_follow_the_carriers_clock() -> None:
    wire = Wire().connect()
    for timestamp_ms in (1_000, 1_020, None, 1_060, 1_560):
        wire.session.send_audio(AUDIO, timestamp_ms)
    wire.pump()
    start = wire.peer.audio[0][1]
    assert [(t - start & 0xFFFFFFFF, marker) for _, t, marker, _ in wire.peer.audio] == [
        (0, True),
        (160, False),
        (320, False),
        (480, False),
        (480 + 8 * 500, True),
    ]


def test_a_failure_of_srtp_ends_the_session_and_raises_nothing() -> None:
    wire = Wire().connect()
    wire.session.send_audio(AUDIO)
    # No two packets are protected with one sequence number.
    wire.session._stream.sequence -= 1
    wire.session.send_audio(AUDIO)
    assert wire.session.state is SessionState.FAILED


# -- checks --------------------------------------------------------------------------------------


def test_a_check_is_answered_with_the_address_it_came_from() -> None:
    wire = Wire()
    for use_candidate in (False, True, False):
        ((answer, address),) = wire.check(use_candidate=use_candidate)
        assert answer[:2] == BINDING_SUCCESS
        assert address == HERE
        wire.peer.receive(answer)
    assert wire.peer.answered_checks == 3
    assert wire.peer.mapped == HERE


def test_an_ipv6_check_is_answered() -> None:
    wire = Wire()
    ((answer, address),) = wire.check(("2001:db8::7", 50_000, 0, 0))
    wire.peer.receive(answer)
    assert wire.peer.mapped == ("2001:db8::7", 50_000)
    assert address == ("2001:db8::7", 50_000, 0, 0)


@pytest.mark.parametrize("password", ["", "0" * 32, SERVER_PASSWORD[:-1]])
def test_a_check_without_our_password_is_not_answered_and_changes_nothing(password: str) -> None:
    wire = Wire()
    assert wire.check(password=password) == []
    assert wire.session.state is SessionState.NEW
    assert wire.latched == {}


def test_a_check_of_another_remote_peer_is_not_answered() -> None:
    wire = Wire()
    wire.peer.ufrag = "someone"
    assert wire.check() == []
    assert wire.latched == {}


@pytest.mark.parametrize(("is_controlling", "code"), [(False, 87), (True, 20)])
def test_a_check_that_cannot_be_served_is_told_why_and_latches_nothing(
    is_controlling: bool, code: int
) -> None:
    wire = Wire()
    request = binding_request(
        f"server01:{wire.peer.ufrag}",
        SERVER_PASSWORD.encode(),
        transaction_id=bytes(12),
        priority=1,
        use_candidate=True,
        tie_breaker=1,
        is_controlling=is_controlling,
    )
    if is_controlling:
        request = with_unknown_attribute(wire)
    wire.deliver(request)
    ((answer, _),) = wire.sent
    assert answer[:2] == BINDING_ERROR
    assert bytes([0, 0, 4, code]) in answer
    assert wire.latched == {}
    assert wire.session.state is SessionState.NEW


def with_unknown_attribute(wire: Wire) -> bytes:
    """Return an intact check that depends on attribute 0x7001."""
    from gateway.webrtc import stun

    body = stun._attribute(stun.USERNAME, f"server01:{wire.peer.ufrag}".encode())
    body += stun._attribute(0x7001, b"1234")
    return stun._message(stun.BINDING_REQUEST, bytes(12), body, SERVER_PASSWORD.encode())


def test_the_address_moves_with_the_nomination_only() -> None:
    wire = Wire().connect()
    wire.check(THERE, use_candidate=False)
    wire.session.send_audio(AUDIO)
    assert wire.sent.pop()[1] == HERE
    wire.check(THERE, use_candidate=True)
    wire.session.send_audio(AUDIO)
    assert wire.sent.pop()[1] == THERE


def test_audio_comes_from_every_latched_address_and_no_other() -> None:
    wire = Wire().connect()
    wire.deliver(wire.peer.packet(AUDIO), THERE)
    assert wire.audio == []
    assert wire.session.wrong_source == 1
    wire.check(THERE, use_candidate=False)
    wire.deliver(wire.peer.packet(AUDIO), THERE)
    wire.deliver(wire.peer.packet(AUDIO), HERE)
    assert len(wire.audio) == 2


def test_dtls_from_elsewhere_is_ignored() -> None:
    wire = Wire()
    wire.check()
    wire.peer.say_hello()
    wire.deliver(wire.to_server[0], THERE)
    assert wire.sent == []
    assert wire.session.state is SessionState.CHECKED


def test_latched_addresses_are_bounded_and_the_nominated_one_stays() -> None:
    wire = Wire().connect()
    others: list[Address] = [("203.0.113.9", 1_000 + n) for n in range(50)]
    for other in others:
        wire.check(other, use_candidate=False)
    assert len(wire.session.addresses) == len(wire.latched) == ADDRESSES_MAX
    assert set(wire.latched) == {HERE, *others[-ADDRESSES_MAX + 1 :]}


# -- ICE restart ---------------------------------------------------------------------------------


def test_an_ice_restart_keeps_the_keys_and_the_old_path_until_the_new_is_nominated() -> None:
    wire = Wire().connect()
    peer, session = wire.peer, wire.session
    old = peer.remote_ufrag, peer.remote_password, peer.ufrag
    offer = parse_offer(peer.offer(renew=True))
    session.restart(offer, Credentials("server02", "e" * 32, peer.ufrag))
    new = "server02", "e" * 32, peer.ufrag
    assert session.ufrags == ["server01", "server02"]

    def use(credentials: tuple[str, str, str]) -> None:
        peer.remote_ufrag, peer.remote_password, peer.ufrag = credentials

    use(old)
    assert wire.check()
    use(new)
    assert wire.check(THERE, use_candidate=False)
    assert wire.retired == []
    use(old)
    assert wire.check()
    use(new)
    assert wire.check(THERE, use_candidate=True)
    assert wire.retired == ["server01"]
    assert session.ufrags == ["server02"]
    use(old)
    assert wire.check() == []
    session.send_audio(AUDIO)
    datagram, address = wire.sent.pop()
    peer.receive(datagram)
    assert (peer.audio[0][3], address) == (AUDIO, THERE)
    wire.deliver(peer.packet(AUDIO), THERE)
    assert len(wire.audio) == 1
    assert wire.states == [SessionState.CONNECTED]


def test_a_second_restart_replaces_one_that_led_nowhere() -> None:
    wire = Wire().connect()
    for number in (2, 3):
        offer = parse_offer(wire.peer.offer(renew=True))
        credentials = Credentials(f"server0{number}", "e" * 32, wire.peer.ufrag)
        wire.session.restart(offer, credentials)
    assert wire.session.ufrags == ["server01", "server03"]
    assert wire.retired == ["server02"]


# -- keys ----------------------------------------------------------------------------------------


def test_a_peer_with_another_certificate_gets_no_audio() -> None:
    wire = Wire(certificate=make_certificate(datetime.now(UTC)))
    wire.peer.fingerprint = "00:" * 31 + "00"
    wire.session = wire._make_session()
    wire.peer.connect()
    wire.pump()
    assert wire.session.state is SessionState.FAILED
    assert wire.states == [SessionState.FAILED]
    wire.session.send_audio(AUDIO)
    assert wire.sent == []
    if wire.peer.protect is not None:
        wire.deliver(wire.peer.packet(AUDIO))
    assert wire.audio == []


def test_a_replayed_packet_is_dropped_and_counted() -> None:
    wire = Wire().connect()
    packets = [wire.peer.packet(AUDIO) for _ in range(300)]
    for packet in packets:
        wire.deliver(packet)
    for packet in (packets[0], packets[171], packets[299]):
        wire.deliver(packet)
    assert len(wire.audio) == 300
    assert wire.session.replayed == 3


def test_packets_out_of_order_pass_within_the_window() -> None:
    wire = Wire().connect()
    packets = [wire.peer.packet(AUDIO) for _ in range(120)]
    wire.deliver(packets[-1])
    for packet in packets[:-1]:
        wire.deliver(packet)
    assert len(wire.audio) == 120


def test_a_packet_that_is_not_proven_changes_nothing() -> None:
    wire = Wire().connect()
    wire.deliver(wire.peer.packet(AUDIO))
    packet = wire.peer.packet(AUDIO)
    at = wire.now_ns
    wire.now_ns += SECOND
    for index in range(1, len(packet)):
        forged = packet[:index] + bytes([packet[index] ^ 1]) + packet[index + 1 :]
        wire.deliver(forged)
    for size in range(1, len(packet)):
        wire.deliver(packet[:size])
    wire.deliver(packet + b"\0")
    wire.deliver(b"\x80" * 1_500)
    assert len(wire.audio) == 1
    assert wire.session.last_in_ns == at
    assert wire.session.statistics.ssrc == wire.peer.ssrc
    wire.deliver(packet)
    assert len(wire.audio) == 2


def test_another_source_is_heard_once_it_is_proven_and_sources_are_bounded() -> None:
    wire = Wire().connect()
    wire.deliver(wire.peer.packet(AUDIO))
    first = wire.peer.ssrc
    for number in range(40):
        wire.peer.ssrc = number
        wire.deliver(wire.peer.packet(AUDIO))
    assert len(wire.audio) == 16
    assert wire.session.statistics.ssrc == 14
    wire.peer.ssrc = first
    wire.deliver(wire.peer.packet(AUDIO))
    assert len(wire.audio) == 17


@pytest.mark.parametrize("payload", [b"", b"\x7f" * (PAYLOAD_BYTES_MAX + 1)])
def test_audio_of_an_impossible_size_is_not_passed_on(payload: bytes) -> None:
    wire = Wire().connect()
    wire.deliver(wire.peer.packet(payload))
    assert wire.audio == []


def test_other_payload_types_are_ignored() -> None:
    wire = Wire().connect()
    for payload_type in (8, 13, 96, 111, 127):
        wire.deliver(wire.peer.packet(AUDIO, payload_type))
    assert wire.audio == []
    assert wire.digits == []


def test_a_csrc_list_an_extension_and_padding_are_no_audio() -> None:
    wire = Wire().connect()
    peer = wire.peer
    assert peer.protect is not None
    header = RTP.pack(0x80 | 0x20 | 0x10 | 2, 0, 9, 160, peer.ssrc)
    body = bytes(8) + b"\xbe\xde\x00\x01abcd" + AUDIO + b"\0\0\0\x04"
    wire.deliver(peer.protect(header + body))
    assert wire.audio == [(9, 160, AUDIO)]


def test_a_proven_packet_that_cannot_be_read_is_ignored() -> None:
    wire = Wire().connect()
    assert wire.peer.protect is not None
    header = RTP.pack(0x80 | 0x20, 0, 9, 160, wire.peer.ssrc)
    wire.deliver(wire.peer.protect(header + AUDIO + b"\xff"))
    assert wire.audio == []
    assert wire.session.packets_in == 0


# -- digits, reports, retransmission -------------------------------------------------------------


def event(code: int, duration: int, *, is_end: bool = False) -> bytes:
    """Return the payload of a telephone event (RFC 4733, 2.3)."""
    return struct.pack("!BBH", code, 0x80 * is_end | 10, duration)


def test_a_digit_is_told_once_at_its_end() -> None:
    wire = Wire().connect()
    for payload in (event(5, 160), event(5, 320), *[event(5, 800, is_end=True)] * 3):
        wire.deliver(wire.peer.packet(payload, EVENT, ticks=0))
    assert wire.digits == [("5", 100)]


def test_a_digit_whose_end_is_lost_is_told_later() -> None:
    wire = Wire().connect()
    wire.deliver(wire.peer.packet(event(11, 800), EVENT))
    for _ in range(4):
        wire.now_ns += 100 * MS
        wire.session.tick(wire.now_ns)
    assert wire.digits == [("#", 100)]


def test_reports_are_sent_once_a_second_and_tell_the_round_trip() -> None:
    wire = Wire().connect()
    wire.session.send_audio(AUDIO)
    wire.deliver(wire.peer.packet(AUDIO))
    for _ in range(35):
        wire.now_ns += 100 * MS
        wire.session.tick(wire.now_ns)
    wire.pump()
    assert len(wire.peer.rtcp) in (3, 4)
    report, block = rtcp.parse(wire.peer.rtcp[-1])
    assert isinstance(report, rtcp.SenderReport)
    assert isinstance(block, rtcp.ReportBlock)
    assert (report.ssrc, report.packets, report.octets) == (7_000, 1, 160)
    assert (block.ssrc, block.lost) == (wire.peer.ssrc, 0)

    sent_at = wire.now_ns
    wire.session._report(wire.now_ns)
    wire.pump()
    report = rtcp.parse(wire.peer.rtcp[-1])[0]
    assert isinstance(report, rtcp.SenderReport)
    wire.now_ns = sent_at + 250 * MS
    held = rtcp.ReportBlock(7_000, 64, 3, 1, 16, lsr=report.ntp_middle, dlsr=65_536 // 10)
    wire.peer.send_rtcp(rtcp.receiver_report(wire.peer.ssrc, held, "peer"))
    wire.pump()
    assert wire.session.remote_report == held
    assert wire.session.media_rtt_ns == pytest.approx(150 * MS, abs=MS)
    assert wire.session.quality.rtt_ms == pytest.approx(150, abs=1)


def test_a_report_answers_the_peers_own() -> None:
    wire = Wire().connect()
    wire.deliver(wire.peer.packet(AUDIO))
    theirs = rtcp.sender_report(
        wire.peer.ssrc, 5 * SECOND, 0, packets=1, octets=160, block=None, cname="peer"
    )
    wire.peer.send_rtcp(theirs)
    wire.pump()
    wire.now_ns += SECOND
    wire.session.tick(wire.now_ns)
    wire.pump()
    block = rtcp.parse(wire.peer.rtcp[-1])[0]
    assert isinstance(block, rtcp.ReportBlock)
    assert block.lsr == rtcp.ntp_middle(5 * SECOND)
    assert block.dlsr == 65_536


def test_missing_packets_are_asked_for_and_their_repetition_is_heard() -> None:
    wire = Wire().connect()
    packets = [wire.peer.packet(bytes([n]) * 160) for n in range(6)]
    for packet in (packets[0], packets[1], packets[4]):
        wire.deliver(packet)
    wire.pump()
    first = wire.audio[0][0]
    nack = rtcp.Nack(wire.peer.ssrc, (first + 2, first + 3))
    assert nacks_in(wire) == [nack]
    wire.now_ns += 100 * MS
    wire.session.tick(wire.now_ns)
    wire.pump()
    assert nacks_in(wire) == [nack, nack]
    for packet in packets[2:4]:
        wire.deliver(packet)
    assert [payload[0] for _, _, payload in wire.audio] == [0, 1, 4, 2, 3]
    wire.now_ns += 100 * MS
    wire.deliver(packets[5])
    assert wire.session.quality.lost == 0
    assert wire.sent == []


def nacks_in(wire: Wire) -> list[rtcp.RtcpEvent]:
    """Return what the peer has been asked for."""
    events = [event for compound in wire.peer.rtcp for event in rtcp.parse(compound)]
    return [event for event in events if isinstance(event, rtcp.Nack)]


def test_nothing_is_asked_for_where_the_offer_has_no_nack() -> None:
    wire = Wire()
    offer = wire.peer.offer().replace("a=rtcp-fb:0 nack\r\n", "")
    wire.peer.offer = lambda *, renew=False: offer
    wire.session = wire._make_session()
    wire.connect()
    packets = [wire.peer.packet(AUDIO) for _ in range(4)]
    wire.deliver(packets[0])
    wire.deliver(packets[3])
    assert wire.sent == []


# -- time ----------------------------------------------------------------------------------------


def test_a_session_that_does_not_connect_fails_in_time() -> None:
    wire = Wire()
    wire.check()
    wire.session.tick(wire.now_ns + 10 * SECOND - 1)
    assert wire.states == []
    wire.session.tick(wire.now_ns + 10 * SECOND)
    assert wire.states == [SessionState.FAILED]
    assert wire.ended == 1


def test_consent_expires_whatever_else_arrives() -> None:
    wire = Wire().connect()
    for _ in range(29):
        wire.now_ns += SECOND
        wire.deliver(wire.peer.packet(AUDIO))
        wire.session.tick(wire.now_ns)
    wire.check()
    for _ in range(29):
        wire.now_ns += SECOND
        wire.session.tick(wire.now_ns)
    assert wire.session.state is SessionState.CONNECTED
    wire.now_ns += SECOND
    wire.session.tick(wire.now_ns)
    assert wire.states == [SessionState.CONNECTED, SessionState.FAILED]
    take(wire.sent)
    wire.session.send_audio(AUDIO)
    wire.session.tick(wire.now_ns + SECOND)
    assert wire.sent == []


def test_a_lost_flight_is_repeated() -> None:
    wire = Wire()
    wire.check()
    wire.peer.say_hello()
    wire.deliver(wire.to_server.pop())
    lost = take(wire.sent)
    wire.session.tick(wire.now_ns + 100 * MS)
    assert wire.sent == []
    wire.session.tick(wire.now_ns + 500 * MS)
    assert wire.sent == lost
    wire.pump()
    assert wire.session.state is SessionState.CONNECTED


# -- the end -------------------------------------------------------------------------------------


def test_close_says_bye_and_close_notify_once() -> None:
    wire = Wire().connect()
    wire.deliver(wire.peer.packet(AUDIO))
    wire.session.close()
    wire.session.close()
    assert len(wire.sent) == 2
    wire.pump()
    assert rtcp.parse(wire.peer.rtcp[-1])[-1] == rtcp.Bye(7_000)
    assert wire.peer.closed_by_server
    assert wire.states == [SessionState.CONNECTED, SessionState.CLOSED]


def test_close_before_anything_says_nothing() -> None:
    wire = Wire()
    wire.session.close()
    assert wire.sent == []
    assert wire.states == [SessionState.CLOSED]
    assert wire.check() == []


@pytest.mark.parametrize("has_spoken", [False, True])
def test_the_peers_close_notify_ends_the_session(has_spoken: bool) -> None:
    wire = Wire().connect()
    if has_spoken:
        wire.deliver(wire.peer.packet(AUDIO))
    wire.peer.close()
    wire.pump()
    assert wire.states == [SessionState.CONNECTED, SessionState.CLOSED]


def test_the_peers_bye_ends_the_session() -> None:
    wire = Wire().connect()
    wire.deliver(wire.peer.packet(AUDIO))
    wire.peer.say_bye()
    wire.pump()
    assert wire.states == [SessionState.CONNECTED, SessionState.CLOSED]
    assert wire.peer.closed_by_server


def test_a_bye_of_a_source_that_is_not_heard_ends_nothing() -> None:
    wire = Wire().connect()
    wire.deliver(wire.peer.packet(AUDIO))
    heard, wire.peer.ssrc = wire.peer.ssrc, 5
    wire.peer.say_bye()
    wire.pump()
    wire.peer.ssrc = heard
    assert wire.session.state is SessionState.CONNECTED


def test_an_ended_session_takes_nothing_and_holds_nobody() -> None:
    wire = Wire().connect()
    packet = wire.peer.packet(AUDIO)
    wire.session.close()
    take(wire.sent)
    wire.deliver(packet)
    wire.deliver(wire.peer.check())
    wire.deliver(b"\x16\xfe\xfd" + bytes(20))
    wire.session.tick(wire.now_ns + 100 * SECOND)
    assert wire.sent == []
    assert wire.audio == []
    assert len(wire.states) == 2
    assert wire.session.listener is None


# -- floods --------------------------------------------------------------------------------------


@settings(max_examples=3 * settings.default.max_examples)
@given(st.binary(min_size=1, max_size=300))
def test_noise_before_a_check_is_never_answered(noise: bytes) -> None:
    wire = Wire()
    wire.deliver(noise)
    assert wire.sent == []
    assert wire.session.state is SessionState.NEW


def test_a_living_session_outlives_mutations_of_everything_it_knows() -> None:
    wire = Wire().connect()
    chance = random.Random(7)
    wire.deliver(wire.peer.packet(AUDIO))
    wire.peer.send_rtcp(rtcp.receiver_report(wire.peer.ssrc, None, "peer"))
    assert wire.peer.ssl is not None
    wire.peer.ssl.send(b"data")
    samples = [
        wire.peer.check(),
        wire.peer.packet(AUDIO),
        wire.to_server.pop(),
        *wire.peer.flight(),
        fresh_hello(),
    ]
    for _ in range(5_000):
        sample = bytearray(chance.choice(samples))
        # The last eight bytes of a check, its FINGERPRINT, are not under its integrity.
        for at in chance.sample(range(4, len(sample) - 8), chance.randint(1, 5)):
            sample[at] ^= chance.randrange(1, 256)
        if chance.random() < 0.2:
            del sample[chance.randrange(1, len(sample)) :]
        wire.deliver(bytes(sample))
        wire.now_ns += DATAGRAMS.frame_ns
    assert wire.sent == []
    assert len(wire.audio) == 1
    assert wire.states == [SessionState.CONNECTED]
    wire.deliver(samples[1])
    wire.session.send_audio(SILENCE)
    wire.pump()
    assert len(wire.audio) == 2
    assert wire.peer.audio[-1][3] == SILENCE
    assert len(wire.check()) == 1


def test_more_packets_than_anybody_speaks_are_dropped_and_then_end_the_session() -> None:
    wire = Wire().connect()
    sent = 0
    while wire.session.state is SessionState.CONNECTED:
        wire.deliver(wire.peer.packet(AUDIO))
        sent += 1
        wire.now_ns += DATAGRAMS.frame_ns  # 500 a second
    assert len(wire.audio) <= PACKETS.burst_frames + sent * DATAGRAMS.frame_ns / PACKETS.frame_ns
    assert len(wire.audio) + wire.session.excess == sent
    assert PACKETS.excess_frames_max < wire.session.excess < 2 * PACKETS.excess_frames_max
    assert wire.states[-1] is SessionState.FAILED


def test_what_is_not_proven_is_not_looked_at_beyond_a_rate_and_ends_nothing() -> None:
    wire = Wire().connect()
    forged = b"\x80" + bytes(171)
    for _ in range(50_000):
        wire.deliver(forged)
    assert wire.session.bad_packets <= DATAGRAMS.burst_frames
    assert wire.session.bad_packets + wire.session.excess == 50_000
    wire.now_ns += 2 * SECOND
    wire.deliver(wire.peer.packet(AUDIO))
    assert len(wire.audio) == 1
    assert wire.states == [SessionState.CONNECTED]


def test_checks_beyond_a_rate_are_not_answered() -> None:
    wire = Wire().connect()
    answers = sum(len(wire.check()) for _ in range(1_000))
    assert HANDSHAKES.burst_frames - 10 <= answers <= HANDSHAKES.burst_frames
    wire.now_ns += SECOND
    assert len(wire.check()) == 1


def fresh_hello() -> bytes:
    """Return the ClientHello of somebody else."""
    datagrams: list[bytes] = []
    Peer(datagrams.append).say_hello()
    return datagrams[0]
