"""Both directions of one call's audio, frame by frame on a clock that the test moves."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.paths import FRAME_NS, Downlink, TonePlayer, Uplink
from gateway.twilio_media import Outbound
from media import tones
from media.resample import Downsampler, Upsampler
from tests.media.signals import to_mulaw, voice

LEAD_NS_MAX = 400_000_000
FRAME = b"\x55" * 160
VOICE = to_mulaw(voice(1))
VOICE_FRAMES = [VOICE[at : at + 160] for at in range(0, len(VOICE), 160)]


class Line:
    """An uplink into a carrier that plays 20 ms of every 20 ms, as a count."""

    def __init__(self, **changes):
        self.now_ns = 5_000_000_000
        self.sent: list[bytes] = []
        self.talk: list[bool] = []
        self.bad_frames = 0
        options = {"lead_ns_max": LEAD_NS_MAX, "frame_bytes": 160, "convert": None}
        self.uplink = Uplink(
            clock_ns=lambda: self.now_ns,
            on_talk=self.talk.append,
            on_bad_frame=self._bad,
            **{**options, **changes},
        )
        self.uplink.join(self.sent.append, Outbound("MZ1"))
        self.uplink.is_open = True

    def _bad(self) -> None:
        self.bad_frames += 1

    @property
    def payloads(self) -> list[bytes]:
        messages = [json.loads(message) for message in self.sent]
        assert {(m["event"], m["streamSid"]) for m in messages} <= {("media", "MZ1")}
        return [base64.b64decode(m["media"]["payload"]) for m in messages]


def test_a_frame_goes_out_as_it_came_in():
    line = Line()
    line.uplink.frame(FRAME)
    assert line.payloads == [FRAME]
    assert (line.uplink.sent, line.uplink.dropped) == (1, 0)


def test_nothing_goes_out_while_closed_and_it_is_not_counted():
    line = Line()
    line.uplink.is_open = False
    line.uplink.frame(FRAME)
    assert (line.sent, line.uplink.sent, line.uplink.dropped) == ([], 0, 0)


def test_a_frame_before_the_stream_has_nowhere_to_go():
    uplink = Uplink(
        clock_ns=lambda: 0,
        lead_ns_max=LEAD_NS_MAX,
        frame_bytes=160,
        convert=None,
        on_talk=lambda _: None,
        on_bad_frame=lambda: pytest.fail("it is a good frame"),
    )
    uplink.is_open = True
    uplink.frame(FRAME)
    uplink.play(FRAME)


@pytest.mark.parametrize("size", [0, 1, 159, 161, 320, 640])
@pytest.mark.parametrize("is_open", [True, False])
def test_a_frame_of_another_size_is_told_and_not_sent(size, is_open):
    line = Line()
    line.uplink.is_open = is_open
    line.uplink.frame(bytes(size))
    assert (line.bad_frames, line.sent) == (1, [])


def test_a_burst_is_cut_to_the_lead_and_the_rest_counted():
    """400 ms may wait at the carrier: 20 frames, and the one that begins when they end."""
    line = Line()
    for _ in range(100):
        line.uplink.frame(FRAME)
    assert (line.uplink.sent, line.uplink.dropped) == (21, 79)
    line.now_ns += FRAME_NS
    line.uplink.frame(FRAME)
    line.uplink.frame(FRAME)
    assert (line.uplink.sent, line.uplink.dropped) == (22, 80)


def test_a_fast_microphone_does_not_add_delay_for_ever():
    """A clock 0.1 % fast is 3.6 s ahead after an hour; all but the lead is discarded."""
    line = Line()
    frames = 3600 * 50
    for _ in range(frames):
        line.now_ns += 19_980_000
        line.uplink.frame(FRAME)
    ahead = frames * FRAME_NS - frames * 19_980_000
    expected = (ahead - LEAD_NS_MAX) // FRAME_NS
    assert abs(line.uplink.dropped - expected) <= 1


def test_a_slow_or_steady_microphone_loses_nothing():
    line = Line()
    for index in range(10_000):
        line.now_ns += (20_020_000, 5_000_000, 35_000_000)[index % 3]
        line.uplink.frame(FRAME)
    assert (line.uplink.sent, line.uplink.dropped) == (10_000, 0)


@given(st.lists(st.integers(0, 100_000_000), max_size=300))
def test_what_waits_at_the_carrier_stays_within_the_lead(gaps):
    line = Line()
    played_until_ns = line.now_ns
    for gap_ns in gaps:
        line.now_ns += gap_ns
        before = len(line.sent)
        line.uplink.frame(FRAME)
        if len(line.sent) > before:
            played_until_ns = max(played_until_ns, line.now_ns) + FRAME_NS
        assert played_until_ns - line.now_ns <= LEAD_NS_MAX + FRAME_NS
    assert line.uplink.sent + line.uplink.dropped == len(gaps)


def test_keys_go_ahead_of_speech_and_speech_waits_until_they_are_played():
    line = Line()
    keys = tones.dtmf("42")
    line.uplink.play(keys)
    assert line.payloads == [keys]
    assert line.uplink.sent == len(keys) // 160
    end_ns = line.now_ns + len(keys) // 160 * FRAME_NS
    while line.now_ns < end_ns:
        line.uplink.frame(FRAME)
        line.now_ns += FRAME_NS
    assert line.payloads == [keys]
    assert line.uplink.dropped == len(keys) // 160
    line.uplink.frame(FRAME)
    assert line.payloads == [keys, FRAME]


def test_keys_longer_than_the_lead_do_not_silence_the_caller_afterwards():
    line = Line()
    keys = tones.dtmf("0123456789")
    line.uplink.play(keys)
    line.now_ns += len(keys) // 160 * FRAME_NS
    line.uplink.frame(FRAME)
    assert line.uplink.dropped == 0


def test_keys_are_sent_while_muted():
    line = Line()
    line.uplink.is_open = False
    line.uplink.play(tones.dtmf("1"))
    assert line.payloads == [tones.dtmf("1")]


def test_talk_is_told_after_the_frame_was_sent():
    line = Line()
    for frame in VOICE_FRAMES:
        line.uplink.frame(frame)
        line.now_ns += FRAME_NS
    for _ in range(50):
        line.uplink.frame(b"\xff" * 160)
        line.now_ns += FRAME_NS
    assert line.talk == [True, False]
    assert line.uplink.talk.talk_ms + line.uplink.talk.silence_ms == 2_000


def test_wide_audio_is_brought_to_the_phone_and_back():
    line = Line(frame_bytes=640, convert=Downsampler().convert)
    heard: list[bytes] = []
    downlink = Downlink(send=heard.append, convert=Upsampler().convert, on_talk=lambda _: None)
    for _ in range(10):
        line.uplink.frame(bytes(640))
        line.now_ns += FRAME_NS
    for payload in line.payloads:
        downlink.audio(payload)
    assert [len(p) for p in line.payloads] == [160] * 10
    assert [len(f) for f in heard] == [640] * 10


class Ear:
    def __init__(self):
        self.heard: list[bytes] = []
        self.talk: list[bool] = []
        self.downlink = Downlink(send=self.heard.append, convert=None, on_talk=self.talk.append)


def test_the_phones_frames_are_handed_on_unchanged():
    ear = Ear()
    for frame in VOICE_FRAMES:
        ear.downlink.audio(frame)
    assert ear.heard == VOICE_FRAMES
    assert ear.downlink.sent == len(VOICE_FRAMES)
    assert ear.talk == [True]


@given(st.lists(st.integers(0, 500), max_size=40))
def test_audio_in_any_sizes_comes_out_in_frames_and_in_order(sizes):
    ear, audio = Ear(), bytes(range(256)) * 80
    at = 0
    for size in sizes:
        ear.downlink.audio(audio[at : at + size])
        at += size
    joined = b"".join(ear.heard)
    assert all(len(frame) == 160 for frame in ear.heard)
    assert joined == audio[: len(joined)]
    assert at - len(joined) < 160 or at > len(audio)


def test_a_closed_downlink_is_silent_but_for_our_own_tones():
    ear = Ear()
    ear.downlink.is_open = False
    ear.downlink.audio(FRAME)
    ear.downlink.tone(VOICE_FRAMES[0])
    assert ear.heard == [VOICE_FRAMES[0]]
    assert (ear.downlink.sent, ear.downlink.talk.silence_ms) == (0, 0)


def test_a_tone_of_ours_is_converted_too():
    heard: list[bytes] = []
    downlink = Downlink(send=heard.append, convert=lambda f: f * 4, on_talk=lambda _: None)
    downlink.tone(FRAME)
    assert heard == [FRAME * 4]


def test_a_tone_player_sends_the_frames_in_order():
    heard: list[bytes] = []
    player = TonePlayer(lambda index: bytes([index]) * 160, heard.append)
    for _ in range(3):
        player.play()
    assert heard == [bytes([n]) * 160 for n in range(3)]
