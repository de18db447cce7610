"""Synthesises the gateway's own sounds: DTMF, the tones of each country, hold, noise, beeps.

Mu-law at 8 kHz. Everything is computed once and then looked up. Levels are in dBm0, where a
full-scale mu-law sine has +3.17 (ITU-T G.711).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import log10, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media.errors import FormatError
from media.g711 import FRAME_MS, FRAME_SAMPLES, MULAW_SILENCE, RATE_HZ, mulaw_encode


@dataclass(frozen=True, slots=True)
class Burst:
    """One sound and the silence after it."""

    frequencies_hz: tuple[int, ...]
    """Sounded together, at equal level."""
    on_ms: int
    off_ms: int
    modulation_hz: int = 0
    """Frequency of amplitude modulation; 0 for a steady tone."""


Cadence = tuple[Burst, ...]
"""Bursts in order, repeated from the first."""


@dataclass(frozen=True, slots=True)
class TonePlan:
    """The call-progress tones of one country."""

    ringback: Cadence
    """The phone is ringing."""
    busy: Cadence
    """The phone is in use."""
    congestion: Cadence
    """The network cannot reach the phone; known as reorder in North America."""


def _cadence(frequencies_hz: tuple[int, ...], *on_off_ms: int, modulation_hz: int = 0) -> Cadence:
    pairs = zip(on_off_ms[::2], on_off_ms[1::2], strict=True)
    return tuple(Burst(frequencies_hz, on, off, modulation_hz) for on, off in pairs)


def _plan(
    *, ringback: Cadence, busy_ms: tuple[int, int], congestion_ms: tuple[int, ...], hz: int = 425
) -> TonePlan:
    """Return a plan whose busy and congestion tones are the same sound at different speeds."""
    return TonePlan(
        ringback, busy=_cadence((hz,), *busy_ms), congestion=_cadence((hz,), *congestion_ms)
    )


_ITU_RINGBACK: Final = _cadence((425,), 1000, 4000)
_BRITISH_RINGBACK: Final = _cadence((400, 450), 400, 200, 400, 2000)

DEFAULT_PLAN: Final = _plan(ringback=_ITU_RINGBACK, busy_ms=(500, 500), congestion_ms=(250, 250))
"""E.180 prefers 425 Hz; for countries without a plan here."""

_NORTH_AMERICA: Final = TonePlan(
    ringback=_cadence((440, 480), 2000, 4000),
    busy=_cadence((480, 620), 500, 500),
    congestion=_cadence((480, 620), 250, 250),
)
_BRITAIN: Final = _plan(
    ringback=_BRITISH_RINGBACK, busy_ms=(375, 375), congestion_ms=(400, 350, 225, 525), hz=400
)
_RAPID_CONGESTION: Final = _plan(
    ringback=_ITU_RINGBACK, busy_ms=(500, 500), congestion_ms=(200, 200)
)
_FINLAND: Final = _plan(ringback=_ITU_RINGBACK, busy_ms=(300, 300), congestion_ms=(200, 200))

PLANS: Final[dict[str, TonePlan]] = {
    **dict.fromkeys(("AS", "CA", "GU", "MP", "PR", "US", "VI"), _NORTH_AMERICA),
    **dict.fromkeys(("GB", "GG", "IM", "JE"), _BRITAIN),
    **dict.fromkeys(("CH", "DK", "IT", "NO"), _RAPID_CONGESTION),
    **dict.fromkeys(("EE", "FI", "GR"), _FINLAND),
    "AT": _plan(
        ringback=_cadence((420,), 1000, 5000),
        busy_ms=(400, 400),
        congestion_ms=(200, 200),
        hz=420,
    ),
    "AU": _plan(ringback=_BRITISH_RINGBACK, busy_ms=(375, 375), congestion_ms=(375, 375)),
    "BE": _plan(
        ringback=_cadence((425,), 1000, 3000), busy_ms=(500, 500), congestion_ms=(167, 167)
    ),
    "BR": _plan(ringback=_ITU_RINGBACK, busy_ms=(250, 250), congestion_ms=(250, 250, 750, 250)),
    "CN": _plan(
        ringback=_cadence((450,), 1000, 4000),
        busy_ms=(350, 350),
        congestion_ms=(700, 700),
        hz=450,
    ),
    "CZ": _plan(ringback=_ITU_RINGBACK, busy_ms=(330, 330), congestion_ms=(165, 165)),
    "DE": _plan(ringback=_ITU_RINGBACK, busy_ms=(480, 480), congestion_ms=(240, 240)),
    "ES": _plan(
        ringback=_cadence((425,), 1500, 3000),
        busy_ms=(200, 200),
        congestion_ms=(200, 200, 200, 200, 200, 600),
    ),
    "FR": _plan(
        ringback=_cadence((440,), 1500, 3500),
        busy_ms=(500, 500),
        congestion_ms=(250, 250),
        hz=440,
    ),
    "HU": _plan(
        ringback=_cadence((425,), 1250, 3750), busy_ms=(300, 300), congestion_ms=(300, 300)
    ),
    "IE": _plan(ringback=_BRITISH_RINGBACK, busy_ms=(500, 500), congestion_ms=(250, 250)),
    "IN": _plan(
        ringback=_cadence((400,), 400, 200, 400, 2000, modulation_hz=25),
        busy_ms=(750, 750),
        congestion_ms=(250, 250),
        hz=400,
    ),
    "JP": _plan(
        ringback=_cadence((400,), 1000, 2000, modulation_hz=16),
        busy_ms=(500, 500),
        congestion_ms=(500, 500),
        hz=400,
    ),
    "MX": _plan(ringback=_ITU_RINGBACK, busy_ms=(250, 250), congestion_ms=(250, 250)),
    "NL": DEFAULT_PLAN,
    "NZ": _plan(ringback=_BRITISH_RINGBACK, busy_ms=(500, 500), congestion_ms=(250, 250), hz=400),
    "PL": _plan(ringback=_ITU_RINGBACK, busy_ms=(500, 500), congestion_ms=(500, 500)),
    "PT": _plan(
        ringback=_cadence((425,), 1000, 5000), busy_ms=(500, 500), congestion_ms=(200, 200)
    ),
    "SE": _plan(
        ringback=_cadence((425,), 1000, 5000), busy_ms=(250, 250), congestion_ms=(250, 750)
    ),
    "SG": _plan(
        ringback=_cadence((425,), 400, 200, 400, 2000, modulation_hz=24),
        busy_ms=(750, 750),
        congestion_ms=(250, 250),
    ),
}
"""By ISO 3166 alpha-2 code."""


def plan_of(country: str) -> TonePlan:
    """Return the tones of a country by ISO 3166 alpha-2 code; the default for any other."""
    return PLANS.get(country, DEFAULT_PLAN)


SAMPLES_PER_MS: Final = RATE_HZ // 1_000
OVERLOAD_DBM0: Final = 3.17
OVERLOAD_PEAK: Final = 32_636
"""Amplitude of that full-scale sine: 8159 of G.711 table 2a, in 16 bits."""

# ITU-T Q.23: a digit is one tone of its row and one of its column. Q.24 requires receivers to
# accept 40 ms on and 40 ms off; 100 and 60 leave a margin. The column is 2 dB louder, because lines
# attenuate high frequencies more.
DTMF_ROWS_HZ: Final = (697, 770, 852, 941)
DTMF_COLUMNS_HZ: Final = (1209, 1336, 1477, 1633)
DTMF_KEYS: Final = ("123A", "456B", "789C", "*0#D")
DTMF_ROW_DBM0: Final = -9.0
DTMF_COLUMN_DBM0: Final = -7.0
DTMF_ON_MS: Final = 100
DTMF_OFF_MS: Final = 60
DTMF_MS_MIN: Final = 40
DTMF_MS_MAX: Final = 2_000
DTMF_DIGITS_MAX: Final = 32

# ITU-T E.180 recommends -10 dBm0 +/- 5 dB, for earpieces; headsets are louder, so the low end.
PROGRESS_DBM0: Final = -15.0
MODULATION_DEPTH: Final = 0.9

COMFORT_NOISE_DBM0: Final = -55.0
"""Just above the noise of a quiet line: enough to tell that the line is alive."""
COMFORT_NOISE_MS: Final = 2_000
COMFORT_NOISE_BAND_HZ: Final = (100, 3_400)

HOLD_CADENCE: Final = (Burst((425,), 150, 150), Burst((425,), 150, 4_550))
"""Two soft beeps every five seconds, like the holding tones of E.180 Supplement 2."""
HOLD_DBM0: Final = -27.0

CONNECTING_CADENCE: Final = (Burst((440,), 60, 140), Burst((440,), 60, 1_240))
"""Two short beeps every one and a half seconds. E.180 Supplement 2 lists a tone for a call being
placed in few countries, in short bursts of 440 Hz; no ringback is as short."""
CONNECTING_DBM0: Final = -24.0

WARNING_HZ: Final = 880
WARNING_MS: Final = 120
WARNING_DBM0: Final = -18.0

SUPERVISION_HZ: Final = 1_400
SUPERVISION_MS: Final = 200
SUPERVISION_DBM0: Final = -18.0
"""The tone by which telephone companies tell both parties that somebody else hears them (47 CFR
64.501): a fifth of a second of 1,400 Hz."""

EDGE_MS: Final = 4
"""Rise and fall time of a tone: short against a digit's 40 ms, long enough not to click."""
SOFT_EDGE_MS: Final = 20
"""Rise and fall time of sounds heard close to speech."""

