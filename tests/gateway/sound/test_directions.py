"""Both directions of one call's audio, frame by frame on a clock that the test moves."""

from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sound.directions import (
    FRAME_MS,
    GAP_MS,
    SOURCE_SILENT_NS,
    Downlink,
    TonePlayer,
    Uplink,
)
from media import tones
from media.clock import NEVER_NS
from media.lead_control import CAP_NS, HARD_NS, PACKETS, STREAM
from media.resample import Downsampler, Upsampler
from tests.media.signals import to_mulaw, voice
from tests.media.signals import voice as voice_of

FRAME_NS = FRAME_MS * 1_000_000

MS_NS = 1_000_000
FRAME = b"\x55" * 160
SILENCE = b"\xff" * 160
LEAD = b"\xff" * (STREAM.start_ns // FRAME_NS * 160)
"""The silence that the voice begins with, after the rest of its lead has been waited for."""
VOICE = to_mulaw(voice(1))
VOICE_FRAMES = [VOICE[at : at + 160] for at in range(0, len(VOICE), 160)]


class Sent(list[bytes]):
    """A leg, or a connection, that keeps the audio it is given and is given nothing else."""

    def send_audio(self, payload: bytes) -> None:
        self.append(payload)

    def send_audio_binary(self, payload: bytes) -> None:
        self.append(payload)

    def send_mark(self, _name: str) -> None:
        raise AssertionError("nobody asked for marks")

    def clear(self) -> None:
        raise AssertionError("nothing is to be taken back")


class Nobody:
    """Is told of nothing but pauses."""

    def caller_talks(self, talking: bool) -> None:
        """Nobody looks."""

    def phone_talks(self, talking: bool) -> None:
        """Nobody looks."""

    def bad_frame(self) -> None:
        pytest.fail("it is a good frame")


class Line:
    """An uplink into a carrier that plays what it is given, in order and without haste."""

    def __init__(self, **changes):
        self.now_ns = 5_000_000_000
        self.sent = Sent()
        self.talk: list[bool] = []
        self.bad_frames = 0
        options = {"frame_bytes": 160, "convert": None}
        self.uplink = Uplink(
            clock_ns=lambda: self.now_ns,
            listener=self,
            **{**options, **changes},
        )
        self.uplink.join(self.sent)
        self.uplink.is_open = True

    def caller_talks(self, talking: bool) -> None:
        self.talk.append(talking)

    def bad_frame(self) -> None:
        self.bad_frames += 1

    def wait(self, duration_ns: int = FRAME_NS) -> None:
        """Let time pass; who waits for audio is asked as the heartbeat asks."""
        until_ns = self.now_ns + duration_ns
        while self.now_ns < until_ns:
            self.now_ns += self.uplink.playout.tick_ns
            self.uplink.poll(self.now_ns)

    def speak(self, frames) -> None:
        """Speak frames, one each 20 ms."""
        for frame in frames:
            self.uplink.frame(frame)
            self.wait()

    def packets(self, frames, first: int = 0) -> None:
        """Send packets, one each 20 ms."""
        for sequence, frame in enumerate(frames, first):
            self.uplink.packet(sequence, 160 * sequence, frame)
            self.wait()

    @property
    def payloads(self) -> list[bytes]:
        payloads = list(self.sent)
        assert all(payload and not len(payload) % 160 for payload in payloads)
        return payloads

    @property
    def heard(self) -> bytes:
        return b"".join(self.payloads)

    @property
    def delay_ms(self) -> float:
        return self.uplink.playout.delay_ns(self.now_ns) / MS_NS


# The caller's voice.


def test_a_frame_goes_out_as_it_came_in_after_a_little_lead():
    line = Line()
    line.uplink.frame(FRAME)
    assert line.payloads == []
    line.wait(STREAM.start_ns % FRAME_NS)
    lead, frame = line.payloads
    assert lead == LEAD
    assert len(frame) == 160
    assert frame[80:] == FRAME[80:], "only its beginning is faded in"
    line.wait(FRAME_NS - STREAM.start_ns % FRAME_NS)
    line.uplink.frame(FRAME)
    assert line.payloads[2:] == [FRAME]
    assert (line.uplink.frames, line.uplink.sent, line.uplink.dropped) == (2, 2, 0)


def test_nothing_goes_out_while_closed_and_it_counts_only_as_received():
    line = Line()
    line.uplink.is_open = False
    line.speak([FRAME])
    line.packets([FRAME] * 10)
    assert (line.sent, line.uplink.sent) == ([], 0)
    assert line.uplink.frames == 7, "a frame, and what came when it was silent for long enough"
    assert line.uplink.talk.silence_ms == 0


def test_a_frame_before_the_stream_has_nowhere_to_go():
    uplink = Uplink(
        clock_ns=lambda: 0,
        frame_bytes=160,
        convert=None,
        listener=Nobody(),
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
    assert (line.bad_frames, line.sent, line.uplink.frames) == (1, [], 0)


@pytest.mark.parametrize("size", [0, 1, 7, 961, 1500])
@pytest.mark.parametrize("is_open", [True, False])
def test_a_packet_of_another_size_is_dropped(size, is_open):
    line = Line()
    line.uplink.is_open = is_open
    line.uplink.packet(1, 160, bytes(size))
    assert (line.bad_frames, line.sent, line.uplink.frames) == (0, [], 0)
    assert line.uplink.dropped == 1


@pytest.mark.parametrize("size", [8, 80, 240, 480, 960])
def test_packets_need_not_last_20_ms(size):
    line = Line()
    per_s, voice = 8_000 // size, to_mulaw(voice_of(1))
    for number in range(per_s):
        line.uplink.packet(number, number * size, voice[number * size :][:size])
        for _ in range(size // 8):
            line.now_ns += MS_NS
            line.uplink.poll(line.now_ns)
    assert {len(payload) % 160 for payload in line.payloads} == {0}
    said = voice[: per_s * size - 400]
    assert said[-800:] in line.heard, "nothing is lost, doubled or held"
    counters = line.uplink.playout.counters
    assert counters.concealed_ms <= (size < 160) * 20


def test_a_burst_does_not_stay_as_delay():
    """A second that comes at once is cut at once, and what is left goes to the carrier in time."""
    line = Line()
    for frame in VOICE_FRAMES:
        line.uplink.frame(frame)
        assert line.delay_ms <= HARD_NS / MS_NS
        assert line.uplink.playout.lead_ns(line.now_ns) <= CAP_NS + FRAME_NS
    line.speak(VOICE_FRAMES * 2)
    assert line.delay_ms < CAP_NS / MS_NS
    assert line.uplink.playout.counters.cut_ms > 700


def test_what_was_held_is_handed_on_although_nothing_more_comes():
    line = Line()
    for _ in range(8):
        line.uplink.frame(FRAME)
    before = len(line.sent)
    line.wait(100 * MS_NS)
    assert len(line.sent) > before
    assert line.uplink.playout.delay_ns(line.now_ns) <= CAP_NS


def test_a_missing_frame_is_concealed_when_the_carrier_would_run_dry():
    line = Line()
    line.speak(VOICE_FRAMES[10:20])
    before = len(line.heard)
    line.wait(STREAM.start_ns - STREAM.tick_ns)
    concealed = line.heard[before:]
    assert line.uplink.playout.counters.concealed_ms * 8 == len(concealed) > 0
    assert set(concealed) != set(SILENCE)
    line.wait(10 * FRAME_NS)
    assert line.uplink.playout.deadline_ns == NEVER_NS, "a talker who stopped is not waited for"


def test_closing_pauses_so_that_nothing_is_invented():
    line = Line()
    line.speak(VOICE_FRAMES[10:15])
    line.uplink.is_open = False
    before = len(line.sent)
    line.speak(VOICE_FRAMES[15:30])
    assert len(line.sent) == before
    assert line.uplink.playout.deadline_ns == NEVER_NS
    line.uplink.is_open = True
    line.uplink.frame(FRAME)
    line.wait()
    assert line.payloads[before] == LEAD, "the stream begins anew"


def test_closing_what_is_closed_disturbs_no_tone():
    line = Line()
    line.uplink.is_open = False
    line.uplink.play(FRAME)
    line.uplink.is_open = False
    line.uplink.play(FRAME)
    assert line.payloads == [FRAME, FRAME]
    assert line.uplink.playout.lead_ns(line.now_ns) == 2 * FRAME_NS


def test_keys_go_ahead_of_speech_and_speech_waits_until_they_are_played():
    line = Line()
    keys = tones.dtmf("42")
    line.uplink.play(keys)
    assert line.payloads == [keys]
    assert line.uplink.sent == len(keys) // 160
    end_ns = line.now_ns + len(keys) // 160 * FRAME_NS
    while line.now_ns < end_ns - 3 * FRAME_NS:
        line.speak([FRAME])
    assert line.payloads == [keys]
    assert line.uplink.playout.counters.cut_ms == 20 * (len(keys) // 160 - 3)
    line.speak([FRAME] * 10)
    assert line.payloads[0] == keys
    assert line.heard.endswith(FRAME)
    assert line.delay_ms <= 60


def test_keys_in_the_midst_of_speech_are_heard_whole():
    line = Line()
    line.speak(VOICE_FRAMES[:10])
    keys = tones.dtmf("5")
    before = len(line.sent)
    line.uplink.play(keys)
    line.speak(VOICE_FRAMES[10:])
    assert line.payloads[before] == keys
    assert line.heard.endswith(VOICE_FRAMES[-1])
    assert line.delay_ms <= 60


def test_keys_longer_than_any_delay_do_not_silence_the_caller_afterwards():
    line = Line()
    keys = tones.dtmf("0123456789")
    line.uplink.play(keys)
    line.wait(len(keys) // 160 * FRAME_NS)
    line.speak([FRAME])
    assert line.uplink.dropped == 0
    assert len(line.sent) > 1


def test_keys_are_sent_while_muted():
    line = Line()
    line.uplink.is_open = False
    line.uplink.play(tones.dtmf("1"))
    assert line.payloads == [tones.dtmf("1")]


def test_talk_is_told_and_the_playout_knows():
    line = Line()
    assert not line.uplink.playout.is_talking
    line.speak(VOICE_FRAMES)
    assert line.talk == [True]
    assert line.uplink.playout.is_talking
    line.speak([SILENCE] * 50)
    assert line.talk == [True, False]
    assert not line.uplink.playout.is_talking
    assert line.uplink.talk.talk_ms + line.uplink.talk.silence_ms == 2_000


def test_wide_audio_is_brought_to_the_phone_and_back():
    line = Line(frame_bytes=640, convert=Downsampler().convert)
    heard = Sent()
    downlink = Downlink(
        clock_ns=lambda: line.now_ns, convert=Upsampler().convert, listener=Nobody()
    )
    downlink.by_socket(heard)
    line.speak([bytes(640)] * 10)
    lead, *payloads = line.payloads
    for payload in payloads:
        line.now_ns += FRAME_NS
        downlink.audio(payload)
    assert lead == LEAD
    assert [len(p) for p in payloads] == [160] * 10
    assert [len(f) for f in heard] == [640] * 10


def test_packets_are_narrow_whatever_the_socket_speaks():
    line = Line(frame_bytes=640, convert=lambda _: pytest.fail("it is mu-law already"))
    line.packets(VOICE_FRAMES[:5])
    assert line.payloads[1:] == VOICE_FRAMES[1:5]


# The caller's two ways.


def test_packets_are_put_in_order():
    line = Line()
    line.packets(VOICE_FRAMES[:5])
    line.uplink.packet(6, 960, VOICE_FRAMES[6])
    assert line.heard.endswith(VOICE_FRAMES[4])
    line.uplink.packet(5, 800, VOICE_FRAMES[5])
    assert line.payloads[-2:] == VOICE_FRAMES[5:7]


@pytest.mark.parametrize("is_back", [False, True])
def test_the_other_way_is_taken_once_the_first_has_been_silent_for_long_enough(is_back):
    line = Line()
    first, second = line.uplink.frame, lambda frame: line.uplink.packet(9, 1440, frame)
    if is_back:
        line.wait(SOURCE_SILENT_NS)
        first, second = second, first
    first(FRAME)
    line.now_ns += SOURCE_SILENT_NS - 1
    second(FRAME)
    assert (line.uplink.frames, line.uplink.dropped) == (1, 1)
    line.now_ns += 1
    second(FRAME)
    assert (line.uplink.frames, line.uplink.dropped) == (2, 1)
    line.now_ns += 1
    first(FRAME)
    assert (line.uplink.frames, line.uplink.dropped) == (2, 2), "now the first one is the other"


def test_no_word_is_heard_twice_while_the_voice_moves():
    """For 300 ms both ways bring the same voice; then the first falls silent."""
    line = Line()
    marked = [bytes([n]) * 160 for n in range(40)]
    line.speak(marked[:10])
    for n in range(10, 25):
        line.uplink.packet(n, 160 * n, marked[n])
        line.speak([marked[n]])
    line.packets(marked[25:], 25)
    whole = [payload[0] for payload in line.payloads if payload in marked]
    assert whole == sorted(set(whole))
    assert set(range(1, 25)) <= set(whole)
    assert {31, 35, 39} <= set(whole), "the voice goes on"
    assert line.uplink.dropped == 15 + 4


def test_another_way_starts_a_sequence_of_its_own():
    """The numbers of the packets have nothing to do with the frames before."""
    line = Line()
    line.speak(VOICE_FRAMES[:10])
    line.wait(SOURCE_SILENT_NS)
    line.packets(VOICE_FRAMES[20:30], 40_000)
    line.wait(SOURCE_SILENT_NS)
    line.packets(VOICE_FRAMES[30:40], 40_010)
    line.wait(SOURCE_SILENT_NS)
    line.speak(VOICE_FRAMES[40:])
    counters = line.uplink.playout.counters
    assert (counters.late, counters.reset) == (0, 0)
    assert line.heard.endswith(VOICE_FRAMES[-1])


def test_each_way_is_steered_to_a_lead_of_its_own():
    line = Line()
    playout = line.uplink.playout
    for speak, source in ((line.speak, STREAM), (line.packets, PACKETS), (line.speak, STREAM)):
        line.now_ns += SOURCE_SILENT_NS
        speak(VOICE_FRAMES)
        assert playout.tick_ns == source.tick_ns
        assert 0 <= playout.lead_ns(line.now_ns) - source.start_ns <= source.tick_ns
    assert playout.counters.concealed_ms == 0


def test_a_bad_frame_does_not_keep_the_other_way_waiting():
    line = Line()
    line.speak([FRAME])
    for _ in range(5):
        line.uplink.frame(bytes(161))
        line.wait()
    line.packets([FRAME])
    line.uplink.packet(1, 160, b"")
    assert line.uplink.frames == 2


def test_the_jitter_of_frames_is_measured():
    line = Line()
    line.speak([FRAME] * 50)
    assert line.uplink.jitter.ms == 0
    for n in range(500):
        line.now_ns += (10 * MS_NS, 30 * MS_NS)[n % 2]
        line.uplink.frame(FRAME)
    assert line.uplink.jitter.ms == pytest.approx(10, abs=1)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 120_000_000),
            st.sampled_from(["frame", "packet", "poll", "open", "close", "key"]),
            st.integers(0, 0xFFFF),
        ),
        max_size=100,
    )
)
def test_whatever_comes_when_the_delay_stays_bounded(steps):
    line = Line()
    key = tones.dtmf("1")
    for gap_ns, step, number in steps:
        line.now_ns += gap_ns
        if step == "frame":
            line.uplink.frame(FRAME)
        elif step == "packet":
            size = (160, 80, 480, 8 + number % 953)[number % 4]
            line.uplink.packet(number, 160 * number, VOICE[:size])
        elif step == "poll":
            line.uplink.poll(line.now_ns)
        elif step == "key":
            line.uplink.play(key)
        else:
            line.uplink.is_open = step == "open"
        waiting_ns = line.uplink.playout.delay_ns(line.now_ns)
        keys_ns = len(key) // 160 * FRAME_NS * [s for _, s, _ in steps].count("key")
        assert waiting_ns <= HARD_NS + 6 * FRAME_NS + keys_ns
    assert line.bad_frames == 0
    assert len(line.payloads) == len(line.sent), "whole frames, all of them"


# The phone's voice.


class Ear:
    """A caller who hears frames of the socket, or packets."""

    def __init__(self, convert=None):
        self.now_ns = 5_000_000_000
        self.heard = Sent()
        self.packets: list[tuple[bytes, int | None]] = []
        self.sent_ms: list[float] = []
        """When each packet was sent."""
        self.talk: list[bool] = []
        self.downlink = Downlink(clock_ns=lambda: self.now_ns, convert=convert, listener=self)
        self.downlink.by_socket(self.heard)

    def phone_talks(self, talking: bool) -> None:
        self.talk.append(talking)

    def by_session(self) -> "Ear":
        self.downlink.by_session(self)
        return self

    def send_audio(self, payload: bytes, timestamp_ms: int | None) -> None:
        self.packets.append((payload, timestamp_ms))
        self.sent_ms.append(self.now_ns / MS_NS)

    def stream(self, timestamps) -> list[int]:
        """Let the carrier send a frame at each of these; return the times of the packets."""
        before, last_ms = len(self.packets), None
        for at_ms in timestamps:
            if last_ms is not None:
                self.now_ns += (at_ms - last_ms) * MS_NS
            last_ms = at_ms
            self.downlink.audio(FRAME, at_ms)
        return [at_ms for _, at_ms in self.packets[before:]]

    def hear(self, audio: bytes, at_ms: int | None = None) -> None:
        """Let the carrier send this, as long as it takes to say it."""
        self.downlink.audio(audio, at_ms)
        self.now_ns += len(audio) * MS_NS // 8


def test_the_phones_frames_are_handed_on_unchanged():
    ear = Ear()
    for frame in VOICE_FRAMES:
        ear.hear(frame)
    assert ear.heard == VOICE_FRAMES
    assert ear.downlink.sent == len(VOICE_FRAMES)
    assert ear.talk == [True]


def test_a_call_that_nobody_hears_yet_is_no_fault():
    downlink = Downlink(clock_ns=lambda: 0, convert=None, listener=Nobody())
    downlink.audio(FRAME)
    downlink.tone(FRAME)
    assert downlink.sent == 1


PIECES = st.lists(st.integers(0, 500), max_size=40)
SOUND = bytes(range(256)) * 80


@given(PIECES)
def test_audio_in_any_sizes_comes_out_in_frames_and_in_order(sizes):
    ear, at = Ear(), 0
    for size in sizes:
        ear.hear(SOUND[at : at + size], at // 8)
        at += size
    assert all(len(frame) == 160 for frame in ear.heard)
    joined = b"".join(ear.heard)
    assert joined == SOUND[: len(joined)]
    assert at - len(joined) < 160


@given(PIECES)
def test_packets_go_as_they_come_unless_they_are_very_short(sizes):
    ear, at = Ear().by_session(), 0
    for size in sizes:
        ear.hear(SOUND[at : at + size], at // 8)
        at += size
        gone = b"".join(frame for frame, _ in ear.packets)
        assert gone == SOUND[: len(gone)]
        assert at - len(gone) < 80
    lengths = [len(frame) for frame, _ in ear.packets]
    assert all(80 <= length <= 160 and length % 8 == 0 for length in lengths)
    starts = accumulate(lengths, initial=0)
    assert [at_ms for _, at_ms in ear.packets] == [start // 8 for start in starts][:-1]


def test_what_was_kept_for_the_socket_goes_with_the_first_packet():
    ear = Ear()
    ear.downlink.audio(SOUND[:250])
    ear.by_session().downlink.audio(SOUND[250:410])
    assert b"".join(ear.heard) == SOUND[:160]
    assert [frame for frame, _ in ear.packets] == [SOUND[160:320], SOUND[320:408]]


def test_a_closed_downlink_is_silent_but_for_our_own_tones():
    ear = Ear()
    ear.downlink.is_open = False
    ear.downlink.audio(FRAME)
    ear.downlink.tone(VOICE_FRAMES[0])
    assert ear.heard == [VOICE_FRAMES[0]]
    assert (ear.downlink.sent, ear.downlink.talk.silence_ms) == (0, 0)


def test_a_tone_of_ours_is_converted_too():
    ear = Ear(convert=lambda frame: frame * 4)
    ear.downlink.tone(FRAME)
    assert ear.heard == [FRAME * 4]


def test_by_session_all_is_sent_as_packets_of_mu_law():
    ear = Ear(convert=lambda _: pytest.fail("packets are mu-law")).by_session()
    ear.downlink.audio(FRAME, 400)
    ear.downlink.tone(VOICE_FRAMES[0])
    assert ear.packets == [(FRAME, 400), (VOICE_FRAMES[0], 420)]
    assert (ear.heard, ear.downlink.sent) == ([], 1)


def test_the_way_back_to_the_socket_is_open_at_any_time():
    ear = Ear().by_session()
    ear.downlink.audio(FRAME, 0)
    ear.downlink.by_socket(ear.heard)
    ear.downlink.audio(VOICE_FRAMES[1], 20)
    ear.downlink.tone(VOICE_FRAMES[2])
    assert (len(ear.packets), ear.heard) == (1, VOICE_FRAMES[1:3])
    ear.by_session()
    assert ear.stream([5000]) == [5000]


@given(st.lists(st.integers(-15, 15), min_size=1, max_size=200))
def test_packets_are_evenly_timed_although_the_carriers_time_wanders(wander):
    times = Ear().by_session().stream(max(0, 20 * n + off) for n, off in enumerate(wander))
    assert times == [20 * n for n in range(len(wander))]


def test_a_gap_of_the_phones_voice_stays_visible():
    ear = Ear().by_session()
    assert ear.stream([1000, 1020, 1240, 1260, 1275]) == [1000, 1020, 1240, 1260, 1280]


def test_a_clock_that_drifts_is_followed():
    ear = Ear().by_session()
    times = ear.stream(21 * n for n in range(1000))
    assert max(abs(at_ms - 21 * n) for n, at_ms in enumerate(times)) < GAP_MS
    steps = [after - before for before, after in pairwise(times)]
    assert min(steps) == FRAME_MS
    assert sum(step != FRAME_MS for step in steps) <= 1000 // GAP_MS


def test_hold_is_a_gap_too():
    ear = Ear().by_session()
    ear.stream([0, 20])
    ear.now_ns += FRAME_NS
    ear.downlink.is_open = False
    assert ear.stream(range(40, 5040, 20)) == []
    ear.now_ns += FRAME_NS
    ear.downlink.is_open = True
    assert ear.stream([5040, 5060]) == [5040, 5060]


@pytest.mark.parametrize(("waited_ms", "gap_ms"), [(3, 0), (20, 0), (27, 7), (163, 143)], ids=str)
def test_speech_follows_a_tone_when_it_comes_and_not_before(waited_ms, gap_ms):
    ear = Ear().by_session()
    for _ in range(3):
        ear.now_ns += FRAME_NS
        ear.downlink.tone(FRAME)
    ear.now_ns += waited_ms * MS_NS
    assert ear.stream([7000, 7020, 7240]) == [60 + gap_ms, 80 + gap_ms, 300 + gap_ms]


def test_a_beep_takes_the_place_of_speech():
    ear = Ear().by_session()
    ear.stream([1000, 1020])
    for _ in range(2):
        ear.now_ns += FRAME_NS
        ear.downlink.tone(FRAME)
    ear.now_ns += FRAME_NS
    assert ear.stream([1080, 1100]) == [1080, 1100]
    assert [at_ms for _, at_ms in ear.packets] == [1000, 1020, 1040, 1060, 1080, 1100]


def burst(ear: Ear, frames: int, first_ms: int) -> None:
    """Let a stall end in so many frames at once, and the stream go on for two seconds."""
    ear.now_ns += frames * FRAME_NS
    for n in range(frames):
        ear.downlink.audio(FRAME, first_ms + 20 * n)
    end_ns = ear.now_ns + 2_000 * MS_NS
    at_ms, due_ns = first_ms + 20 * frames, ear.now_ns
    while ear.now_ns < end_ns:
        ear.now_ns += 10 * MS_NS
        ear.downlink.poll(ear.now_ns)
        if ear.now_ns >= due_ns + FRAME_NS:
            due_ns += FRAME_NS
            ear.downlink.audio(FRAME, at_ms)
            at_ms += 20


@pytest.mark.parametrize("frames", [5, 25, 75, 150])
def test_a_burst_of_the_phone_is_told_as_a_gap_and_no_packet_as_late(frames):
    """A browser keeps room for long for what it has seen late once."""
    ear = Ear().by_session()
    ear.stream(range(1000, 2000, 20))
    burst(ear, frames, 2000)
    offset = ear.sent_ms[0] - ear.packets[0][1]
    lateness = [
        at - offset - stamp for at, (_, stamp) in zip(ear.sent_ms, ear.packets, strict=True)
    ]
    assert min(lateness) >= -45
    assert max(lateness) <= 10
    ends = [stamp + len(audio) // 8 for audio, stamp in ear.packets]
    gaps = [after[1] - end for end, after in zip(ends[:-1], ear.packets[1:], strict=True)]
    assert [gap for gap in gaps if gap] == [20 * frames - 20]
    heard = sum(len(audio) for audio, _ in ear.packets)
    removed = ear.downlink.pacer.cut_ms + ear.downlink.pacer.shortened_ms
    assert removed * 8 + heard == pytest.approx(160 * (50 + frames + 100), abs=3 * 160)


def test_a_burst_of_the_phone_comes_evenly_on_the_socket_too():
    ear = Ear()
    ear.stream(range(0, 1000, 20))
    burst(ear, 75, 1000)
    assert all(len(frame) == 160 for frame in ear.heard)
    assert len(ear.heard) - 50 <= 2_000 // 20 + 3


def test_what_was_held_when_the_call_was_put_on_hold_is_not_heard_later():
    ear = Ear().by_session()
    ear.stream(range(0, 200, 20))
    ear.now_ns += 300 * MS_NS
    for n in range(10):
        ear.downlink.audio(FRAME, 200 + 20 * n)
    before = len(ear.packets)
    ear.downlink.is_open = False
    for _ in range(50):
        ear.now_ns += 10 * MS_NS
        ear.downlink.poll(ear.now_ns)
    assert len(ear.packets) == before
    assert ear.downlink.pacer.held_ms() == 0


def test_audio_without_a_time_is_next():
    ear = Ear().by_session()
    ear.stream([60])
    ear.downlink.audio(FRAME, None)
    assert ear.packets[-1] == (FRAME, 80)


def test_the_jitter_of_the_phones_voice_is_by_the_carriers_time():
    ear = Ear()
    for n in range(50):
        ear.now_ns += FRAME_NS
        ear.downlink.audio(FRAME, 20 * n)
    assert ear.downlink.jitter.ms == pytest.approx(0, abs=1e-6)
    for n in range(50, 550):
        ear.now_ns += (10 * MS_NS, 30 * MS_NS)[n % 2]
        ear.downlink.audio(FRAME, 20 * n)
    assert ear.downlink.jitter.ms == pytest.approx(10, abs=1)


def test_a_tone_player_sends_the_frames_in_order():
    heard = Sent()
    player = TonePlayer(lambda index: bytes([index]) * 160, heard.append)
    for _ in range(3):
        player.play()
    assert heard == [bytes([n]) * 160 for n in range(3)]
