"""The sound of one call: who hears what, while it is joined, muted, held and over."""

import base64
import json

import pytest

from gateway.engine.call_media import CallMedia, converters
from gateway.engine.ticker import BEAT_NS, Ticker
from gateway.legs.carrier import CarrierLeg
from media import tones
from tests.gateway.engine.stage import SPEECH_FRAME
from tests.gateway.recording import RecordingConnection


class Studio:
    """The media of one call, on a heartbeat that the test beats."""

    def __init__(self, codec="pcmu", country="US"):
        self.now_ns = 5_000_000_000
        self.ticker = Ticker(lambda: self.now_ns)
        self.browser = RecordingConnection()
        self.phone = RecordingConnection(lambda: self.now_ns)
        self.told = []
        self.bad_frames = 0
        self.media = CallMedia(
            self.browser,
            codec=codec,
            country=country,
            lead_ns_max=400_000_000,
            ticker=self.ticker,
            tell=self.told.append,
            on_bad_frame=self._bad,
        )
        self.leg = CarrierLeg(self.phone, bind=lambda *_: None)

    def _bad(self):
        self.bad_frames += 1

    def joined(self):
        self.media.join(self.leg)
        return self

    def beat(self, count=1):
        for _ in range(count):
            self.now_ns += BEAT_NS
            self.ticker.beat(self.now_ns)

    def exchange(self):
        """Let both speak one frame; return who was heard: by the phone, by the caller."""
        self.now_ns += 10_000_000_000
        before = (len(self.phone.audio), len(self.browser.audio))
        self.media.take_frame(SPEECH_FRAME)
        self.leg.on_audio(SPEECH_FRAME)
        after = (len(self.phone.audio), len(self.browser.audio))
        return after[0] > before[0], after[1] > before[1]

    @property
    def to_phone(self):
        return [base64.b64decode(json.loads(a)["media"]["payload"]) for a in self.phone.audio]


@pytest.fixture
def studio():
    return Studio()


def test_nobody_is_heard_before_both_are_joined(studio):
    assert studio.exchange() == (False, False)
    studio.joined()
    assert studio.exchange() == (True, True)


def test_mute_hold_and_end_each_close_what_they_must(studio):
    media = studio.joined().media
    media.mute(True)
    assert studio.exchange() == (False, True)
    media.hold()
    assert studio.exchange() == (False, False)
    media.mute(False)
    assert studio.exchange() == (False, False)
    media.resume()
    assert studio.exchange() == (True, True)
    media.part()
    assert studio.exchange() == (False, False)


def test_nothing_opens_what_is_over(studio):
    media = studio.joined().media
    media.part()
    media.mute(False)
    media.resume()
    media.join(studio.leg)
    media.press("1")
    studio.beat(5)
    assert studio.exchange() == (False, False)
    assert studio.phone.audio == []


def test_hold_plays_to_the_phone_until_it_is_resumed(studio):
    studio.joined().media.hold()
    studio.beat(7)
    assert studio.to_phone == [tones.hold().frame(n) for n in range(7)]
    studio.media.resume()
    studio.beat(7)
    assert len(studio.to_phone) == 7


def test_hold_before_the_stream_plays_nothing(studio):
    studio.media.hold()
    studio.beat(3)
    studio.joined()
    assert studio.exchange() == (False, False)


@pytest.mark.parametrize(("name", "tone"), [("ringback", tones.ringback), ("busy", tones.busy)])
@pytest.mark.parametrize("country", ["US", "GB", ""])
def test_progress_tones_are_those_of_the_destination(name, tone, country):
    studio = Studio(country=country)
    studio.media.play_to_caller(name)
    studio.beat(60)
    assert studio.browser.audio == [tone(country).frame(n) for n in range(60)]


def test_one_tone_follows_another_from_its_beginning(studio):
    studio.media.play_to_caller("ringback")
    studio.beat(2)
    studio.browser.forget()
    studio.media.play_to_caller("congestion")
    studio.beat(2)
    assert studio.browser.audio == [tones.congestion("US").frame(n) for n in range(2)]
    studio.media.stop_tone()
    studio.media.stop_tone()
    studio.beat(2)
    assert len(studio.browser.audio) == 2