Wave = NDArray[np.float64]


class Tone:
    """A sound that repeats endlessly, cut into frames of 160 bytes (20 ms) of mu-law."""

    __slots__ = ("_count", "_frames")

    def __init__(self, loop: bytes) -> None:
        if not loop or len(loop) % FRAME_SAMPLES:
            raise FormatError("A loop must be whole frames.")
        # Most frames of a ringback tone are the same silence: equal frames are stored once.
        known: dict[bytes, bytes] = {}
        cuts = (loop[at : at + FRAME_SAMPLES] for at in range(0, len(loop), FRAME_SAMPLES))
        self._frames = tuple(known.setdefault(cut, cut) for cut in cuts)
        self._count = len(self._frames)

    @property
    def loop_frames(self) -> int:
        """Frames until the sound repeats."""
        return self._count

    def frame(self, index: int) -> bytes:
        """Return frame `index`, counted from the start of the sound."""
        return self._frames[index % self._count]


def ringback(country: str = "") -> Tone:
    """Return the tone for a ringing phone in this country (ISO 3166 alpha-2)."""
    return _progress(plan_of(country).ringback)


def busy(country: str = "") -> Tone:
    """Return the tone for a busy phone in this country (ISO 3166 alpha-2)."""
    return _progress(plan_of(country).busy)


