"""A supervisor's part in the sound of a call: what they hear, who hears them, and when it ends."""

import itertools
import random
from collections import deque

import pytest

from gateway.call.supervision import Mode
from gateway.heartbeat.ticker import URGENT_NS
from gateway.sound.supervised import (
    HEARD_MOST,
    IDLE_BEATS,
    STUCK_BEATS,
    TONE_BEATS,
    VOICE_MOST,
)
from media import tones
from media.g711 import MULAW_SILENCE, SILENCE_FRAME
from media.mixer import Mixer
from simulators.carrier.playout import Playout as CarrierPlayout
from tests.gateway.recording import RecordingConnection
from tests.gateway.sound.test_call_media import Session, Studio
from tests.gateway.stage import SPEECH_FRAME
from tests.thorough import first_of

CALLER, PHONE, OURS = SPEECH_FRAME, bytes(range(0x90, 0xA0)) * 10, bytes(range(0x20, 0x30)) * 10
TONE = tones.supervision()
TONE_FRAMES = [TONE[at : at + 160] for at in range(0, len(TONE), 160)]


class Booth:
    """A call's media with a supervisor in it."""

    def __init__(self, *, announces=False, codec="pcmu"):
        self.studio = Studio(codec).joined()
        self.media, self.ear = self.studio.media, RecordingConnection()
        self.overs, self.announces = 0, announces
        self.sound = None
        """None before a supervisor is in."""
        self.phone_said()

    def over(self):
        self.overs += 1

    def stuck(self):
        self.media.set_mode(Mode.LISTEN)

    def enter(self):
        self.sound = self.media.supervise(
            self.ear, announces=self.announces, on_over=self.over, on_stuck=self.stuck
        )
        return self

    def phone_said(self, payload=PHONE):
        self.studio.leg.on_audio(payload, None)

    def goes_on(self, beats, *, caller=CALLER, phone=PHONE, ours=None):
        """Let so many 20 ms pass."""
        for _ in range(beats):
            if caller is not None:
                self.media.take_frame(caller)
            if phone is not None:
                self.phone_said(phone)
            if ours is not None and self.sound is not None:
                self.sound.voice(ours)
            self.studio.beat()

    @property
    def heard(self):
        return self.ear.audio

    @property
    def by_caller(self):
        return self.studio.browser.audio

    @property
    def by_phone(self):
        """By frames: pieces may be longer."""
        audio = b"".join(self.studio.to_phone)
        return [audio[at : at + 160] for at in range(0, len(audio), 160)]


@pytest.fixture
def booth():
    return Booth()


def test_whoever_listens_hears_both_within_two_frames(booth):
    booth.enter()
    booth.goes_on(10)
    assert booth.heard[-1] == Mixer().mix(CALLER, PHONE)
    assert len(booth.heard) == 10, "a frame each beat"
    # Only the playout's lead of the caller's voice comes before.
    assert booth.heard.index(Mixer().mix(CALLER, PHONE)) <= 3


def test_listening_changes_not_a_byte_of_what_the_parties_hear(booth):
    other = Booth()
    booth.enter()
    for each in (booth, other):
        each.goes_on(25, ours=OURS)
    assert booth.by_caller == other.by_caller
    assert booth.by_phone == other.by_phone
    assert booth.media.quality() == other.media.quality()


def test_whisper_is_heard_by_the_caller_alone(booth):
    other = Booth()
    booth.enter()
    booth.media.set_mode(Mode.WHISPER)
    booth.goes_on(25, ours=OURS)
    other.goes_on(25)
    assert booth.by_caller[-1] == Mixer().mix(PHONE, OURS)
    assert booth.by_phone == other.by_phone


def test_barge_is_heard_by_both(booth):
    booth.enter()
    booth.media.set_mode(Mode.BARGE)
    booth.goes_on(25, ours=OURS)
    assert booth.by_caller[-1] == Mixer().mix(PHONE, OURS)
    assert booth.by_phone[-1] == Mixer().mix(CALLER, OURS)


def test_nobody_hears_their_own_voice_come_back(booth):
    booth.enter()
    booth.media.set_mode(Mode.BARGE)
    booth.goes_on(25, caller=None, phone=SILENCE_FRAME, ours=OURS)
    # What is concealed of the caller's voice fades in its first tenth of a second.
    assert set(booth.heard[10:]) == {SILENCE_FRAME}


def test_take_over_puts_the_caller_out_and_back_in(booth):
    booth.enter()
    booth.goes_on(5)
    booth.media.set_mode(Mode.TAKE_OVER)
    before = len(booth.by_caller)
    booth.goes_on(25, ours=OURS)
    assert len(booth.by_caller) == before, "the caller hears nothing"
    assert booth.by_phone[-1] == Mixer().mix(SILENCE_FRAME, OURS)
    assert booth.heard[-1] == PHONE
    booth.media.set_mode(Mode.LISTEN)
    booth.goes_on(10, ours=OURS)
    assert (booth.by_caller[-1], booth.by_phone[-1]) == (PHONE, CALLER)