def test_keys_need_a_phone_to_hear_them(studio):
    studio.media.press("5")
    studio.joined().media.press("5")
    assert studio.to_phone == [tones.dtmf("5")]


def test_keys_are_heard_on_hold_and_while_muted(studio):
    studio.joined().media.mute(True)
    studio.media.press("5")
    studio.media.hold()
    studio.media.press("6")
    assert studio.to_phone == [tones.dtmf("5"), tones.dtmf("6")]


def test_levels_are_silence_before_anybody_speaks(studio):
    volume = studio.media.volume
    assert (volume.input_dbov, volume.output_dbov) == (-127, -127)


def test_levels_are_of_both_directions(studio):
    studio.joined()
    for _ in range(25):
        studio.now_ns += BEAT_NS
        studio.media.take_frame(b"\x00" * 160)
        studio.leg.on_audio(b"\xff" * 160)
    volume = studio.media.volume
    assert volume.input_dbov > -3
    assert volume.output_dbov == -127


def test_the_carrier_is_heard_whenever_its_socket_says_anything(studio):
    assert studio.media.last_heard_ns is None
    studio.joined()
    studio.phone.counters.last_in_ns = 42
    assert studio.media.last_heard_ns == 42


def test_a_bad_frame_is_told(studio):
    studio.joined().media.take_frame(bytes(161))
    assert studio.bad_frames == 1


def test_quality_counts_each_leg_from_its_own_side(studio):
    studio.joined()
    for _ in range(30):
        studio.media.take_frame(SPEECH_FRAME)
    for _ in range(4):
        studio.leg.on_audio(SPEECH_FRAME)
    studio.phone.counters.audio_dropped = 3
    browser, carrier = studio.media.quality()
    assert (browser.frames_in, browser.frames_dropped, browser.frames_out) == (30, 9, 4)
    assert (carrier.frames_in, carrier.frames_out, carrier.frames_dropped) == (4, 21, 3)
    assert browser.talk_ms + browser.silence_ms == 21 * 20
    assert carrier.talk_ms + carrier.silence_ms == 4 * 20


def test_quality_of_a_call_without_a_stream_is_nothing(studio):
    for leg in studio.media.quality():
        assert (leg.frames_in, leg.frames_out, leg.frames_dropped) == (0, 0, 0)


def test_ringing_is_not_counted_as_the_phones_voice(studio):
    studio.media.play_to_caller("ringback")
    studio.beat(10)
    browser, carrier = studio.media.quality()
    assert (browser.frames_out, carrier.frames_in) == (0, 0)


def beep_frames():
    beep = tones.warning_beep()
    return [beep[at : at + 160] for at in range(0, len(beep), 160)]


def test_a_beep_is_heard_by_the_caller_alone_in_place_of_the_phone(studio):
    studio.joined().media.beep()
    studio.media.beep()
    for _ in range(10):
        studio.leg.on_audio(SPEECH_FRAME)
        studio.beat()
    frames = beep_frames()
    assert studio.browser.audio == frames + [SPEECH_FRAME] * (10 - len(frames) - 1)
    assert studio.phone.audio == []


def test_a_beep_leaves_the_hold_tone_alone(studio):
    studio.joined().media.hold()
    studio.beat(3)
    studio.media.beep()
    studio.beat(10)
    assert studio.to_phone == [tones.hold().frame(n) for n in range(13)]
    assert studio.browser.audio == beep_frames()
    assert studio.exchange() == (False, False)


def test_a_beep_ends_with_the_call(studio):
    studio.joined().media.beep()
    studio.beat(2)
    studio.media.part()
    studio.media.beep()
    studio.beat(10)
    assert studio.browser.audio == beep_frames()[:2]
    assert studio.ticker._players == set()


def test_a_cut_off_sounds_like_congestion(studio):
    studio.media.play_to_caller("cut-off")
    studio.beat(30)
    assert studio.browser.audio == [tones.congestion("US").frame(n) for n in range(30)]


def test_only_wide_audio_is_converted():
    assert converters("pcmu") == (None, None)
    to_mulaw, from_mulaw = converters("pcm16")
    assert (len(to_mulaw(bytes(640))), len(from_mulaw(b"\xff" * 160))) == (160, 640)
