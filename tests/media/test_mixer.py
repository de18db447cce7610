"""Two voices together: their sum, never clipped, turned down at once and let up slowly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.errors import FormatError
from media.g711 import MULAW_PEAK, SILENCE_FRAME, mulaw_decode, mulaw_encode
from media.mixer import (
    GROWN_TAKES_MAX,
    LATE_TAKES_MAX,
    RELEASE_PER_FRAME,
    WINDOW_TAKES,
    Lane,
    Mixer,
)


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


FRAME = bytes(range(160))
SILENCE = b"\xff"


def test_nothing_is_given_before_the_lead_has_come() -> None:
    lane = Lane(320, 960)
    lane.put(FRAME)
    assert lane.take(160) == b""
    lane.put(FRAME)
    assert lane.take(160) == FRAME
    assert lane.take(160) == FRAME


def test_a_gap_is_silence_and_then_a_lead_that_is_longer_by_it() -> None:
    lane = Lane(160, 960)
    lane.put(FRAME[:100] + FRAME)
    assert lane.take(160) == (FRAME[:100] + FRAME)[:160]
    assert lane.take(160) == FRAME[60:] + SILENCE * 60
    lane.put(FRAME)
    assert lane.take(160) == b"", "it fills again"
    lane.put(FRAME[:150])
    assert lane.take(160) == b""
    lane.put(FRAME[:10])
    assert lane.take(160) == FRAME


def dried(lane: Lane, takes: int) -> int:
    """Let a source pause for so many pieces; return how much must come before it is heard."""
    lane.put(FRAME * 6)
    while lane.take(160):
        pass
    for _ in range(takes - 1):
        assert lane.take(160) == b""
    before = len(lane)
    while True:
        lane.put(FRAME)
        if lane.take(160):
            return len(lane) + 160 - before


def test_a_source_that_was_late_gets_a_longer_lead_and_one_that_paused_none() -> None:
    assert dried(Lane(160, 1_920), 1) == 320
    assert dried(Lane(160, 1_920), LATE_TAKES_MAX - 1) == 160 * (1 + GROWN_TAKES_MAX)
    assert dried(Lane(160, 1_920), LATE_TAKES_MAX) == 160


def test_a_lead_is_half_of_what_is_held_at_most() -> None:
    lane = Lane(160, 960)
    assert [dried(lane, 5) for _ in range(4)] == [480] * 4


@pytest.mark.parametrize("is_quiet", [True, False])
def test_what_is_not_needed_for_five_seconds_goes_in_a_pause(is_quiet: bool) -> None:
    lane = Lane(160, 1_920)
    dried(lane, 5)
    quiet, loud = SILENCE * 160, b"\x10" * 160
    lane.put(loud)
    for _ in range(3 * WINDOW_TAKES):
        lane.put(quiet if is_quiet else loud)
        assert lane.take(160)
    assert lane.dropped == (320 if is_quiet else 0)


def test_a_source_that_has_paused_adds_nothing() -> None:
    lane = Lane(160, 960)
    lane.put(FRAME)
    assert lane.take(160) == FRAME
    assert lane.take(160) == b"", "not even silence"


def test_what_comes_too_fast_is_cut_to_the_lead_the_oldest_first() -> None:
    lane = Lane(160, 480)
    for number in range(3):
        lane.put(bytes([number]) * 160)
    assert (len(lane), lane.dropped) == (480, 0)
    lane.put(bytes([3]) * 8)
    assert (len(lane), lane.dropped) == (160, 328)
    assert lane.take(160) == bytes([2]) * 152 + bytes([3]) * 8


def test_what_is_forgotten_is_given_to_nobody() -> None:
    lane = Lane(160, 480)
    lane.put(FRAME)
    lane.clear()
    assert (len(lane), lane.take(160)) == (0, b"")


@pytest.mark.parametrize(("lead", "most"), [(0, 160), (-1, 160), (320, 160)])
def test_a_lane_that_could_never_give_anything_is_refused(lead: int, most: int) -> None:
    with pytest.raises(ValueError, match="lead"):
        Lane(lead, most)


@given(st.lists(st.tuples(st.integers(0, 700), st.integers(1, 700)), max_size=40))
def test_whatever_comes_it_holds_no_more_than_most_and_keeps_the_order(
    moves: list[tuple[int, int]],
) -> None:
    lane, said, heard = Lane(160, 640), 0, []
    for put, taken in moves:
        # Numbers that rise by one, below that of silence.
        lane.put(bytes((said + n) % 251 for n in range(put)))
        said += put
        assert len(lane) <= 640
        audio = lane.take(taken)
        assert len(audio) in {0, taken}
        heard.extend(each for each in audio if each != 255)
    # Each is the one after the last, or comes after a cut.
    cuts = sum((b - a) % 251 != 1 for a, b in itertools.pairwise(heard))
    assert cuts <= lane.dropped
    assert len(heard) + lane.dropped + len(lane) == said
