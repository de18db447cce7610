"""Offers of real browsers are answered; hostile ones raise OfferError and nothing else."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from aiortc import RTCSessionDescription
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import OfferError
from gateway.webrtc import sdp
from gateway.webrtc.sdp import parse_offer, write_answer

DATA = Path(__file__).parent / "data"
OFFERS = {path.stem: path.read_text().replace("\n", "\r\n") for path in DATA.glob("*.sdp")}
FIREFOX, CHROMIUM = OFFERS["firefox_audio"], OFFERS["chromium_audio"]

ANSWER = sdp.SdpAnswer(
    session_id=4611686018427387903,
    ufrag="lUfr",
    password="p" * 24,
    fingerprint=":".join(["AB"] * 32),
    candidates=[("198.51.100.7", 7882), ("2001:db8::7", 7883)],
    ssrc=4294967295,
    cname="c0ffee",
    ptime_ms=20,
)


def code_of(text: str) -> str:
    with pytest.raises(OfferError) as caught:
        parse_offer(text)
    return caught.value.code


def without(text: str, *names: str) -> str:
    """Return an offer without these attributes."""
    return "".join(
        line
        for line in text.splitlines(keepends=True)
        if not re.match(rf"a=({'|'.join(names)})\b", line)
    )


def answered(text: str) -> list[str]:
    answer = write_answer(parse_offer(text), ANSWER)
    assert answer.endswith("\r\n")
    assert "\n" not in answer.replace("\r\n", "")
    return answer.splitlines()


# -- offers of browsers --------------------------------------------------------------------------


@pytest.mark.parametrize("name", OFFERS)
def test_each_browser_is_understood(name):
    offer = parse_offer(OFFERS[name])
    lines = OFFERS[name].splitlines()
    assert offer.payload_type == 0
    assert f"a=rtpmap:{offer.telephone_event} telephone-event/8000" in lines
    assert f"a=ice-ufrag:{offer.ufrag}" in lines
    assert f"a=ice-pwd:{offer.password}" in lines
    assert [f"a=fingerprint:{kind} {digest}" for kind, digest in offer.fingerprints] == [
        next(line for line in lines if line.startswith("a=fingerprint"))
    ]
    assert (offer.mid, offer.is_bundled, offer.has_nack) == ("0", True, False)
    assert offer.direction == ("recvonly" if "recvonly" in name else "sendrecv")
    assert offer.has_reduced_rtcp == ("chromium" in name)


def test_line_ends_may_be_of_either_kind():
    assert parse_offer(CHROMIUM.replace("\r\n", "\n")) == parse_offer(CHROMIUM)
    assert parse_offer(CHROMIUM.rstrip()) == parse_offer(CHROMIUM)


def test_the_answer_to_firefox_word_for_word():
    assert answered(FIREFOX) == [
        "v=0",
        "o=- 4611686018427387903 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        "a=group:BUNDLE 0",
        "a=msid-semantic:WMS *",
        "m=audio 7882 UDP/TLS/RTP/SAVPF 0 101",
        "c=IN IP4 198.51.100.7",
        "a=rtcp-mux",
        "a=ice-ufrag:lUfr",
        "a=ice-pwd:pppppppppppppppppppppppp",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:passive",
        "a=mid:0",
        "a=sendrecv",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=msid:phone phone",
        "a=ssrc:4294967295 cname:c0ffee",
        "a=candidate:1 1 udp 2130706431 198.51.100.7 7882 typ host",
        "a=candidate:2 1 udp 2130706175 2001:db8::7 7883 typ host",
        "a=end-of-candidates",
    ]


def test_video_and_data_are_refused():
    lines = answered(OFFERS["chromium_audio_video_data"])
    at = next(index for index, line in enumerate(lines) if line.startswith("m=video"))
    assert lines[at:] == [
        "m=video 0 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        "a=mid:1",
        "a=inactive",
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=mid:2",
        "a=inactive",
    ]
    assert "a=group:BUNDLE 0" in lines


@pytest.mark.parametrize("name", OFFERS)
def test_another_implementation_reads_the_answer(name):
    answer = write_answer(parse_offer(OFFERS[name]), ANSWER)
    RTCSessionDescription(sdp=answer, type="answer")
    description = SessionDescription.parse(answer)
    audio = description.media[0]
    assert (audio.kind, audio.port, audio.rtp.muxId) == ("audio", 7882, "0")
    assert [codec.mimeType for codec in audio.rtp.codecs] == ["audio/PCMU", "audio/telephone-event"]
    assert [candidate.ip for candidate in audio.ice_candidates] == ["198.51.100.7", "2001:db8::7"]
    assert audio.ice.iceLite
    assert audio.dtls.role == "server"
    assert len(description.media) == OFFERS[name].count("\r\nm=")


@pytest.mark.parametrize(
    ("offered", "answer"),
    [
        ("sendrecv", "sendrecv"),
        ("sendonly", "recvonly"),
        ("recvonly", "sendonly"),
        ("inactive", "inactive"),
    ],
)
def test_the_direction_is_mirrored(offered, answer):
    lines = answered(CHROMIUM.replace("a=sendrecv", f"a={offered}"))
    assert f"a={answer}" in lines
    sends = answer.startswith("send")
    assert any(line.startswith("a=msid:") for line in lines) == sends
    assert any(line.startswith("a=ssrc:") for line in lines) == sends


def test_a_direction_may_be_said_for_the_whole_session_or_not_at_all():
    session = FIREFOX.replace("a=sendrecv", "a=sendonly", 1)
    assert parse_offer(session).direction == "sendrecv"
    last = session.rindex("a=sendrecv\r\n")
    session = session[:last] + session[last + len("a=sendrecv\r\n") :]
    assert parse_offer(session).direction == "sendonly"
    assert parse_offer(without(FIREFOX, "sendrecv")).direction == "sendrecv"


@pytest.mark.parametrize(
    ("feedback", "has_nack"),
    [("0 nack", True), ("* nack", True), ("0 nack pli", False), ("111 nack", False), ("0", False)],
)
def test_retransmission_is_echoed_where_it_is_offered(feedback, has_nack):
    text = CHROMIUM + f"a=rtcp-fb:{feedback}\r\n"
    assert parse_offer(text).has_nack == has_nack
    assert ("a=rtcp-fb:0 nack" in answered(text)) == has_nack
    assert "a=rtcp-rsize" in answered(text)


def test_one_stream_without_bundle_mid_and_digits():
    text = without(CHROMIUM, "group", "mid", "rtcp-rsize").replace(
        "telephone-event/8000", "telephone-event/16000"
    )
    offer = parse_offer(text)
    assert (offer.mid, offer.is_bundled, offer.telephone_event) == (None, False, None)
    lines = answered(text)
    assert "m=audio 7882 UDP/TLS/RTP/SAVPF 0" in lines
    assert not [line for line in lines if re.match("a=(group|mid|rtcp-rsize|fmtp)", line)]


def test_an_address_of_the_other_family_may_lead():
    answer = replace(ANSWER, candidates=[("2001:db8::7", 7883)], version=2)
    lines = write_answer(parse_offer(CHROMIUM), answer).splitlines()
    assert "c=IN IP6 2001:db8::7" in lines
    assert lines[1].endswith(" 2 IN IP4 127.0.0.1")


# -- which section, which payload type -----------------------------------------------------------


@pytest.mark.parametrize(
    ("rtpmap", "formats", "expected"),
    [
        ("", "0", 0),
        ("a=rtpmap:100 pcmu/8000/1\r\n", "111 100", 100),
        ("a=rtpmap:0 opus/48000/2\r\n", "0", None),
        ("a=rtpmap:72 PCMU/8000\r\n", "72", None),
        ("a=rtpmap:200 PCMU/8000\r\n", "200", None),
        ("a=rtpmap:x PCMU/8000\r\n", "x", None),
        ("a=rtpmap:100 PCMU/16000\r\n", "100", None),
        ("a=rtpmap:100 PCMU/8000\r\n", "111", None),
        ("a=rtpmap\r\n", "111", None),
    ],
)
def test_pcmu_is_found_by_number_or_by_name(rtpmap, formats, expected):
    text = without(CHROMIUM, "rtpmap").replace("111 63 9 0 8 13 110 126", formats) + rtpmap
    if expected is None:
        assert code_of(text) == "no_pcmu"
    else:
        assert parse_offer(text).payload_type == expected


def test_the_first_section_that_can_be_taken_is_taken():
    start = CHROMIUM.index("m=audio")
    audio = CHROMIUM[start:].replace("a=mid:0", "a=mid:1")
    dead = CHROMIUM.replace("m=audio 57514", "m=audio 0")
    assert code_of(dead) == "no_audio"
    offer = parse_offer(dead + audio)
    assert [section.is_taken for section in offer.sections] == [False, True]
    assert (offer.mid, offer.is_bundled) == ("1", False)
    without_pcmu = CHROMIUM.replace(" 0 8 13 ", " 8 13 ")
    assert parse_offer(without_pcmu + audio).mid == "1"
    assert [section.is_taken for section in parse_offer(CHROMIUM + audio).sections] == [True, False]


def test_a_bundled_section_may_leave_its_transport_to_the_leading_one():
    names = ("ice-ufrag", "ice-pwd", "fingerprint", "setup", "rtcp-mux")
    start = CHROMIUM.index("m=audio")
    session = CHROMIUM[:start].replace("BUNDLE 0", "BUNDLE v 0")
    audio = CHROMIUM[start:].replace("m=audio 57514", "m=audio 0") + "a=bundle-only\r\n"
    video = CHROMIUM[start:].replace("m=audio", "m=video").replace("a=mid:0", "a=mid:v")
    offer = parse_offer(session + video + without(audio, *names))
    assert (offer.mid, offer.ufrag) == ("0", parse_offer(CHROMIUM).ufrag)
    assert code_of(CHROMIUM[:start] + video + without(audio, *names)) == "no_rtcp_mux"


def test_a_hundred_sections_are_answered_and_no_thousand():
    start = CHROMIUM.index("m=audio")
    session, audio = CHROMIUM[:start], CHROMIUM[start:]
    refused = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
    assert sum(line.startswith("m=") for line in answered(session + refused * 99 + audio)) == 100
    most = session + refused * (sdp.SECTIONS_MAX - 1) + audio
    assert len(parse_offer(most).sections) == sdp.SECTIONS_MAX
    assert code_of("v=0\n" + "m=a 9 b c\n" * (sdp.SECTIONS_MAX + 1)) == "too_long"


# -- what cannot be answered ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "malformed"),
        ("v=1\r\n", "malformed"),
        ("v=0\r\n", "no_audio"),
        (CHROMIUM.replace("m=audio", "m=video"), "no_audio"),
        (CHROMIUM.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "no_audio"),
        (CHROMIUM.replace(" 0 8 13 ", " 8 13 "), "no_pcmu"),
        (without(CHROMIUM, "ice-ufrag"), "no_ice"),
        (without(CHROMIUM, "ice-pwd"), "no_ice"),
        (without(CHROMIUM, "fingerprint"), "no_fingerprint"),
        (CHROMIUM.replace("sha-256", "sha-1"), "no_fingerprint"),
        (without(CHROMIUM, "rtcp-mux"), "no_rtcp_mux"),
        (CHROMIUM.replace("actpass", "passive"), "bad_setup"),
        (CHROMIUM.replace("actpass", "holdconn"), "bad_setup"),
        (without(CHROMIUM, "setup"), "bad_setup"),
        (CHROMIUM.replace("ice-ufrag:", "ice-ufrag: "), "malformed"),
        (CHROMIUM.replace("ice-pwd:", "ice-pwd:;"), "malformed"),
        (CHROMIUM.replace("ice-ufrag:", "ice-ufrag:" + "u" * 256), "malformed"),
        (CHROMIUM.replace("sha-256 F9:", "sha-256 "), "malformed"),
        (CHROMIUM.replace("sha-256 F9:", "sha-256 G9:"), "malformed"),
        (CHROMIUM.replace("a=mid:0", "a=mid:0 0"), "malformed"),
        (CHROMIUM.replace("a=mid:0", "a=mid:" + "0" * 65), "malformed"),
        (CHROMIUM.replace("a=mid:0", "a=mid:\N{DEVANAGARI DIGIT ZERO}"), "malformed"),
        (CHROMIUM.replace("m=audio 57514", "m=audio x"), "malformed"),
        (CHROMIUM.replace("m=audio 57514", "m=audio  57514"), "malformed"),
        (CHROMIUM + "m=audio 9 UDP/TLS/RTP/SAVPF\r\n", "malformed"),
        (CHROMIUM + "m=\r\n", "malformed"),
        (CHROMIUM + "\r\n\r\na=x\r\n", "malformed"),
        (CHROMIUM + "hello\r\n", "malformed"),
        (CHROMIUM + "aa=b\r\n", "malformed"),
        (CHROMIUM + "a=" + "x" * 12_000, "too_long"),
    ],
)
def test_a_refusal_says_what_is_wrong(text, code):
    assert code_of(text) == code


def test_a_refusal_repeats_nothing_of_the_offer():
    with pytest.raises(OfferError, match=r"^The offer is not SDP\.$"):
        parse_offer("secret")


def test_a_client_that_insists_on_being_one_is_served():
    assert parse_offer(CHROMIUM.replace("actpass", "active")).mid == "0"


def test_of_several_fingerprints_those_that_can_be_checked_count_each_once():
    digest = ":".join(["0a"] * 64)
    more = f"a=fingerprint:SHA-512 {digest}\r\n" * 2 + "a=fingerprint:md5 00\r\n"
    kinds = [kind for kind, _ in parse_offer(CHROMIUM + more).fingerprints]
    assert kinds == ["sha-256", "sha-512"]
    assert parse_offer(CHROMIUM + more).fingerprints[1][1] == digest.upper()


@given(st.text(max_size=300))
def test_any_text_is_refused_by_offer_error(text):
    with pytest.raises(OfferError):
        parse_offer(text)
    with pytest.raises(OfferError):
        parse_offer("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" + text)


LINES = st.sampled_from([line for text in OFFERS.values() for line in text.splitlines()])


@given(st.lists(LINES, max_size=60))
def test_lines_in_any_order_are_answered_or_refused(lines):
    survives("\r\n".join(["v=0", *lines]))


@given(st.sampled_from(sorted(OFFERS)), st.data())
def test_a_mutated_offer_is_answered_or_refused(name, data):
    text = OFFERS[name]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 12))
        text = text[:at] + data.draw(st.text(max_size=6)) + text[at + cut :]
    survives(text)


@pytest.mark.parametrize("name", OFFERS)
def test_an_offer_may_end_anywhere(name):
    for length in range(len(OFFERS[name])):
        survives(OFFERS[name][:length])


def survives(text: str) -> None:
    """Whatever is answered is SDP of visible ASCII, with as many sections as were offered."""
    try:
        offer = parse_offer(text)
    except OfferError:
        return
    answer = write_answer(offer, ANSWER)
    assert all(re.fullmatch(r"[a-z]=[ -~]+", line) for line in answer.split("\r\n")[:-1])
    assert answer.count("\r\nm=") == len(offer.sections)
    assert sum(section.is_taken for section in offer.sections) == 1
