"""The pitch period of tones, voices and noise."""

from __future__ import annotations

import numpy as np
import pytest

from media.pitch import (
    PITCH_MAX,
    PITCH_MIN,
    WINDOW,
    leading_pitch,
    ramp,
    to_mulaw,
    to_wave,
    trailing_pitch,
)
from tests.media.signals import sine, voice


def pulses(period: int, samples: int) -> np.ndarray:
    wave = np.zeros(samples)
    wave[::period] = 8_000
    return np.convolve(wave, np.exp(-np.arange(30) / 6))[:samples]


@pytest.mark.parametrize("period", [40, 47, 66, 80, 101, 119, 120])
def test_the_period_is_found_at_both_ends(period: int) -> None:
    """Each of its multiples resembles itself as much."""
    wave = pulses(period, 400)
    assert trailing_pitch(wave).lag % period == 0
    found = leading_pitch(wave[:240])
    assert found is not None
    assert found.lag % period == 0
    assert found.similarity > 0.95


def test_a_high_voice_is_found_at_a_multiple() -> None:
    lag, similarity = trailing_pitch(sine(320, 0.05))
    assert lag % 25 == 0
    assert similarity > 0.99


def test_noise_does_not_resemble_itself_and_a_voice_does() -> None:
    noise = np.random.default_rng(1).normal(0, 3_000, 240)
    found = leading_pitch(noise)
    assert found is not None
    assert found.similarity < 0.6
    vowel = leading_pitch(voice(1)[4_000:4_240])
    assert vowel is not None
    assert vowel.similarity > 0.85


@pytest.mark.parametrize("level", [0.0, 8.0])
def test_silence_resembles_nothing_and_harms_nothing(level: float) -> None:
    lag, similarity = trailing_pitch(np.full(WINDOW + PITCH_MAX, level))
    assert PITCH_MIN <= lag <= PITCH_MAX
    assert similarity == pytest.approx(1.0 if level else 0.0, abs=1e-3)


def test_what_is_too_short_has_no_period() -> None:
    assert leading_pitch(np.zeros(79)) is None
    assert leading_pitch(np.zeros(80)) is not None


def test_samples_survive_the_way_to_mulaw_and_back() -> None:
    every = bytes(range(256))
    # Mu-law has two codes for zero.
    assert to_mulaw(to_wave(every)) == every.replace(b"\x7f", b"\xff")


def test_a_ramp_rises_from_nothing_and_never_reaches_one() -> None:
    assert list(ramp(4)) == [0, 0.25, 0.5, 0.75]
    assert len(ramp(0)) == 0
