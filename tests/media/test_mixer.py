"""Two voices together: their sum, never clipped, turned down at once and let up slowly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.errors import FormatError
from media.g711 import MULAW_PEAK, SILENCE_FRAME, mulaw_decode, mulaw_encode
from media.mixer import RELEASE_PER_FRAME, Mixer


def wave(hz: float, peak: float, frames: int = 1) -> bytes:
    at = np.arange(160 * frames) / 8_000
    return mulaw_encode(np.rint(peak * np.sin(2 * np.pi * hz * at)).astype("<i2").tobytes())


def samples(mulaw: bytes) -> np.ndarray:
    return np.frombuffer(mulaw_decode(mulaw), "<i2").astype(float)


def test_with_silence_a_voice_stays_as_it_is() -> None:
    voice = wave(440, 9_000)
    for first, second in ((voice, SILENCE_FRAME), (SILENCE_FRAME, voice)):
        error = samples(Mixer().mix(first, second)) - samples(voice)
        # A step of mu-law at its finest; the halves of odd samples lose half a step of 16 bits.
        assert np.abs(error).max() <= 8


def test_two_voices_are_added() -> None:
    low, high = wave(300, 8_000), wave(1_100, 8_000)
    error = samples(Mixer().mix(low, high)) - (samples(low) + samples(high))
    # Half of mu-law's step at this level (G.711: 1/32 of a segment that ends at 32,768).
    assert np.abs(error).max() <= 512


def test_what_is_too_loud_together_is_turned_down_and_not_clipped() -> None:
    loud = wave(440, 30_000)
    mixed = samples(Mixer().mix(loud, loud))
    assert np.abs(mixed).max() <= MULAW_PEAK
    # Its form is that of the tone: clipped, a sine of twice the peak would have a third harmonic
    # of some 20 %.
    spectrum = np.abs(np.fft.rfft(mixed * np.hanning(160)))
    third = spectrum[round(1_320 / 50)]
    assert third < 0.03 * spectrum.max()


def test_it_is_let_up_again_step_by_step() -> None:
    mixer, loud, soft = Mixer(), wave(440, 30_000), wave(440, 4_000)
    mixer.mix(loud, loud)
    peaks = [np.abs(samples(mixer.mix(soft, SILENCE_FRAME))).max() for _ in range(12)]
    assert peaks == sorted(peaks)
    assert peaks[0] < 0.65 * peaks[-1]
    assert np.isclose(peaks[-1], np.abs(samples(soft)).max(), rtol=0.01)
    steps = np.diff(peaks) / peaks[-1]
    assert steps.max() <= RELEASE_PER_FRAME + 0.03, "a step of mu-law beside"


def test_pieces_of_two_lengths_are_refused() -> None:
    with pytest.raises(FormatError):
        Mixer().mix(b"\xff" * 160, b"\xff" * 159)


@given(st.data(), st.integers(0, 400))
def test_no_sum_of_whatever_pieces_wraps_around(data: st.DataObject, length: int) -> None:
    mixer = Mixer()
    pieces = st.binary(min_size=length, max_size=length)
    for _ in range(3):
        first, second = data.draw(pieces), data.draw(pieces)
        mixed = samples(mixer.mix(first, second))
        both = samples(first) + samples(second)
        assert len(mixed) == length
        # What was turned down is smaller, and never of the other sign.
        assert (mixed * both >= 0).all()
        assert (np.abs(mixed) <= np.abs(both) + 1_024).all()
