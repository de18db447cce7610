"""Frames made shorter and longer: by how much, where, and how it sounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.g711 import FRAME_SAMPLES, SILENCE_FRAME
from media.stretch import (
    NOISE_FRAMES,
    SIMILARITY_ANY,
    STRIDE,
    Stretcher,
    lengthen,
    shorten,
)
from tests.media.signals import Wave, from_mulaw, goertzel, sine, to_mulaw, voice

VOWEL = to_mulaw(voice(1)[4_000:4_160])
NOISE = to_mulaw(np.random.default_rng(2).normal(0, 4_000, 160).clip(-30_000, 30_000))
PAUSE = to_mulaw(np.random.default_rng(3).normal(0, 20, 160))


def largest_step(wave: Wave) -> float:
    return float(np.abs(np.diff(wave)).max())


@pytest.mark.parametrize("hz", [80, 100, 133, 190, 310])
@pytest.mark.parametrize("change", [shorten, lengthen])
def test_a_tone_keeps_its_pitch_level_and_ends(change: Callable[[bytes], bytes], hz: float) -> None:
    wave = sine(hz, 0.02 if hz > 110 else 0.03, peak=8_000)
    frame = to_mulaw(wave)
    changed = change(frame)
    assert 40 <= abs(len(changed) - len(frame)) <= 120
    heard = from_mulaw(changed)
    assert largest_step(heard) < 1.5 * largest_step(from_mulaw(frame)) + 300
    assert heard[0] == from_mulaw(frame)[0]
    assert heard[-1] == pytest.approx(from_mulaw(frame)[-1], abs=300)
    assert goertzel(heard, hz) == pytest.approx(8_000, rel=0.15)


def test_a_vowel_is_changed_and_noise_is_not() -> None:
    assert len(shorten(VOWEL)) < 160 < len(lengthen(VOWEL))
    assert shorten(NOISE) is NOISE
    assert lengthen(NOISE) is NOISE
    assert len(shorten(NOISE, SIMILARITY_ANY)) < 160 < len(lengthen(NOISE, SIMILARITY_ANY))


def test_an_excess_is_removed_evenly_over_frames_of_a_pause() -> None:
    stretcher = Stretcher()
    first = stretcher.shrink_evenly(PAUSE, 160, 0, is_talking=False)
    second = stretcher.shrink_evenly(PAUSE, 80, 0, is_talking=False)
    last = stretcher.shrink_evenly(PAUSE, 0, 30, is_talking=False)
    assert [len(first), len(second), len(last)] == [80, 80, 130]
    assert stretcher.removed == 190


def test_what_is_no_pause_is_left_whole_unless_there_has_been_only_noise_for_long() -> None:
    stretcher = Stretcher()
    assert stretcher.shrink_evenly(VOWEL, 160, 0, is_talking=True) is VOWEL
    for _ in range(2 * NOISE_FRAMES):
        stretcher.shrink(NOISE, 161, is_talking=True)
    shorter = [stretcher.shrink_evenly(NOISE, 160, 0, is_talking=True) for _ in range(2 * STRIDE)]
    assert min(map(len, shorter)) < 160
    assert stretcher.removed > 0


def test_more_than_a_frame_of_excess_does_not_wait_for_a_pause() -> None:
    stretcher = Stretcher()
    assert len(stretcher.shrink_evenly(VOWEL, 161, 0, is_talking=True)) < 160


@given(st.binary(min_size=1, max_size=960))
def test_any_frame_changes_by_a_period_or_not_at_all(frame: bytes) -> None:
    for change, sign in ((shorten, -1), (lengthen, 1)):
        for similarity_min in (SIMILARITY_ANY, 0.85):
            changed = change(frame, similarity_min)
            assert changed is frame or 40 <= sign * (len(changed) - len(frame)) <= 120
            assert changed[240:][-400:] == frame[240:][-400:] or len(frame) <= 640
    assert (shorten(frame, SIMILARITY_ANY) is frame) == (len(frame) < 80)


def test_a_quiet_frame_is_dropped_if_it_is_all_excess() -> None:
    stretcher = Stretcher()
    assert stretcher.shrink(PAUSE, 160, is_talking=True) == b""
    assert 40 <= len(stretcher.shrink(PAUSE, 159, is_talking=True)) <= 120
    assert stretcher.removed >= 200


def test_speech_waits_for_a_pause_while_the_excess_is_small() -> None:
    stretcher = Stretcher()
    assert stretcher.shrink(VOWEL, FRAME_SAMPLES, is_talking=True) is VOWEL
    assert stretcher.removed == 0
    assert len(stretcher.shrink(VOWEL, FRAME_SAMPLES + 1, is_talking=True)) < FRAME_SAMPLES


def test_noise_never_changes_while_it_is_loud() -> None:
    stretcher = Stretcher()
    assert stretcher.shrink(NOISE, 10_000, is_talking=False) is NOISE
    assert stretcher.grow(NOISE, is_talking=False) is NOISE
    assert (stretcher.added, stretcher.removed) == (0, 0)


def test_the_louder_noise_of_a_line_counts_as_pause_only_while_nobody_talks() -> None:
    hum = to_mulaw(np.random.default_rng(4).normal(0, 350, 160))
    assert Stretcher().shrink(hum, 160, is_talking=False) == b""
    assert Stretcher().shrink(hum, 160, is_talking=True) == hum


def test_what_stands_out_from_a_quieter_line_is_no_pause() -> None:
    stretcher = Stretcher()
    assert stretcher.shrink(SILENCE_FRAME, 160, is_talking=True) == b""
    assert stretcher.shrink(to_mulaw(sine(300, 0.02, peak=120)), 160, is_talking=True) != b""


def test_growth_counts_what_it_adds() -> None:
    stretcher = Stretcher()
    longer = stretcher.grow(VOWEL, is_talking=True)
    assert stretcher.added == len(longer) - len(VOWEL) > 0
    assert stretcher.grow(PAUSE[:40], is_talking=True) == PAUSE[:40] * 2
    assert stretcher.grow(VOWEL[:40], is_talking=True) == VOWEL[:40]


def test_after_much_noise_only_each_eighth_frame_is_looked_at():
    noise = np.random.default_rng(1).integers(0, 256, 160, np.uint8).tobytes()
    hum = to_mulaw(sine(200, 0.02))

    def changes_hum_after(failures: int) -> bool:
        stretcher = Stretcher()
        for _ in range(failures):
            assert stretcher.shrink(noise, 400, is_talking=True) == noise
        return stretcher.shrink(hum, 400, is_talking=True) != hum

    assert [changes_hum_after(failures) for failures in (0, 9, 10, 15, 16, 17, 24)] == [
        True,
        True,
        False,
        False,
        True,
        False,
        True,
    ]
