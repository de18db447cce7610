"""Synthesises the signals of the called party: a tone and speech-like babble, as mu-law.

Everything is computed, nothing recorded, so no file and no licence is involved; the same call
gives the same bytes. Offline work: a clip is made once and kept. A second of speech takes some 7 ms
of Python; numpy would do it in 2, and be 14 MB that the process needs for nothing else.
"""

from __future__ import annotations

import random
import sys
from array import array
from functools import lru_cache
from itertools import accumulate, pairwise
from math import cos, exp, pi, sin
from typing import Final

from media.g711 import MULAW_SILENCE, RATE_HZ, mulaw_encode

_Samples = list[float]

# First three formants of five vowels (Peterson & Barney 1952, adult men, rounded), in Hz.
_VOWELS_HZ: Final = (
    (730, 1090, 2440),
    (530, 1840, 2480),
    (270, 2290, 3010),
    (570, 840, 2410),
    (300, 870, 2240),
)
_FORMANT_WIDTHS_HZ: Final = (80, 110, 160)
_FORMANT_GAINS: Final = (1.0, 0.5, 0.25)
_PITCH_RISE: Final = 0.08
"""How much higher than its middle a syllable begins, and how much lower it ends."""
_BURST_SAMPLES: Final = RATE_HZ * 30 // 1000
_BURST_LEVEL: Final = 0.15


def _encode(samples: _Samples, peak: float) -> bytes:
    """Return mu-law with the given peak, as a share of full scale."""
    top = max(map(abs, samples), default=0.0) or 1.0
    pcm = array("h", (int(sample / top * peak * 32767) for sample in samples))
    if sys.byteorder == "big":
        # The encoder reads little-endian samples, an array has the byte order of the machine.
        pcm.byteswap()
    return mulaw_encode(pcm.tobytes())


@lru_cache(maxsize=8)
def tone(hz: int, duration_ms: int, level: float = 0.25) -> bytes:
    """Return a sine; 1 kHz over whole 20 ms frames joins itself without a click."""
    count = RATE_HZ * duration_ms // 1000
    return _encode([sin(2 * pi * hz * at / RATE_HZ) for at in range(count)], level)


def silence(duration_ms: int) -> bytes:
    """Return digital silence."""
    return bytes([MULAW_SILENCE]) * (RATE_HZ // 1000 * duration_ms)


@lru_cache(maxsize=8)
def speech(duration_ms: int, seed: int = 1) -> bytes:
    """Return a babble of syllables in phrases with pauses: speech to any voice detector.

    A glottal pulse train with a wandering pitch is filtered by the formants of a vowel chosen
    per syllable; a noise burst stands for the consonant before it.
    """
    # Seeded: every process plays the same bytes.
    chance = random.Random(seed)  # noqa: S311 - it makes a sound
    wanted = RATE_HZ * duration_ms // 1000
    samples: _Samples = []
    while len(samples) < wanted:
        for _ in range(chance.randint(4, 8)):
            samples += _syllable(chance)
        samples += [0.0] * int(RATE_HZ * chance.uniform(0.25, 0.7))
    return _encode(samples[:wanted], 0.5)


def _syllable(chance: random.Random) -> _Samples:
    vowel = chance.choice(_VOWELS_HZ)
    count = int(RATE_HZ * chance.uniform(0.12, 0.26))
    middle_hz = chance.uniform(95, 140)
    # The pitch falls evenly over the syllable, from above its middle to as far below.
    step = 2 * _PITCH_RISE / (count - 1)
    phases = accumulate(middle_hz / RATE_HZ * (1 + _PITCH_RISE - step * at) for at in range(count))
    # A pulse wherever the phase passes a whole cycle.
    source = [float(int(now) - int(before)) for before, now in pairwise([0.0, *phases])]
    voiced = _resonate(source, vowel)
    top = max(map(abs, voiced)) or 1.0
    burst = [chance.gauss(0, _BURST_LEVEL) for _ in range(_BURST_SAMPLES)]
    return _rounded(burst) + [sample / top for sample in _rounded(voiced)]


def _rounded(samples: _Samples) -> _Samples:
    """Rise from nothing and fall to it, by a Hann window."""
    turn = 2 * pi / (len(samples) - 1)
    return [sample * (0.5 - 0.5 * cos(turn * at)) for at, sample in enumerate(samples)]


def _resonate(source: _Samples, formants_hz: tuple[int, int, int]) -> _Samples:
    """Filter by three resonators side by side (Klatt 1980, J. Acoust. Soc. Am. 67:971)."""
    mixed = [0.0] * len(source)
    formants = zip(formants_hz, _FORMANT_WIDTHS_HZ, _FORMANT_GAINS, strict=True)
    for centre, width, gain in formants:
        # The bandwidth sets how fast a resonance dies away, the centre how fast it turns.
        radius = exp(-pi * width / RATE_HZ)
        feedback, decay = 2 * radius * cos(2 * pi * centre / RATE_HZ), radius * radius
        last = before = 0.0
        for at, pulse in enumerate(source):
            last, before = pulse + feedback * last - decay * before, last
            mixed[at] += gain * last
    return mixed