def congestion(country: str = "") -> Tone:
    """Return the tone for a phone that this country's network cannot reach."""
    return _progress(plan_of(country).congestion)


@lru_cache(maxsize=1)
def connecting() -> Tone:
    """Return the tone for a call that is being placed while no phone rings yet."""
    return Tone(_encode(_loop(CONNECTING_CADENCE, CONNECTING_DBM0, EDGE_MS)))


@lru_cache(maxsize=1)
def hold() -> Tone:
    """Return the hold tone: faint noise, and a soft double beep every 5 seconds."""
    beeps = _loop(HOLD_CADENCE, HOLD_DBM0, SOFT_EDGE_MS)
    return Tone(_encode(beeps + _noise(len(beeps), COMFORT_NOISE_DBM0)))


@lru_cache(maxsize=1)
def comfort_noise() -> Tone:
    """Return faint noise that tells a listener that the line is alive."""
    return Tone(_encode(_noise(COMFORT_NOISE_MS * SAMPLES_PER_MS, COMFORT_NOISE_DBM0)))


@lru_cache(maxsize=1)
def warning_beep() -> bytes:
    """Return one short beep, 120 ms of mu-law in whole frames."""
    return _encode(_tone(((WARNING_HZ, WARNING_DBM0),), WARNING_MS, SOFT_EDGE_MS))


@lru_cache(maxsize=1)
def supervision() -> bytes:
    """Return the tone that announces a supervisor, 200 ms of mu-law in whole frames."""
    return _encode(_tone(((SUPERVISION_HZ, SUPERVISION_DBM0),), SUPERVISION_MS, SOFT_EDGE_MS))


def dtmf(digits: str, *, on_ms: int = DTMF_ON_MS, off_ms: int = DTMF_OFF_MS) -> bytes:
    """Return 1 to 32 digits of `0-9*#A-D` as mu-law in whole frames, final pause included.

    Raises:
        FormatError: A character is no digit, they are too many, or a time is not 40 to 2,000 ms.

    """
    if not 0 < len(digits) <= DTMF_DIGITS_MAX:
        raise FormatError("One to 32 digits can be dialled at once.")
    if not (DTMF_MS_MIN <= on_ms <= DTMF_MS_MAX and DTMF_MS_MIN <= off_ms <= DTMF_MS_MAX):
        raise FormatError("A digit and its pause last 40 to 2,000 ms each.")
    audio = b"".join(_digit(digit, on_ms, off_ms) for digit in digits)
    return audio + bytes([MULAW_SILENCE]) * (-len(audio) % FRAME_SAMPLES)