def test_a_take_over_of_which_nothing_comes_gives_the_caller_back(booth):
    booth.enter()
    booth.media.set_mode(Mode.TAKE_OVER)
    before = len(booth.by_caller)
    booth.goes_on(STUCK_BEATS - 1)
    booth.goes_on(1, ours=SILENCE_FRAME)
    booth.goes_on(STUCK_BEATS - 1)
    assert (len(booth.by_caller), booth.sound.mode) == (before, Mode.TAKE_OVER)
    booth.goes_on(1)
    assert booth.sound.mode is Mode.LISTEN
    booth.goes_on(20)
    assert booth.by_caller[-1] == PHONE


@pytest.mark.parametrize("mode", [Mode.LISTEN, Mode.WHISPER, Mode.BARGE])
def test_nobody_else_has_to_say_anything(booth, mode):
    booth.enter()
    booth.media.set_mode(mode)
    booth.goes_on(2 * STUCK_BEATS)
    assert booth.sound.mode is mode


def test_a_caller_who_is_muted_or_on_hold_does_not_silence_a_supervisor(booth):
    booth.enter()
    booth.media.set_mode(Mode.BARGE)
    booth.media.mute(True)
    booth.goes_on(IDLE_BEATS + 10, ours=OURS)
    assert booth.by_phone[-1] == Mixer().mix(SILENCE_FRAME, OURS)
    booth.media.mute(False)
    booth.media.hold()
    booth.goes_on(IDLE_BEATS + 10, ours=OURS)
    assert booth.by_caller[-1] == Mixer().mix(SILENCE_FRAME, OURS)
    assert booth.by_phone[-1] != tones.hold().frame(IDLE_BEATS + 9), "it rides on the hold tone"
    booth.media.resume()
    booth.goes_on(10)


def test_what_the_caller_says_while_muted_is_heard_by_nobody(booth):
    booth.enter()
    booth.media.mute(True)
    booth.goes_on(25, phone=SILENCE_FRAME)
    assert set(booth.heard[3:]) == {SILENCE_FRAME}


def test_a_tone_tells_both_parties_at_once_and_every_fifteen_seconds():
    booth = Booth(announces=True).enter()
    booth.goes_on(TONE_BEATS + 20, caller=SILENCE_FRAME, phone=SILENCE_FRAME)
    mixed = [Mixer().mix(SILENCE_FRAME, frame) for frame in TONE_FRAMES]
    for frames in (booth.by_caller, booth.by_phone):
        begun = [n for n, frame in enumerate(frames) if frame == mixed[0]]
        assert len(begun) == 2
        assert begun[1] - begun[0] == TONE_BEATS
        assert frames[begun[0] : begun[0] + len(mixed)] == mixed


def test_without_announcement_there_is_no_tone(booth):
    booth.enter()
    booth.goes_on(20, caller=SILENCE_FRAME, phone=SILENCE_FRAME)
    assert set(booth.by_caller[1:]) == {SILENCE_FRAME}


def test_the_tone_is_heard_where_nobody_speaks():
    booth = Booth(announces=True).enter()
    booth.media.mute(True)
    booth.goes_on(30, phone=None)
    mixed = Mixer().mix(SILENCE_FRAME, TONE_FRAMES[1])
    assert mixed in booth.by_phone
    assert mixed in booth.by_caller


def test_by_webrtc_it_is_the_same(booth):
    session = Session()
    booth.media.hear_by_session(session)
    booth.enter()
    booth.media.set_mode(Mode.WHISPER)
    booth.goes_on(10, ours=OURS)
    assert session.heard[-1] == Mixer().mix(PHONE, OURS)
    # And on another session of the same call.
    other = Session()
    booth.media.hear_by_session(other)
    booth.goes_on(10, ours=OURS)
    assert other.heard[-1] == Mixer().mix(PHONE, OURS)
    booth.media.supervise_no_more()
    booth.goes_on(3, ours=OURS)
    assert other.heard[-1] == PHONE


def test_a_caller_of_wide_band_hears_a_whisper_converted():
    booth = Booth(codec="pcm16").enter()
    booth.media.set_mode(Mode.WHISPER)
    booth.goes_on(10, caller=bytes(640), ours=OURS)
    assert {len(frame) for frame in booth.by_caller} == {640}
    other = Booth(codec="pcm16")
    other.goes_on(10, caller=bytes(640))
    assert booth.by_caller[-1] != other.by_caller[-1]


