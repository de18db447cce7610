"""Talk detection on made voices, tones, noise and silence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media import tones
from media.g711 import FRAME_SAMPLES, SILENCE_FRAME, mulaw_decode
from media.vad import TalkDetector
from tests.media.signals import sine, to_mulaw, voice

SPEECH = to_mulaw(voice(2))
SILENCE = SILENCE_FRAME * 100
"""Two seconds each."""
LOUD_FRAME = to_mulaw(sine(1_000, 0.02))


class Judged:
    """A detector whose answers the test gives."""

    def __init__(self, judge) -> None:
        self.judge = judge

    def is_speech(self, pcm: bytes, _rate_hz: int, _samples: int) -> bool:
        return self.judge(pcm)


def frames_of(audio: bytes) -> list[bytes]:
    return [audio[at : at + FRAME_SAMPLES] for at in range(0, len(audio), FRAME_SAMPLES)]


def changes(detector: TalkDetector, audio: bytes) -> list[tuple[int, bool]]:
    """Return (time in ms, talking) of each change."""
    told = []
    for index, frame in enumerate(frames_of(audio), start=1):
        talking = detector.feed(frame)
        if talking is not None:
            told.append((index * 20, talking))
    return told


def test_talk_starts_and_stops_once() -> None:
    detector = TalkDetector()
    (start_ms, started), (stop_ms, stopped) = changes(detector, SILENCE + SPEECH + SILENCE)
    assert (started, stopped) == (True, False)
    assert 2_060 <= start_ms <= 2_160
    assert 4_280 <= stop_ms <= 4_380
    assert not detector.talking
    assert detector.talk_ms == stop_ms - start_ms
    assert detector.silence_ms == 6_000 - detector.talk_ms


def test_short_pauses_do_not_end_talk() -> None:
    pause = SILENCE_FRAME * 8
    told = changes(TalkDetector(), (SPEECH[: 160 * 40] + pause) * 4)
    assert [talking for _, talking in told] == [True]


def test_a_longer_hangover_bridges_a_longer_pause() -> None:
    audio = (SPEECH[: 160 * 40] + SILENCE_FRAME * 40) * 2
    assert len(changes(TalkDetector(), audio)) == 4
    assert len(changes(TalkDetector(hangover_ms=1_000), audio)) == 1


def told_by(pattern: str) -> list[tuple[int, bool]]:
    """Return the changes when WebRTC's verdicts are these; it stretches what it hears itself."""
    detector = TalkDetector()
    detector._vad = Judged(lambda _: pattern[detector._frames - 1] == "1")
    return changes(detector, LOUD_FRAME * len(pattern))


@pytest.mark.parametrize("pattern", ["1", "11", "11000", "1000110001", "0110000110"])
def test_less_than_the_attack_is_not_talk(pattern: str) -> None:
    assert told_by("00000" + pattern + "0" * 20) == []


@pytest.mark.parametrize("pattern", ["111", "10101", "11001", "01011"])
def test_three_speech_frames_of_five_are_talk(pattern: str) -> None:
    start_ms = 20 * (5 + len(pattern))
    assert told_by("00000" + pattern + "0" * 14) == [(start_ms, True)]
    start, (stop_ms, stopped) = told_by("00000" + pattern + "0" * 19)
    assert (start, stopped) == ((start_ms, True), False)
    assert 300 <= stop_ms - start_ms <= 380, "each fifth frame of talk is asked about"


def test_talk_that_has_ended_must_begin_anew() -> None:
    assert len(told_by("111" + "0" * 19 + "11" + "0" * 19)) == 2
    assert len(told_by("111" + "0" * 19 + "111" + "0" * 14)) == 3
    assert len(told_by("111" + "0" * 19 + "111" + "0" * 19)) == 4


@pytest.mark.parametrize(
    "audio",
    [
        SILENCE,
        b"".join(tones.comfort_noise().frame(index) for index in range(200)),
    ],
    ids=["silence", "comfort noise"],
)
def test_a_quiet_line_does_not_talk(audio: bytes) -> None:
    detector = TalkDetector()
    assert changes(detector, audio) == []
    assert detector.talk_ms == 0
    assert detector.silence_ms == len(audio) // 8


@given(st.lists(st.integers(0, 700), max_size=60))
def test_any_cut_of_the_audio_counts_the_same(sizes: list[int]) -> None:
    audio = (SILENCE[:8_000] + SPEECH + SILENCE)[: sum(sizes)]
    pieces, whole = TalkDetector(), TalkDetector()
    at = 0
    for size in sizes:
        was_talking = pieces.talking
        told = pieces.feed(audio[at : at + size])
        assert told is (None if pieces.talking == was_talking else pieces.talking)
        at += size
    for frame in frames_of(audio[: len(audio) // FRAME_SAMPLES * FRAME_SAMPLES]):
        whole.feed(frame)
    assert (pieces.talking, pieces.talk_ms, pieces.silence_ms, pieces.level_dbov) == (
        whole.talking,
        whole.talk_ms,
        whole.silence_ms,
        whole.level_dbov,
    )
    assert pieces.talk_ms + pieces.silence_ms == len(audio) // FRAME_SAMPLES * 20


@given(st.lists(st.integers(0, 400) | st.just(FRAME_SAMPLES), min_size=1, max_size=12))
def test_any_cut_of_the_audio_is_heard_in_order(sizes: list[int]) -> None:
    audio = np.random.default_rng(3).integers(0, 256, sum(sizes), np.uint8).tobytes()
    detector, heard, at = TalkDetector(), [], 0

    def judge(pcm: bytes) -> bool:
        heard.append(pcm)
        return False

    detector._vad = Judged(judge)
    for size in sizes:
        detector.feed(audio[at : at + size])
        at += size
    whole = len(audio) // FRAME_SAMPLES * FRAME_SAMPLES
    assert b"".join(heard) == mulaw_decode(audio[:whole])


@given(st.binary(max_size=2_000))
def test_any_bytes_are_audio(audio: bytes) -> None:
    detector = TalkDetector()
    detector.feed(audio)
    assert detector.talk_ms + detector.silence_ms == len(audio) // FRAME_SAMPLES * 20
    assert -127 <= detector.level_dbov <= 0


def test_level_is_that_of_the_last_half_second() -> None:
    detector = TalkDetector()
    assert detector.level_dbov == -127
    loud = to_mulaw(sine(1_000, 1, peak=32_000))
    for expected, audio in ((-3, loud), (-23, to_mulaw(sine(1_000, 0.5, peak=3_200)))):
        changes(detector, audio)
        assert detector.level_dbov == expected
    changes(detector, SILENCE_FRAME * 20)
    assert detector.level_dbov == round(-23 + 10 * np.log10(1 / 5))
    changes(detector, SILENCE_FRAME * 5)
    assert detector.level_dbov == -127


def test_level_averages_power() -> None:
    detector = TalkDetector()
    changes(detector, to_mulaw(sine(1_000, 0.3, peak=32_000)) + SILENCE_FRAME * 10)
    assert detector.level_dbov == round(-3 + 10 * np.log10(3 / 5))


@pytest.mark.parametrize(
    "wrong",
    [{"attack_frames": 0}, {"attack_frames": 6}, {"hangover_ms": 19}, {"aggressiveness": 4}],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - two libraries, two messages
        TalkDetector(**wrong)