# The keys of a telephone at their usual length are 16 sounds.
@lru_cache(maxsize=64)
def _digit(digit: str, on_ms: int, off_ms: int) -> bytes:
    for row_hz, keys in zip(DTMF_ROWS_HZ, DTMF_KEYS, strict=True):
        column = keys.find(digit)
        if column >= 0:
            pair = ((row_hz, DTMF_ROW_DBM0), (DTMF_COLUMNS_HZ[column], DTMF_COLUMN_DBM0))
            return _encode(np.concatenate((_tone(pair, on_ms, EDGE_MS), _silence(off_ms))))
    raise FormatError("A telephone has no such key.")


@lru_cache(maxsize=128)
def _progress(cadence: Cadence) -> Tone:
    return Tone(_encode(_loop(cadence, PROGRESS_DBM0, EDGE_MS)))


def _loop(cadence: Cadence, level_dbm0: float, edge_ms: int) -> Wave:
    """Return a cadence, repeated until it fills whole frames."""
    parts: list[Wave] = []
    for burst in cadence:
        # Tones of equal level share the power of the whole.
        each_dbm0 = level_dbm0 - 10 * log10(len(burst.frequencies_hz))
        parts.append(
            _tone(
                tuple((hz, each_dbm0) for hz in burst.frequencies_hz),
                burst.on_ms,
                edge_ms,
                burst.modulation_hz,
            )
        )
        parts.append(_silence(burst.off_ms))
    once = np.concatenate(parts)
    period_ms = sum(burst.on_ms + burst.off_ms for burst in cadence)
    return np.tile(once, int(np.lcm(period_ms, FRAME_MS)) // period_ms)


def _tone(
    components: tuple[tuple[int, float], ...], on_ms: int, edge_ms: int, modulation_hz: int = 0
) -> Wave:
    """Return the sum of sines of (frequency in Hz, level in dBm0), with rounded edges."""
    seconds = np.arange(on_ms * SAMPLES_PER_MS) / RATE_HZ
    wave: Wave = np.zeros(len(seconds))
    for hz, level_dbm0 in components:
        wave += _peak(level_dbm0) * np.sin(2 * np.pi * hz * seconds)
    if modulation_hz:
        swing = 1 + MODULATION_DEPTH * np.sin(2 * np.pi * modulation_hz * seconds)
        # Modulation adds power; the division keeps the level.
        wave *= swing / sqrt(1 + MODULATION_DEPTH**2 / 2)
    # A squared sine has no corner at either end, so that it does not click.
    edge = np.sin(np.linspace(0, np.pi / 2, edge_ms * SAMPLES_PER_MS, endpoint=False)) ** 2
    wave[: len(edge)] *= edge
    wave[-len(edge) :] *= edge[::-1]
    return wave


def _silence(off_ms: int) -> Wave:
    return np.zeros(off_ms * SAMPLES_PER_MS)


def _noise(samples: int, level_dbm0: float) -> Wave:
    """Return noise that falls by 3 dB per octave within the telephone band.

    It consists of whole periods only, so that its end joins its start like any two samples.
    """
    hz = np.fft.rfftfreq(samples, 1 / RATE_HZ)
    low, high = COMFORT_NOISE_BAND_HZ
    band = (hz >= low) & (hz <= high)
    # Random phases from a fixed seed: a sound here is a constant, the same in every process.
    phases = np.random.default_rng(seed=0).uniform(0, 2 * np.pi, len(hz))
    # An amplitude of 1 / sqrt(f) is 3 dB less per octave; maximum() avoids dividing by zero below
    # the band.
    spectrum = np.where(band, np.exp(1j * phases) / np.sqrt(np.maximum(hz, low)), 0)
    wave = np.fft.irfft(spectrum, samples)
    return np.asarray(wave * (_peak(level_dbm0) / sqrt(2) / np.std(wave)), np.float64)


def _peak(level_dbm0: float) -> float:
    """Return the amplitude, in 16-bit PCM, of a sine of this level."""
    return float(OVERLOAD_PEAK * 10 ** ((level_dbm0 - OVERLOAD_DBM0) / 20))


def _encode(wave: Wave) -> bytes:
    return mulaw_encode(np.rint(wave).astype("<i2").tobytes())