def test_when_the_call_is_over_so_is_supervision(booth):
    booth.enter()
    booth.goes_on(5)
    booth.media.part()
    assert booth.overs == 1
    heard = len(booth.heard)
    booth.studio.beat(5)
    booth.media.part()
    assert (len(booth.heard), booth.overs) == (heard, 1)
    assert not booth.media.can_supervise


def test_after_it_the_parties_hear_each_other_as_before(booth):
    booth.enter()
    booth.media.set_mode(Mode.BARGE)
    booth.goes_on(5, ours=OURS)
    booth.media.supervise_no_more()
    booth.goes_on(5, ours=OURS)
    heard = len(booth.heard)
    assert (booth.by_caller[-1], booth.by_phone[-1]) == (PHONE, CALLER)
    booth.goes_on(3)
    assert len(booth.heard) == heard
    assert booth.media.can_supervise


def test_nothing_grows_however_fast_and_odd_what_comes_is(booth):
    booth.enter()
    booth.media.set_mode(Mode.BARGE)
    for _ in range(200):
        booth.sound.voice(OURS)
        booth.phone_said(PHONE * 3)
        booth.phone_said(b"\x10" * 7)
    lanes = booth.sound._caller_voice, booth.sound._phone_voice
    assert max(map(len, lanes)) <= HEARD_MOST
    assert len(booth.sound._phone.lane) <= VOICE_MOST
    booth.goes_on(10, phone=SILENCE_FRAME, ours=OURS)
    assert booth.by_caller[-1] == Mixer().mix(SILENCE_FRAME, OURS)


def test_nothing_said_in_one_mode_is_heard_in_the_next(booth):
    booth.enter()
    booth.media.set_mode(Mode.WHISPER)
    booth.goes_on(3)
    for _ in range(5):
        booth.sound.voice(OURS)
    booth.media.set_mode(Mode.BARGE)
    booth.goes_on(10)
    assert booth.by_phone[-1] == CALLER
    assert Mixer().mix(CALLER, OURS) not in booth.by_phone


def test_before_the_phone_has_said_anything_its_first_word_is_heard():
    booth = Booth()
    fresh = Studio().joined()
    booth.studio, booth.media = fresh, fresh.media
    booth.enter()
    booth.goes_on(5, caller=None)
    assert PHONE in booth.heard
    assert fresh.sounds == 1


class Jittered:
    """A call of which one party speaks without a pause, over a network that delays unevenly."""

    def __init__(self, seed, spread_ms, *, is_phone):
        self.booth = Booth().enter()
        self.studio, self.carrier = self.booth.studio, CarrierPlayout()
        self.gaps = {"phone": 0, "supervisor": 0}
        chance = random.Random(seed)
        # In order, as on a socket.
        late = (abs(chance.gauss(0, spread_ms)) for _ in range(FRAMES))
        arrivals = deque(itertools.accumulate((n * 20 + each for n, each in enumerate(late)), max))
        was = dict.fromkeys(self.gaps, True)
        for step in range(FRAMES * 8):
            while arrivals and arrivals[0] <= step * 2.5:
                arrivals.popleft()
                self.booth.phone_said(CALLER) if is_phone else self.booth.media.take_frame(CALLER)
            self.studio.now_ns += URGENT_NS
            self.studio.ticker.poll(self.studio.now_ns)
            for payload in self.studio.to_phone:
                self.carrier.push(payload)
            self.studio.phone.forget()
            if step % 8 == 7:
                self.studio.ticker.beat(self.studio.now_ns)
                sounds = {"phone": self.carrier.pull(), "supervisor": self.booth.heard.pop()}
                for who, frame in sounds.items():
                    is_heard = not {*frame} <= {0x7F, MULAW_SILENCE}
                    self.gaps[who] += was[who] and not is_heard and step > FRAMES
                    was[who] = is_heard


FRAMES = 500
"""Ten seconds, of which the first 1.25 are not counted: the lead is learnt."""


@pytest.mark.parametrize("spread_ms", first_of([20, 5, 40]))
@pytest.mark.parametrize("seed", range(3))
def test_whoever_listens_hears_no_more_gaps_of_the_caller_than_the_phone(seed, spread_ms):
    gaps = Jittered(seed, spread_ms, is_phone=False).gaps
    assert gaps["supervisor"] <= gaps["phone"]


@pytest.mark.parametrize("spread_ms", first_of([20, 5, 40]))
@pytest.mark.parametrize("seed", range(3))
def test_a_phone_that_jitters_is_heard_without_gaps_once_that_is_known(seed, spread_ms):
    assert Jittered(seed, spread_ms, is_phone=True).gaps["supervisor"] <= 1
