"""Conversion between 16 kHz PCM and 8 kHz mu-law: response, seams, delay, limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media import resample
from media.errors import FormatError
from media.g711 import FRAME_SAMPLES, SILENCE_FRAME, mulaw_encode
from media.resample import TAPS, WIDE_FRAME_BYTES, Downsampler, Upsampler, low_pass
from tests.media.signals import Wave, from_mulaw, from_pcm, goertzel, sine, to_mulaw, to_pcm

WIDE_RATE_HZ = 16_000
SETTLED = 1_600
"""Samples after which a filter has forgotten that its input began."""


ROUNDING = np.ceil(resample.HEADROOM)
"""What one step of the quieter signal inside is outside."""


def down(wave: Wave) -> bytes:
    """Convert a wide-band wave frame by frame."""
    pcm, convert = to_pcm(wave), Downsampler().convert
    return b"".join(
        convert(pcm[at : at + WIDE_FRAME_BYTES]) for at in range(0, len(pcm), WIDE_FRAME_BYTES)
    )


def up(mulaw: bytes, size: int = FRAME_SAMPLES) -> bytes:
    convert = Upsampler().convert
    return b"".join(convert(mulaw[at : at + size]) for at in range(0, len(mulaw), size))


def gain_db(amplitude: float, of: float) -> float:
    return float(20 * np.log10(max(amplitude, 1e-9) / of))


@pytest.mark.parametrize("hz", [300, 1_000, 2_000, 3_000, 3_400])
def test_downsampler_keeps_the_telephone_band(hz: int) -> None:
    got = from_mulaw(down(sine(hz, 1, rate_hz=WIDE_RATE_HZ)))[SETTLED:]
    assert abs(gain_db(goertzel(got, hz), of=8_000)) < 0.3


@pytest.mark.parametrize("hz", [4_600, 5_000, 5_700, 6_500, 7_500])
def test_downsampler_lets_nothing_fold_into_the_band(hz: int) -> None:
    got = from_mulaw(down(sine(hz, 1, rate_hz=WIDE_RATE_HZ)))[SETTLED:]
    # At -50 dB the fold has an amplitude of 25, some three of the finest mu-law steps.
    assert gain_db(goertzel(got, 8_000 - hz), of=8_000) < -45
    assert gain_db(2**0.5 * np.std(got), of=8_000) < -40


@pytest.mark.parametrize("hz", [300, 1_000, 2_000, 3_000, 3_400])
def test_upsampler_keeps_the_band_and_makes_no_image(hz: int) -> None:
    got = from_pcm(up(to_mulaw(sine(hz, 1))))[2 * SETTLED :]
    assert abs(gain_db(goertzel(got, hz, WIDE_RATE_HZ), of=8_000)) < 0.3
    assert gain_db(goertzel(got, 8_000 - hz, WIDE_RATE_HZ), of=8_000) < -45


def test_low_pass_is_linear_in_phase_and_flat_to_the_ends_of_the_bands() -> None:
    taps = low_pass()
    assert np.allclose(taps, taps[::-1])
    hz = np.arange(0, 8_001, 25)
    turns = np.exp(-2j * np.pi * np.outer(hz, np.arange(TAPS)) / WIDE_RATE_HZ)
    response_db = 20 * np.log10(np.maximum(abs(turns @ taps), 1e-9))
    assert np.abs(response_db[hz <= 3_400]).max() < 0.1
    assert response_db[hz >= 4_600].max() < -50


def test_downsampler_equals_one_filter_over_the_whole_signal() -> None:
    noise = np.random.default_rng(1).normal(0, 4_000, 40 * 320)
    wave = from_pcm(to_pcm(noise))
    whole = np.convolve(wave, low_pass())[1 : len(wave) : 2]
    # The samples are rounded to 2.5 units before the encoder sees them.
    assert abs_steps(down(wave), mulaw_encode(to_pcm(whole))) <= 1


def test_upsampler_equals_one_filter_over_the_whole_signal() -> None:
    mulaw = np.random.default_rng(2).integers(0, 256, 40 * FRAME_SAMPLES, np.uint8).tobytes()
    narrow = from_mulaw(mulaw) / 4
    quiet = to_mulaw(narrow)
    stuffed = np.zeros(2 * len(quiet))
    stuffed[::2] = 2 * from_mulaw(quiet)
    whole = np.convolve(stuffed, low_pass())[: len(stuffed)]
    assert np.abs(from_pcm(up(quiet)) - whole).max() <= 2.5


def abs_steps(left: bytes, right: bytes) -> int:
    """Return the largest distance of two mu-law signals, in steps of the code."""

    def rank(mulaw: bytes) -> np.ndarray:
        code = np.frombuffer(mulaw, np.uint8).astype(int) ^ 0xFF
        return np.where(code & 0x80, -(code & 0x7F), code)

    return int(np.abs(rank(left) - rank(right)).max())


@given(st.lists(st.integers(0, 500), max_size=12), st.integers(0, 2**32 - 1))
def test_upsampler_takes_any_cut_of_its_input(sizes: list[int], seed: int) -> None:
    mulaw = np.random.default_rng(seed).integers(0, 256, sum(sizes), np.uint8).tobytes()
    convert, at, pieces = Upsampler().convert, 0, []
    for size in sizes:
        pieces.append(convert(mulaw[at : at + size]))
        assert len(pieces[-1]) == 4 * size
        at += size
    # In another row of a matrix a product may be added up in another order, and a half go down.
    difference = from_pcm(b"".join(pieces)) - from_pcm(up(mulaw))
    assert np.abs(difference).max(initial=0) <= ROUNDING


def test_both_together_delay_by_less_than_4_ms() -> None:
    click = np.zeros(640)
    click[320] = 30_000
    got = from_pcm(up(down(click)))
    delay_ms = (int(np.abs(got).argmax()) - 320) / 16
    assert delay_ms == pytest.approx(2.8, abs=0.1)


@pytest.mark.parametrize("size", [0, 1, 320, 638, 639, 641, 1_280])
def test_downsampler_refuses_other_sizes_and_goes_on(size: int) -> None:
    wave = sine(440, 0.04, rate_hz=WIDE_RATE_HZ)
    pcm, sampler = to_pcm(wave), Downsampler()
    first = sampler.convert(pcm[:WIDE_FRAME_BYTES])
    with pytest.raises(FormatError):
        sampler.convert(bytes(size))
    assert first + sampler.convert(pcm[WIDE_FRAME_BYTES:]) == down(wave)


def test_the_loudest_input_saturates_and_never_wraps() -> None:
    """No input can be worse for a tap pattern than the signs of the taps themselves."""
    for matrix in (resample._DOWN_MATRIX, resample._UP_MATRIX):
        assert np.abs(matrix).sum(axis=0).max() * 32_768 < 32_767
    signs = np.sign(low_pass()[::-1])
    loud = np.zeros(640)
    loud[320 : 320 + TAPS] = 32_767 * np.where(signs == 0, 1, signs)
    assert from_mulaw(down(loud)).max() == 32_124
    worst = np.zeros(320)
    worst[160 : 160 + 24] = 32_124 * np.where(low_pass()[::-2] < 0, -1, 1)
    assert from_pcm(up(to_mulaw(worst))).max() > 32_760


def test_silence_stays_silence() -> None:
    assert Downsampler().convert(bytes(WIDE_FRAME_BYTES)) == SILENCE_FRAME
    assert Upsampler().convert(SILENCE_FRAME) == bytes(WIDE_FRAME_BYTES)


def test_streams_do_not_share_state() -> None:
    loud, quiet = Upsampler(), Upsampler()
    loud.convert(to_mulaw(sine(1_000, 0.02)))
    assert quiet.convert(SILENCE_FRAME) == bytes(WIDE_FRAME_BYTES)
