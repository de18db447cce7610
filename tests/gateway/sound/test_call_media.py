"""The sound of one call: who hears what, while it is joined, muted, held and over."""

import base64
import json

import pytest

from gateway.browser import messages as wire
from gateway.carriers.twilio.leg import TwilioLeg
from gateway.heartbeat.ticker import BEAT_NS, POLL_NS, Ticker
from gateway.ports import SessionQuality
from gateway.sound.call_media import CallMedia, converters
from gateway.sound.directions import SOURCE_SILENT_NS
from gateway.sound.media_path import Network
from media import tones
from media.clock import NEVER_NS
from media.lead_control import BACKLOG_NS_MAX, CAP_NS, PACKETS, STREAM
from tests.gateway.recording import RecordingConnection
from tests.gateway.stage import SPEECH_FRAME

SECOND_NS = 1_000_000_000
BY_SOCKET = Network(path="websocket", rtt_ms=None, report=None, session=None)


class Session:
    """`gateway.ports.AudioSession`, as far as the caller hears by it."""

    def __init__(self):
        self.heard = []

    def send_audio(self, payload, timestamp_ms=None):
        self.heard.append(payload)


class Studio:
    """The media of one call, on a heartbeat that the test beats."""

    def __init__(self, codec="pcmu", country="US"):
        self.now_ns = 5_000_000_000
        self.ticker = Ticker(lambda: self.now_ns)
        self.browser = RecordingConnection()
        self.phone = RecordingConnection(lambda: self.now_ns)
        self.told = []
        self.bad_frames = self.sounds = 0
        self.media = CallMedia(
            self.browser,
            codec=codec,
            country=country,
            packet_ms=20,
            ticker=self.ticker,
            listener=self,
        )
        self.leg = TwilioLeg(self.phone, bind=lambda *_: None)

    def tell(self, message):
        self.told.append(message)

    def bad_frame(self):
        self.bad_frames += 1

    def sound_began(self):
        self.sounds += 1

    def joined(self):
        self.media.join(self.leg)
        return self

    def beat(self, count=1):
        for _ in range(count):
            for _ in range(BEAT_NS // POLL_NS):
                self.now_ns += POLL_NS
                self.ticker.poll(self.now_ns)
            self.ticker.beat(self.now_ns)

    def talk(self, count, frame=SPEECH_FRAME):
        """Let the caller speak on the socket, a frame a beat."""
        for _ in range(count):
            self.media.take_frame(frame)
            self.beat()

    def returns(self, name):
        """Let the carrier return a mark."""
        self.leg.on_mark(name)

    def exchange(self):
        """Let both speak one frame; return who was heard: by the phone, by the caller."""
        self.now_ns += 10_000_000_000
        before = (len(self.phone.audio), len(self.browser.audio))
        self.media.take_frame(SPEECH_FRAME)
        self.leg.on_audio(SPEECH_FRAME, None)
        self.media._uplink.poll(self.now_ns + STREAM.start_ns)  # a start is waited for
        after = (len(self.phone.audio), len(self.browser.audio))
        return after[0] > before[0], after[1] > before[1]

    @property
    def playout(self):
        return self.media._uplink.playout

    @property
    def pacer(self):
        return self.media._downlink.pacer

    @property
    def marks(self):
        """The names of the marks that the carrier was sent."""
        return [m["mark"]["name"] for m in self.phone.messages if m["event"] == "mark"]

    @property
    def clears(self):
        return [m["event"] for m in self.phone.messages].count("clear")

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
        studio.leg.on_audio(b"\xff" * 160, None)
    volume = studio.media.volume
    assert volume.input_dbov > -3
    assert volume.output_dbov == -127


def test_the_phone_is_heard_by_its_sound_and_by_nothing_else(studio):
    assert studio.media.heard_ns() is None
    joined_ns = studio.joined().now_ns
    studio.phone.counters.last_in_ns = joined_ns + 42
    assert studio.media.heard_ns() == joined_ns
    studio.leg.on_audio(b"\xff" * 160, None)
    assert studio.media.heard_ns() == joined_ns + 42
    studio.phone.counters.last_in_ns += 1
    studio.leg.on_mark("m")
    studio.leg.on_audio(b"", None)
    assert studio.media.heard_ns() == joined_ns + 42
    studio.media.hold()
    studio.leg.on_audio(b"\xff" * 20, None)
    assert studio.media.heard_ns() == joined_ns + 43


def test_a_bad_frame_is_told(studio):
    studio.joined().media.take_frame(bytes(161))
    assert studio.bad_frames == 1


def test_quality_counts_each_leg_from_its_own_side(studio):
    studio.joined()
    for _ in range(30):
        studio.media.take_frame(SPEECH_FRAME)
    for _ in range(4):
        studio.leg.on_audio(SPEECH_FRAME, None)
    studio.phone.counters.audio_dropped = 3
    browser, carrier = studio.media.quality()
    kept = 30 - browser.frames_dropped
    assert (browser.frames_in, browser.frames_out) == (30, 4)
    assert STREAM.start_ns // BEAT_NS <= kept <= 12, "what a burst may leave as delay"
    assert (carrier.frames_in, carrier.frames_out, carrier.frames_dropped) == (4, kept, 3)
    assert browser.talk_ms + browser.silence_ms == 30 * 20
    assert carrier.talk_ms + carrier.silence_ms == 4 * 20


def test_quality_names_what_the_line_was_like(studio):
    studio.joined()
    for _ in range(3):
        studio.talk(50)
        studio.media.measure(studio.now_ns, BY_SOCKET)
    browser, _ = studio.media.quality()
    assert browser.paths == ("websocket",)
    assert browser.packets_lost == 0
    assert 4 < browser.mos <= 4.5


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
        studio.leg.on_audio(SPEECH_FRAME, None)
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


# What a browser on WebRTC cannot see by itself.


def stalls(studio):
    return [m for m in studio.told if isinstance(m, wire.Stalled)]


def test_a_caller_whose_packets_do_not_arrive_is_told_so_after_seven_tenths_of_a_second(studio):
    studio.joined()
    studio.media.hear_by_session(Session())
    for number in range(50):
        studio.media.take_packet(number, 160 * number, SPEECH_FRAME)
        studio.leg.on_audio(SPEECH_FRAME, 20 * number)
        studio.beat()
    assert stalls(studio) == []
    told = []
    for number in range(50, 87):
        studio.leg.on_audio(SPEECH_FRAME, 20 * number)
        studio.beat()
        told.append(len(stalls(studio)))
    assert told[:33] == [0] * 33
    assert stalls(studio) == [wire.Stalled(leg="browser", stalled=True)]
    studio.talk(1)
    studio.beat(10)
    assert wire.Stalled(leg="browser", stalled=False) in stalls(studio)


def test_a_phone_that_is_held_up_is_told_of_before_the_path_is_blamed(studio):
    studio.joined()
    studio.media.hear_by_session(Session())
    for number in range(40):
        studio.media.take_packet(number, 160 * number, SPEECH_FRAME)
        studio.beat()
    assert stalls(studio) == [wire.Stalled(leg="carrier", stalled=True)]


def test_on_the_socket_and_after_the_end_nothing_is_watched(studio):
    studio.joined()
    studio.beat(100)
    studio.media.hear_by_session(Session())
    studio.media.hear_by_socket(studio.browser)
    studio.beat(100)
    studio.media.hear_by_session(Session())
    studio.media.part()
    studio.beat(100)
    assert stalls(studio) == []


# The phone's end of the caller's voice.


def test_who_waits_for_the_caller_is_asked_from_the_first_to_the_last(studio):
    assert studio.ticker._waiters == {}
    studio.joined()
    assert list(studio.ticker._waiters) == [studio.playout, studio.pacer]
    studio.talk(10)
    before = len(studio.to_phone)
    studio.beat(2)
    assert len(studio.to_phone) > before, "what does not come is concealed"
    studio.media.part()
    assert studio.ticker._waiters == {}
    studio.beat(10)
    assert studio.playout.deadline_ns == NEVER_NS


def test_marks_are_sent_once_a_second_at_most_and_only_to_a_stream(studio):
    studio.media.watch_delay(studio.now_ns)
    studio.joined()
    for _ in range(5):
        for _ in range(10):
            studio.talk(5)
            studio.media.watch_delay(studio.now_ns)
        studio.returns(studio.marks[-1])
    assert len(studio.marks) == len(set(studio.marks)) == 5
    studio.media.part()
    studio.now_ns += 2 * SECOND_NS
    studio.media.watch_delay(studio.now_ns)
    assert len(studio.marks) == 5


def test_no_mark_follows_one_that_is_under_way(studio):
    studio.joined()
    for _ in range(5):
        studio.talk(50)
        studio.media.watch_delay(studio.now_ns)
    assert len(studio.marks) == 1


def test_marks_that_return_tell_the_way_to_the_carrier(studio):
    studio.joined().talk(50)
    assert studio.playout.carrier_rtt_ns is None
    studio.media.watch_delay(studio.now_ns)
    studio.returns("a mark of nobody")
    assert studio.playout.carrier_rtt_ns is None
    studio.now_ns += studio.playout.lead_ns(studio.now_ns) + 80_000_000
    studio.returns(studio.marks[-1])
    assert studio.playout.carrier_rtt_ns == 80_000_000
    (sample, *_) = studio.media.measure(studio.now_ns, BY_SOCKET)
    assert sample.carrier_rtt_ms == 80


def behind(studio, seconds, late_ns, *, even=2):
    """Let marks come back late, as those of a carrier that is so far behind; the first are not.

    After a clear it is no longer.
    """
    for second in range(seconds):
        studio.talk(50)
        studio.media.watch_delay(studio.now_ns)
        sent = studio.marks[-1]
        due_ns = studio.now_ns + studio.playout.lead_ns(studio.now_ns) + 50_000_000
        if second >= even and not studio.clears:
            due_ns += late_ns
        while studio.now_ns < due_ns:
            studio.talk(1)
        studio.returns(sent)


def test_a_carrier_that_is_over_a_second_behind_is_cleared(studio):
    behind(studio.joined(), 2, 0)
    assert studio.clears == 0
    behind(studio, 3, BACKLOG_NS_MAX + CAP_NS)
    assert studio.clears == 1
    assert studio.playout.lead_ns(studio.now_ns) == 0
    before = len(studio.to_phone)
    studio.talk(5)
    assert len(studio.to_phone) >= before + 5, "the caller is heard after that"


def test_a_carrier_that_is_a_little_behind_is_cleared_when_that_does_not_pass(studio):
    behind(studio.joined(), 14, 300_000_000, even=12)
    assert studio.clears == 0
    behind(studio, 8, 0)
    assert studio.clears == 1
    assert studio.playout.carrier_rtt_ns == 50_000_000


def test_a_mark_that_is_not_back_in_time_tells_by_its_absence(studio):
    behind(studio.joined(), 7, 0)
    for _ in range(2):
        studio.talk(50)
        studio.media.watch_delay(studio.now_ns)
    assert studio.clears == 0
    studio.talk(50)
    studio.media.watch_delay(studio.now_ns)
    assert studio.clears == 1


def test_a_doubt_is_ended_in_the_next_pause(studio):
    behind(studio.joined(), 14, 300_000_000, even=12)
    studio.talk(20, b"\xff" * 160)
    assert studio.clears == 1


def hear_phone(studio, way_ms):
    """Let audio come from the phone that took so long."""
    for _ in range(5):
        studio.leg.on_audio(SPEECH_FRAME, studio.now_ns // 1_000_000 - way_ms)


def test_a_way_from_the_carrier_that_becomes_shorter_leaves_its_marks_in_doubt(studio):
    """They may hide what has piled up meanwhile: as much as is shorter."""
    studio.joined()
    for way_ms, seconds in ((60, 5), (70, 3), (50, 3)):
        for _ in range(seconds):
            hear_phone(studio, way_ms)
            behind(studio, 1, 0)
    assert studio.clears == 0
    hear_phone(studio, 20)
    behind(studio, 4, 0)
    assert studio.clears >= 1


def test_a_mark_after_the_end_does_no_harm(studio):
    studio.joined().talk(50)
    studio.media.watch_delay(studio.now_ns)
    studio.media.part()
    studio.now_ns += 5 * SECOND_NS
    studio.returns(studio.marks[-1])
    assert studio.exchange() == (False, False)


# A caller who is away.


def noise(count, first=0):
    return [tones.comfort_noise().frame(n) for n in range(first, first + count)]


def test_while_the_caller_is_away_the_phone_hears_that_the_line_is_alive(studio):
    studio.joined().media.away()
    studio.beat(3)
    studio.media.away()
    studio.beat(4)
    assert studio.to_phone == noise(7)
    studio.media.take_frame(SPEECH_FRAME)
    assert len(studio.to_phone) == 7
    studio.media.back()
    studio.media.back()
    studio.beat(7)
    assert len(studio.to_phone) == 7
    assert studio.exchange() == (True, True)


def test_a_caller_who_was_never_away_is_not_back(studio):
    studio.media.play_to_caller("ringback")
    studio.media.back()
    studio.beat(2)
    assert len(studio.browser.audio) == 2


def test_a_caller_who_leaves_before_the_answer_is_away_after_it(studio):
    studio.media.play_to_caller("ringback")
    studio.media.away()
    studio.beat(2)
    assert len(studio.browser.audio) == 2, "it rings on"
    studio.media.stop_tone()
    studio.joined().beat(2)
    assert studio.to_phone == noise(2)


def test_a_caller_who_is_back_before_the_answer_hears_it_ring_on(studio):
    studio.media.play_to_caller("ringback")
    studio.media.away()
    studio.media.back()
    studio.beat(3)
    assert len(studio.browser.audio) == 3
    studio.media.stop_tone()
    assert studio.joined().exchange() == (True, True)


def test_on_hold_the_hold_tone_goes_on_whether_or_not_the_caller_is_there(studio):
    studio.joined().media.hold()
    studio.beat(2)
    studio.media.away()
    studio.beat(2)
    studio.media.back()
    studio.beat(2)
    assert studio.to_phone == [tones.hold().frame(n) for n in range(6)]
    assert studio.exchange() == (False, False)


def test_a_hold_that_ends_while_the_caller_is_away_leaves_them_away(studio):
    studio.joined().media.away()
    studio.media.hold()
    studio.beat(2)
    studio.media.resume()
    studio.beat(2)
    assert studio.to_phone == [tones.hold().frame(n) for n in range(2)] + noise(2)


def test_mute_outlasts_an_absence(studio):
    studio.joined().media.mute(True)
    studio.media.away()
    studio.media.back()
    assert studio.media.is_muted
    assert studio.exchange() == (False, True)


def test_the_end_ends_an_absence(studio):
    studio.joined().media.away()
    studio.beat(2)
    studio.media.part()
    studio.media.back()
    studio.media.away()
    studio.beat(5)
    assert studio.to_phone == noise(2)
    assert studio.ticker._players == set()


# Ways.


def test_the_caller_hears_by_one_way_at_a_time(studio):
    studio.joined()
    session, socket = Session(), RecordingConnection()
    assert studio.exchange()[1]
    studio.media.hear_by_session(session)
    assert not studio.exchange()[1]
    assert session.heard == [SPEECH_FRAME]
    studio.media.hear_by_socket(socket)
    assert not studio.exchange()[1]
    assert (session.heard, socket.audio) == ([SPEECH_FRAME], [SPEECH_FRAME])


def test_tones_take_the_way_the_voice_takes(studio):
    session = Session()
    studio.media.hear_by_session(session)
    studio.media.play_to_caller("ringback")
    studio.beat(3)
    assert session.heard == [tones.ringback("US").frame(n) for n in range(3)]
    studio.media.hear_by_socket(studio.browser)
    studio.beat(2)
    assert studio.browser.audio == [tones.ringback("US").frame(n) for n in (3, 4)]


def test_wide_frames_and_packets_reach_the_same_phone():
    studio = Studio(codec="pcm16").joined()
    studio.media.take_frame(bytes(640))
    studio.now_ns += SOURCE_SILENT_NS
    studio.media.take_packet(1, 160, SPEECH_FRAME)
    studio.media._uplink.poll(studio.now_ns + PACKETS.start_ns)
    assert {len(audio) for audio in studio.to_phone} == {160}
    assert studio.to_phone[-1][80:] == SPEECH_FRAME[80:]
    session = Session()
    studio.media.hear_by_session(session)
    studio.leg.on_audio(SPEECH_FRAME, None)
    assert session.heard == [SPEECH_FRAME]


# How good the line is.


def test_a_sample_tells_of_both_directions(studio):
    studio.joined()
    studio.media.measure(studio.now_ns, BY_SOCKET)
    for n in range(50):
        studio.media.take_frame(b"\x00" * 160)
        studio.leg.on_audio(b"\xff" * 160, 20 * n)
        studio.beat()
    report = wire.Report(packets=50, jitter_ms=3.0, buffer_ms=45.0, rtt_ms=33.0)
    network = Network(path="websocket", rtt_ms=33.0, report=report, session=None)
    (sample,) = studio.media.measure(studio.now_ns, network)
    assert (sample.path, sample.rtt_ms) == ("websocket", 33)
    assert sample.browser.level_dbov > -3
    assert 0 < sample.browser.backlog_ms <= 50
    assert (sample.carrier.jitter_ms, sample.carrier.backlog_ms) == (3, 45)


def test_packets_are_judged_by_their_session(studio):
    studio.joined()
    for second in range(2):
        quality = SessionQuality(48 * second, 2 * second, 7.5, 12.0)
        network = Network(path="webrtc", rtt_ms=12.0, report=None, session=quality)
        sample, *_ = studio.media.measure(studio.now_ns, network)
    assert (sample.path, sample.rtt_ms) == ("webrtc", 12)
    assert (sample.browser.loss_percent, sample.browser.jitter_ms) == (4, 7.5)


@pytest.mark.parametrize("quiet", ["mute", "hold", "away"])
def test_only_an_unwanted_silence_is_warned_of(studio, quiet):
    def warnings(seconds):
        told = []
        for _ in range(seconds):
            studio.beat(50)
            told += studio.media.measure(studio.now_ns, BY_SOCKET)
        return [m.name for m in told if isinstance(m, wire.Warning)]

    studio.joined()
    {
        "mute": lambda: studio.media.mute(True),
        "hold": studio.media.hold,
        "away": studio.media.away,
    }[quiet]()
    assert "no-audio-from-browser" not in warnings(5)
    {
        "mute": lambda: studio.media.mute(False),
        "hold": studio.media.resume,
        "away": studio.media.back,
    }[quiet]()
    assert "no-audio-from-browser" in warnings(5)


def test_only_wide_audio_is_converted():
    assert converters("pcmu") == (None, None)
    to_mulaw, from_mulaw = converters("pcm16")
    assert (len(to_mulaw(bytes(640))), len(from_mulaw(b"\xff" * 160))) == (160, 640)


# What is said of the line.


def test_the_first_sound_of_the_phone_is_told_once(studio):
    studio.joined()
    studio.leg.on_audio(b"", 0)
    assert studio.sounds == 0, "an empty message is no sound"
    for n in range(3):
        studio.leg.on_audio(SPEECH_FRAME, 20 * n)
    assert studio.sounds == 1
    assert studio.browser.audio == [SPEECH_FRAME] * 3


def test_the_first_sound_counts_on_hold_as_well(studio):
    studio.joined().media.hold()
    studio.leg.on_audio(SPEECH_FRAME, 0)
    assert (studio.sounds, studio.browser.audio) == (1, [])


def test_a_line_without_a_phone_is_not_judged(studio):
    studio.talk(50)
    assert studio.media.measure(studio.now_ns, BY_SOCKET) == []
    assert [leg.mos for leg in studio.media.quality()] == [None, None]
