"""Every tone is heard by instruments: digits decode, cadences and levels are as the plan says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media import tones
from media.errors import FormatError
from media.g711 import FRAME_SAMPLES, MULAW_SILENCE, SILENCE_FRAME
from media.tones import DEFAULT_PLAN, PLANS, Cadence, Tone, plan_of
from tests.media.signals import Wave, from_mulaw, goertzel

KEYS = "1234567890*#ABCD"
FULL_SCALE_DBM0 = 3.17


def loop(tone: Tone) -> bytes:
    return b"".join(tone.frame(index) for index in range(tone.loop_frames))


def level_dbm0(wave: Wave) -> float:
    return float(20 * np.log10(np.sqrt(2) * np.std(wave) / 32_636) + FULL_SCALE_DBM0)


def bursts(wave: Wave, *, gap_ms: int = 20) -> list[tuple[int, int]]:
    """Return start and end, in samples, of what sounds; dips shorter than the gap do not count."""
    loud = np.flatnonzero(wave)
    breaks = np.flatnonzero(np.diff(loud) > gap_ms * 8)
    starts = loud[np.concatenate(([0], breaks + 1))]
    ends = loud[np.concatenate((breaks, [len(loud) - 1]))] + 1
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


# -- digits --------------------------------------------------------------------------------------


def decode_key(wave: Wave) -> str:
    """Return the key of one burst; fails unless it is as clear as Q.24 asks for."""
    found = []
    wave = wave * np.hanning(len(wave))
    for group in (tones.DTMF_ROWS_HZ, tones.DTMF_COLUMNS_HZ):
        amplitudes = [goertzel(wave, hz) for hz in group]
        best = int(np.argmax(amplitudes))
        others = max(value for index, value in enumerate(amplitudes) if index != best)
        assert amplitudes[best] > 10 * others
        found.append((best, amplitudes[best]))
    (row, low), (column, high) = found
    twist_db = 20 * np.log10(high / low)
    assert twist_db == pytest.approx(2, abs=0.3)
    return tones.DTMF_KEYS[row][column]


def decode(mulaw: bytes) -> str:
    wave = from_mulaw(mulaw)
    return "".join(decode_key(wave[start:end]) for start, end in bursts(wave))


@given(st.text(KEYS, min_size=1, max_size=32), st.integers(40, 300), st.integers(40, 300))
def test_digits_decode(digits: str, on_ms: int, off_ms: int) -> None:
    audio = tones.dtmf(digits, on_ms=on_ms, off_ms=off_ms)
    assert len(audio) % FRAME_SAMPLES == 0
    assert decode(audio) == digits
    assert 0 <= len(audio) - len(digits) * (on_ms + off_ms) * 8 < FRAME_SAMPLES


def test_a_digit_lasts_100_ms_and_its_pause_60() -> None:
    audio = tones.dtmf("51")
    assert len(audio) == 2 * 160 * 8
    (first, first_end), (second, second_end) = bursts(from_mulaw(audio))
    # The first and last samples of a soft edge are below the finest step.
    assert first_end - first == pytest.approx(800, abs=8)
    assert second_end - second == pytest.approx(800, abs=8)
    assert second - first == pytest.approx(160 * 8, abs=4)


def test_digits_have_their_level_and_do_not_clip() -> None:
    wave = from_mulaw(tones.dtmf("D"))[100:700]
    for hz, expected in ((941, -9), (1_633, -7)):
        amplitude = goertzel(wave, hz)
        assert 20 * np.log10(amplitude / 32_636) + FULL_SCALE_DBM0 == pytest.approx(
            expected, abs=0.2
        )
    assert np.abs(wave).max() < 25_000


@pytest.mark.parametrize("digits", ["", "1" * 33, "12x", "a", " ", "１", "1 2"])
def test_what_is_no_digit_is_refused(digits: str) -> None:
    with pytest.raises(FormatError):
        tones.dtmf(digits)


@pytest.mark.parametrize("times", [{"on_ms": 39}, {"off_ms": 39}, {"on_ms": 2_001}, {"off_ms": -1}])
def test_times_no_receiver_takes_are_refused(times: dict[str, int]) -> None:
    with pytest.raises(FormatError):
        tones.dtmf("1", **times)


# -- call-progress tones -------------------------------------------------------------------------

COUNTRIES = [*PLANS, ""]
PROGRESS = {"ringback": tones.ringback, "busy": tones.busy, "congestion": tones.congestion}


@pytest.mark.parametrize("country", COUNTRIES)
@pytest.mark.parametrize("name", PROGRESS)
def test_progress_tones_sound_as_planned(name: str, country: str) -> None:
    cadence: Cadence = getattr(plan_of(country), name)
    wave = from_mulaw(loop(PROGRESS[name](country)))
    period = sum(burst.on_ms + burst.off_ms for burst in cadence) * 8
    assert len(wave) % period == 0
    heard = bursts(wave)
    assert len(heard) == len(cadence) * (len(wave) // period)
    start = 0
    for burst, (begin, end) in zip(itertools.cycle(cadence), heard, strict=False):
        assert begin == pytest.approx(start, abs=16)
        assert end == pytest.approx(start + burst.on_ms * 8, abs=16)
        start += (burst.on_ms + burst.off_ms) * 8
        middle = wave[begin + 80 : end - 80]
        amplitudes = [goertzel(middle, hz) for hz in burst.frequencies_hz]
        assert max(amplitudes) < 1.1 * min(amplitudes)
        assert goertzel(middle, 700) < 0.1 * min(amplitudes)
        assert level_dbm0(middle) == pytest.approx(-15, abs=0.7)


def test_modulated_ringback_swings_at_its_frequency() -> None:
    middle = from_mulaw(loop(tones.ringback("JP")))[400:7_600]
    for hz in (400 - 16, 400 + 16):
        assert goertzel(middle, hz) == pytest.approx(0.45 * goertzel(middle, 400), rel=0.05)
    steady = from_mulaw(loop(tones.busy("JP")))[400:3_600]
    assert goertzel(steady, 416) < 0.15 * goertzel(steady, 400)


@pytest.mark.parametrize("name", PROGRESS)
def test_countries_with_the_same_tone_share_it(name: str) -> None:
    assert PROGRESS[name]("US") is PROGRESS[name]("CA")
    assert PROGRESS[name]("NL") is PROGRESS[name]("")


@pytest.mark.parametrize(
    "tone",
    [
        tones.ringback("US"),
        tones.busy("FR"),
        tones.congestion("BE"),
        tones.hold(),
        tones.connecting(),
    ],
    ids=["ringback", "busy", "congestion", "hold", "connecting"],
)
def test_tones_begin_and_end_without_a_click(tone: Tone) -> None:
    """A click is a sudden jump: no sample departs from the line through the two before it."""
    wave = from_mulaw(loop(tone) * 2)
    bend = np.abs(np.diff(wave, n=2))
    # A sine of this amplitude bends by its own curvature and by the rounding of mu-law.
    peak = np.abs(wave).max()
    assert bend.max() < peak * (2 * np.pi * 620 / 8_000) ** 2 + 4 * peak / 32


# -- hold, noise, warning ------------------------------------------------------------------------


def test_hold_beeps_twice_over_noise_every_five_seconds() -> None:
    tone = tones.hold()
    assert tone.loop_frames == 250
    wave = from_mulaw(loop(tone))
    beeps = [
        index
        for index in range(250)
        if goertzel(wave[index * FRAME_SAMPLES : (index + 1) * FRAME_SAMPLES], 425) > 300
    ]
    assert set(range(1, 7)) | set(range(16, 22)) <= set(beeps) <= set(range(8)) | set(range(15, 23))
    assert level_dbm0(wave[240:960]) == pytest.approx(-27, abs=1)
    assert level_dbm0(wave[8_000:]) == pytest.approx(-55, abs=1.5)


def test_two_short_beeps_say_that_a_call_is_being_placed() -> None:
    """Within a quarter of a second, and never for as long as a phone is heard ringing."""
    tone = tones.connecting()
    assert tone.loop_frames == 75
    wave = from_mulaw(loop(tone))
    sounding = np.flatnonzero(np.abs(wave).reshape(-1, FRAME_SAMPLES).max(axis=1) > 100)
    assert sounding.tolist() == [0, 1, 2, 10, 11, 12]
    assert level_dbm0(wave[80:400]) == pytest.approx(-24, abs=1)


def test_comfort_noise_is_faint_without_pitch_or_pause() -> None:
    wave = from_mulaw(loop(tones.comfort_noise()))
    assert level_dbm0(wave) == pytest.approx(-55, abs=1.5)
    frames = wave.reshape(-1, FRAME_SAMPLES)
    assert np.std(frames, axis=1).min() > np.std(wave) / 3
    spectrum = np.abs(np.fft.rfft(wave)) ** 2
    assert spectrum.max() < 0.02 * spectrum.sum()


def test_noise_is_whole_periods_within_the_band() -> None:
    """What repeats with a seam has energy between its harmonics, and so outside the band."""
    wave = tones._noise(4_000, -55)
    power = np.abs(np.fft.rfft(wave)) ** 2
    hz = np.fft.rfftfreq(len(wave), 1 / 8_000)
    assert power[(hz < 100) | (hz > 3_400)].sum() < 1e-12 * power.sum()
    octave_low = power[(hz >= 400) & (hz < 800)].sum()
    octave_high = power[(hz >= 1_600) & (hz < 3_200)].sum()
    assert octave_low == pytest.approx(octave_high, rel=0.05)


@pytest.mark.parametrize("make", [tones.hold, tones.comfort_noise])
def test_a_sound_is_the_same_each_time_it_is_made(make) -> None:
    assert loop(make.__wrapped__()) == loop(make())
    assert make() is make()


def test_warning_beep_is_short_and_soft() -> None:
    beep = tones.warning_beep()
    wave = from_mulaw(beep)
    assert len(beep) == 6 * FRAME_SAMPLES
    assert np.abs(wave[:8]).max() < 100
    assert np.abs(wave[-8:]).max() < 100
    assert goertzel(wave[200:-200], 880) == pytest.approx(2_850, rel=0.05)


# -- loops ---------------------------------------------------------------------------------------


def test_a_loop_repeats_and_its_equal_frames_are_one() -> None:
    tone = tones.ringback("US")
    assert tone.frame(0) == tone.frame(300) == tone.frame(3_000_000)
    assert tone.frame(101) is tone.frame(299)
    assert tone.frame(299) == SILENCE_FRAME
    assert all(len(tone.frame(index)) == FRAME_SAMPLES for index in range(tone.loop_frames))


@pytest.mark.parametrize("size", [0, 1, 159, 161])
def test_a_loop_is_whole_frames(size: int) -> None:
    with pytest.raises(FormatError):
        Tone(bytes([MULAW_SILENCE]) * size)


@pytest.mark.parametrize("country", [*PLANS, ""])
def test_each_plan_is_within_what_e180_allows(country: str) -> None:
    plan = plan_of(country)
    for cadence in (plan.ringback, plan.busy, plan.congestion):
        assert cadence
        for burst in cadence:
            assert 1 <= len(burst.frequencies_hz) <= 2
            assert all(400 <= hz <= 620 for hz in burst.frequencies_hz)
            assert 150 <= burst.on_ms <= 2_000
            assert 150 <= burst.off_ms <= 5_000
    # One can tell them apart: ringing pauses for seconds, busy does not.
    assert plan.ringback[-1].off_ms >= 2_000
    assert all(burst.off_ms <= 750 for burst in plan.busy + plan.congestion)


def test_unknown_countries_have_the_default() -> None:
    assert plan_of("") is plan_of("XK") is plan_of("us") is DEFAULT_PLAN


def test_codes_are_iso_3166_alpha_2() -> None:
    assert all(len(code) == 2 and code.isascii() and code.isupper() for code in PLANS)


# The same facts as people write them: frequencies, then milliseconds on and off.
WELL_KNOWN = {
    "US": ("440+480 2000 4000", "480+620 500 500", "480+620 250 250"),
    "CA": ("440+480 2000 4000", "480+620 500 500", "480+620 250 250"),
    "GB": ("400+450 400 200 400 2000", "400 375 375", "400 400 350 225 525"),
    "IE": ("400+450 400 200 400 2000", "425 500 500", "425 250 250"),
    "DE": ("425 1000 4000", "425 480 480", "425 240 240"),
    "FR": ("440 1500 3500", "440 500 500", "440 250 250"),
    "ES": ("425 1500 3000", "425 200 200", "425 200 200 200 200 200 600"),
    "IT": ("425 1000 4000", "425 500 500", "425 200 200"),
    "NL": ("425 1000 4000", "425 500 500", "425 250 250"),
    "AU": ("400+450 400 200 400 2000", "425 375 375", "425 375 375"),
    "NZ": ("400+450 400 200 400 2000", "400 500 500", "400 250 250"),
    "JP": ("400*16 1000 2000", "400 500 500", "400 500 500"),
    "IN": ("400*25 400 200 400 2000", "400 750 750", "400 250 250"),
    "BR": ("425 1000 4000", "425 250 250", "425 250 250 750 250"),
    "CN": ("450 1000 4000", "450 350 350", "450 700 700"),
    "": ("425 1000 4000", "425 500 500", "425 250 250"),
}


def written(cadence: Cadence) -> str:
    first = cadence[0]
    sound = "+".join(map(str, first.frequencies_hz))
    swing = f"*{first.modulation_hz}" if first.modulation_hz else ""
    return " ".join([sound + swing, *(f"{burst.on_ms} {burst.off_ms}" for burst in cadence)])


@pytest.mark.parametrize("country", WELL_KNOWN)
def test_well_known_tones(country: str) -> None:
    plan = plan_of(country)
    assert (
        written(plan.ringback),
        written(plan.busy),
        written(plan.congestion),
    ) == WELL_KNOWN[country]


@pytest.mark.parametrize("country", [*PLANS, ""])
def test_a_cadence_is_one_sound(country: str) -> None:
    plan = plan_of(country)
    for cadence in (plan.ringback, plan.busy, plan.congestion):
        assert len({(burst.frequencies_hz, burst.modulation_hz) for burst in cadence}) == 1
