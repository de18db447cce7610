"""Two minutes of a call, packed: what comes out is what went in, rounded."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.watching.rows import Sound
from gateway.watching.samples import KEPT, Samples
from tests.gateway.watching.played import AT, SOUND, row_of

FIGURES = st.none() | st.floats(0, 6_000)


@given(
    st.timedeltas(timedelta(0), timedelta(days=49)),
    st.none() | st.floats(1, 5),
    st.tuples(FIGURES, FIGURES, FIGURES),
    st.builds(Sound, st.integers(-127, 0), st.integers(-127, 0), st.integers(0, 60_000)),
    st.tuples(st.integers(0, 1 << 31), st.integers(-(1 << 62), 1 << 62)),
)
def test_a_sample_comes_out_as_it_went_in_but_rounded(age, mos, figures, sound, charged):
    samples, at = Samples(AT), AT + age
    names = ("rtt_ms", "jitter_ms", "loss_percent")
    values = dict(zip(names, figures, strict=True))
    row = row_of(mos=mos, seconds=charged[0], cost_micros=charged[1], **values)
    samples.add(at, row, sound)
    (found,) = samples.after(0)
    assert timedelta(0) <= at - found.at < timedelta(milliseconds=1)
    assert (found.mos is None) == (mos is None)
    assert mos is None or abs(found.mos - mos) <= 0.0101
    for name, value in values.items():
        assert (getattr(found, name) is None) == (value is None)
        assert value is None or abs(getattr(found, name) - value) <= 0.0501
    assert Sound(found.caller_dbov, found.phone_dbov, found.backlog_ms) == sound
    assert (found.seconds, found.cost_micros) == charged


@given(st.lists(st.integers(0, 500), max_size=6), st.integers(0, 300))
def test_whoever_asks_again_gets_each_sample_once_and_in_order(asked_after, count):
    samples = Samples(AT)
    seen, told = [], 0
    for n in range(count):
        samples.add(AT + timedelta(seconds=n), row_of(seconds=n), SOUND)
        if n in asked_after:
            seen += samples.after(told)
            told = samples.count
    seen += samples.after(told)
    assert samples.count == count
    numbers = [each.seconds for each in seen]
    assert numbers == sorted(set(numbers))
    assert numbers[-KEPT:] == list(range(count))[-KEPT:]
    kept = [each.seconds for each in samples.after(0)]
    assert kept == list(range(max(0, count - KEPT), count))


@pytest.mark.parametrize(
    ("given_values", "sound", "expected"),
    [
        ({"mos": 1e9, "rtt_ms": 1e9}, SOUND, {"mos": 5.1, "rtt_ms": 6553.4}),
        ({"mos": 0.0}, SOUND, {"mos": None}),
        ({"jitter_ms": -3.0, "seconds": -1}, SOUND, {"jitter_ms": 0.0, "seconds": 0}),
        ({"cost_micros": 1 << 80}, SOUND, {"cost_micros": (1 << 63) - 1}),
        ({"seconds": 1 << 80}, SOUND, {"seconds": (1 << 32) - 1}),
        (
            {},
            Sound(-1000, 1000, 1 << 80),
            {"caller_dbov": -127, "phone_dbov": 0, "backlog_ms": 0xFFFF},
        ),
    ],
)
def test_what_does_not_fit_becomes_the_nearest_that_does(given_values, sound, expected):
    samples = Samples(AT)
    samples.add(AT - timedelta(hours=1), row_of(**given_values), sound)
    (found,) = samples.after(0)
    assert found.at == AT, "a clock that was set back is no reason to fail"
    assert {name: getattr(found, name) for name in expected} == expected


def test_a_call_of_many_days_has_samples_too():
    samples = Samples(AT)
    samples.add(AT + timedelta(days=400), row_of(), SOUND)
    assert len(samples.after(0)) == 1


def test_two_minutes_take_a_few_kilobytes():
    samples = Samples(AT)
    for n in range(2 * KEPT):
        samples.add(AT + timedelta(seconds=n), row_of(), SOUND)
    assert len(samples._texts) <= 3_600
