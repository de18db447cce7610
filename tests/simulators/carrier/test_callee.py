"""The called party: what it plays, when it presses keys, and what it has heard."""

from __future__ import annotations

import math

import pytest

from media.g711 import audioop, mulaw_decode
from simulators.carrier import clips
from simulators.carrier.callee import DIGITS_MAX, Callee, Clip, Impairment
from simulators.carrier.playout import FRAME_BYTES, SILENCE
from simulators.carrier.recording import Recording
from simulators.carrier.scripts import Script, Voice

FRAMES = [bytes([n]) * FRAME_BYTES for n in range(1, 101)]


def callee(voice: Voice, delay_ms: int = 0, digits: str = "") -> Callee:
    return Callee(Script("", voice, digits=digits), delay_ms)


def goertzel(audio: bytes, hz: float) -> float:
    """Return the share of the energy that lies at one frequency."""
    pcm = mulaw_decode(audio)
    samples = memoryview(pcm).cast("h")
    re = sum(s * math.cos(2 * math.pi * hz * n / 8000) for n, s in enumerate(samples))
    im = sum(s * math.sin(2 * math.pi * hz * n / 8000) for n, s in enumerate(samples))
    energy = sum(s * s for s in samples) or 1
    return 2 * (re * re + im * im) / (len(samples) * energy)


def test_echo_plays_what_it_hears() -> None:
    party = callee(Voice.ECHO)
    assert [party.step(frame) for frame in FRAMES] == FRAMES


@pytest.mark.parametrize(
    ("voice", "delay_ms", "frames"), [(Voice.ECHO, 60, 3), (Voice.DELAYED_ECHO, 0, 50)]
)
def test_echo_waits(voice: Voice, delay_ms: int, frames: int) -> None:
    party = callee(voice, delay_ms)
    played = [party.step(frame) for frame in FRAMES]
    assert played == [SILENCE] * frames + FRAMES[:-frames]


def test_any_other_number_greets_then_echoes() -> None:
    party = callee(Voice.GREETED_ECHO)
    played = [party.step(frame) for frame in FRAMES]
    assert goertzel(b"".join(played[:15]), 440) > 0.95
    assert played[20:] == FRAMES[20:]


def test_tone_is_one_kilohertz_without_clicks() -> None:
    party = callee(Voice.TONE)
    audio = b"".join(party.step(SILENCE) for _ in range(120))
    assert goertzel(audio, 1000) > 0.99


def test_speech_goes_on_with_pauses() -> None:
    party = callee(Voice.SPEECH)
    levels = [audioop.rms(mulaw_decode(party.step(SILENCE)), 2) for _ in range(700)]
    loud = sum(level > 500 for level in levels) / len(levels)
    assert 0.3 < loud < 0.95
    assert min(levels) == 0
    assert clips.speech(500) == clips.speech(500)


def test_speech_is_speech_to_a_detector() -> None:
    webrtcvad = pytest.importorskip("webrtcvad")
    pcm = mulaw_decode(clips.speech(6000))
    detector = webrtcvad.Vad(2)
    frames = [pcm[i : i + 320] for i in range(0, len(pcm), 320)]
    assert sum(detector.is_speech(frame, 8000) for frame in frames) > len(frames) / 3


def test_voicemail_greets_beeps_and_listens() -> None:
    party = callee(Voice.VOICEMAIL)
    played = [party.step(SILENCE) for _ in range(230)]
    assert goertzel(b"".join(played[200:220]), 1000) > 0.95
    assert played[220:] == [SILENCE] * 10


def test_presses_keys_two_a_second_from_the_first_second() -> None:
    party = callee(Voice.SILENCE, digits="12#")
    pressed = []
    for frame in range(1, 151):
        party.step(SILENCE)
        if (digit := party.due_digit()) is not None:
            pressed.append((frame, digit))
    assert pressed == [(50, "1"), (75, "2"), (100, "#")]


def test_keys_on_demand_are_bounded() -> None:
    party = callee(Voice.SILENCE)
    party.press("1" * 500)
    pressed = 0
    for _ in range(DIGITS_MAX * 25 + 100):
        party.step(SILENCE)
        pressed += party.due_digit() is not None
    assert pressed == DIGITS_MAX


def test_plays_a_clip_once_then_goes_on() -> None:
    party = callee(Voice.ECHO)
    party.play(b"\x55" * 200)
    played = [party.step(frame) for frame in FRAMES[:4]]
    assert played == [b"\x55" * 160, b"\x55" * 40 + SILENCE[40:], FRAMES[2], FRAMES[3]]


def test_falls_silent() -> None:
    party = callee(Voice.TONE)
    party.fall_silent()
    assert party.step(FRAMES[0]) == SILENCE


def test_an_empty_clip_ends() -> None:
    assert Clip(b"", loop=True).speak(SILENCE) is None


def test_impairment_loses_and_delays_the_same_way_each_time() -> None:
    first, again = Impairment(), Impairment()
    frames = [n.to_bytes(2, "big") * 80 for n in range(3000)]
    arrived = [first.carry(frame) for frame in frames]
    assert arrived == [again.carry(frame) for frame in frames]
    flat = [frame for step in arrived for frame in step]
    assert flat == sorted(flat)
    assert 0.02 < 1 - len(flat) / len(frames) < 0.08
    assert max(len(step) for step in arrived) >= 4


def test_recording_keeps_the_newest_and_counts_the_rest() -> None:
    recording = Recording(1)
    for n in range(60):
        recording.add(bytes([n]) * FRAME_BYTES, 1000 + n)
    assert (recording.frames, recording.lost_frames, recording.started_at_ns) == (60, 10, 1000)
    assert recording.audio()[0] == 10
    recording.forget()
    assert recording.audio() == b""


def test_recording_fills_up_the_last_frame() -> None:
    recording = Recording(1)
    recording.add_audio(b"\x01" * 200, 0)
    assert recording.audio() == b"\x01" * 200 + b"\xff" * 120
    off = Recording(0)
    off.add(SILENCE, 0)
    assert (off.audio(), off.frames) == (b"", 1)
