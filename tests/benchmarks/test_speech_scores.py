"""What recordings tell: delays that were put in are found, PESQ compares the same words."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import speech_scores
from tests.web.speech import MICROPHONE_HZ, Samples, resampled, speech_like


@pytest.fixture(scope="module")
def said() -> Samples:
    return speech_like(6, MICROPHONE_HZ)


def delayed(said: Samples, ms: float) -> Samples:
    """Return it as a phone gives it back: later, at 8 kHz, in mu-law, a little louder."""
    back = resampled(speech_scores.through_g711(resampled(said, said.size // 6)), said.size)
    return np.concatenate((np.zeros(round(ms * MICROPHONE_HZ / 1000)), 1.1 * back))[: said.size]


@pytest.mark.parametrize("ms", [20.0, 43.5, 250.0])
def test_the_delay_of_an_echo_is_found_in_each_window(said: Samples, ms: float):
    found = speech_scores.echo_delays_ms(said, delayed(said, ms))
    assert len(found) >= 10
    assert found == pytest.approx([ms] * len(found), abs=0.2)


def test_a_delay_that_changes_is_found_where_it_changes(said: Samples):
    heard = np.concatenate((delayed(said, 40)[:144_000], delayed(said, 60)[144_000:]))
    found = speech_scores.echo_delays_ms(said, heard)
    assert round(found[0]) == 40
    assert round(found[-1]) == 60


def test_what_cannot_be_recognised_tells_no_delay(said: Samples):
    noise = np.random.default_rng(1).normal(0, 0.1, said.size)
    assert speech_scores.echo_delays_ms(said, noise) == []
    assert speech_scores.echo_delays_ms(np.zeros(said.size), noise) == []


def test_pesq_compares_the_same_words(said: Samples, monkeypatch: pytest.MonkeyPatch):
    pairs = []

    class Engine:
        def pesq(self, rate: int, reference: Samples, heard: Samples, mode: str) -> float:
            assert (rate, mode) == (8_000, "nb")
            pairs.append((reference, heard))
            return 4.0 + len(pairs) / 10

    monkeypatch.setattr(speech_scores, "_pesq", Engine())
    assert speech_scores.has_pesq()
    narrow = resampled(said, said.size // 6)
    heard = np.roll(np.tile(narrow, 2), -4_000)[: narrow.size]
    assert speech_scores.pesq_beside_g711(heard, said) == (4.1, 4.2)
    for reference, other in pairs:
        assert np.corrcoef(reference, other)[0, 1] > 0.99
