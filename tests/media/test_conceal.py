"""Concealment: how it sounds, how it ends, how speech comes back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.conceal import CONCEALED_SAMPLES_MAX, HISTORY_SAMPLES, Concealer
from tests.media.signals import Wave, from_mulaw, sine, to_mulaw, voice

SILENCE = b"\xff"


def correlation(left: Wave, right: Wave) -> float:
    return float(left @ right / np.sqrt((left @ left) * (right @ right)))


def started(history: bytes) -> Concealer:
    concealer = Concealer()
    concealer.start(history)
    return concealer


@pytest.mark.parametrize("hz", [80, 100, 133, 190])
def test_a_steady_voice_goes_on_as_if_nothing_was_lost(hz: float) -> None:
    wave = sine(hz, 0.2) + sine(2 * hz, 0.2, peak=3_000)
    concealed = from_mulaw(started(to_mulaw(wave[:800])).take(160))
    assert correlation(concealed, wave[800:960]) > 0.97


def test_speech_is_continued_much_better_than_by_silence() -> None:
    wave = voice(2)
    found = []
    for at in range(2_000, 14_000, 700):
        concealed = from_mulaw(started(to_mulaw(wave[at - 400 : at])).take(160))
        # The pitch glides: a voice may come as much as a millisecond early or late.
        found.append(max(correlation(concealed, wave[at + by :][:160]) for by in range(-8, 9)))
    assert np.median(found) > 0.8


def test_the_level_is_full_for_10_ms_low_at_60_and_gone_at_80() -> None:
    concealer = started(to_mulaw(sine(200, 0.1, peak=10_000)))
    peaks = [np.abs(from_mulaw(concealer.take(80))).max() for _ in range(9)]
    assert peaks[0] > 9_500
    assert peaks == sorted(peaks, reverse=True)
    assert 5_000 < peaks[2] < 9_500
    assert peaks[5] < 2_500
    assert peaks[6] < 1_500
    assert peaks[8] == 0


def test_a_rough_continuation_repeats_10_ms_and_fades_as_long() -> None:
    history = to_mulaw(sine(200, 0.1, peak=10_000))
    concealer = Concealer()
    concealer.start_roughly(history)
    steps = [from_mulaw(concealer.take(80)) for _ in range(8)]
    assert concealer.is_over
    assert all(correlation(step, from_mulaw(history[-80:])) > 0.97 for step in steps)
    peaks = [np.abs(step).max() for step in steps]
    assert 9_000 < peaks[0] < 10_200
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[7] < 1_000
    concealer.start_roughly(b"")
    assert concealer.take(640) == SILENCE * 640


def test_it_is_over_when_nothing_but_silence_is_left() -> None:
    concealer = started(to_mulaw(sine(200, 0.1)))
    assert not concealer.is_over
    concealer.take(CONCEALED_SAMPLES_MAX - 1)
    assert not concealer.is_over
    concealer.take(1)
    assert concealer.is_over
    assert concealer.take(100) == SILENCE * 100


def test_nothing_heard_is_continued_by_silence() -> None:
    assert Concealer().is_over
    assert Concealer().take(160) == SILENCE * 160
    assert set(from_mulaw(started(b"").take(480))) == {0}
    finished = started(to_mulaw(sine(200, 0.1)))
    finished.finish()
    assert finished.take(80) == SILENCE * 80


def largest_step(wave: Wave) -> float:
    return float(np.abs(np.diff(wave)).max())


def test_speech_comes_back_without_a_click() -> None:
    wave = sine(150, 0.3, peak=10_000)
    heard, after = wave[:800], to_mulaw(-wave[973:1_133])
    hard = np.concatenate((from_mulaw(started(to_mulaw(heard)).take(160)), from_mulaw(after)))
    concealer = started(to_mulaw(heard))
    soft = from_mulaw(concealer.take(160) + concealer.join(after))
    assert largest_step(soft) < 2.5 * largest_step(wave) < largest_step(hard)


def test_a_join_changes_at_most_10_ms_and_keeps_the_length() -> None:
    audio = to_mulaw(voice(0.1)[:320])
    for taken in (0, 80, 160, 480, 960):
        concealer = started(to_mulaw(voice(0.2)))
        concealer.take(taken)
        joined = concealer.join(audio)
        assert len(joined) == len(audio)
        assert joined[80:] == audio[80:]
        assert joined != audio


def test_the_longer_the_loss_the_longer_the_seam() -> None:
    audio, last = to_mulaw(np.full(160, 8_000.0)), []
    for taken in (0, 80, 160):
        concealer = started(to_mulaw(sine(200, 0.1)))
        concealer.take(taken)
        joined = concealer.join(audio)
        last.append(max(at for at in range(160) if joined[at] != audio[at]))
    assert last[0] < 30 < last[1] < 62 < last[2] < 80


def test_the_end_of_a_period_runs_into_its_start() -> None:
    rising = np.linspace(0, 8_000, 400)
    concealed = from_mulaw(started(to_mulaw(rising)).take(80))
    assert largest_step(concealed) < 600


def test_what_comes_after_silence_fades_in() -> None:
    joined = from_mulaw(Concealer().join(to_mulaw(np.full(160, 8_000.0))))
    assert joined[0] == 0
    assert np.all(np.diff(joined[:80]) >= 0)
    assert joined[100] == pytest.approx(8_000, rel=0.05)


@given(
    st.binary(max_size=600),
    st.lists(st.integers(0, 200), max_size=8),
    st.binary(min_size=1, max_size=960),
)
def test_any_bytes_can_be_continued_and_joined(
    history: bytes, sizes: list[int], audio: bytes
) -> None:
    whole, pieces = started(history), started(history)
    taken = b"".join(pieces.take(size) for size in sizes)
    assert taken == whole.take(sum(sizes))
    assert len(pieces.join(audio)) == len(audio)


@given(st.binary(min_size=HISTORY_SAMPLES, max_size=500), st.binary(max_size=200))
def test_only_the_last_samples_are_looked_at(history: bytes, before: bytes) -> None:
    assert started(before + history).take(480) == started(history).take(480)
